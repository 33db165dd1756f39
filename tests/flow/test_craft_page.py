"""The pages of many crafted photographs: what they say, what they weigh, and what a browser makes of them."""

import base64
import io
import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_craft import HOSTILE, crafted
from PIL import Image
from test_report import EVENT, Page, browse
from torch import Tensor

from brittle.crafting.crafted import Crafted
from brittle.crafting.page import comparison_page, matrix_page
from brittle.pages.html import policy_hash
from brittle.text import colour
from brittle.visibility.measures import Visibility


@pytest.fixture(scope="module")
def results() -> list[Crafted]:
    """Three photographs by two wishes; one falls short by a hair, one is taken for something else."""
    made = [crafted(photo, wish) for photo in range(3) for wish in range(2)]
    made[2] = replace(made[2], confidence=0.98996, reached=False, after=(("ostrich", 0.98996), ("lynx", 0.001)))
    made[5] = replace(made[5], confidence=0.2, reached=False, after=(("eel", 0.7), ("fish 2", 0.2)))
    return made


def cells(html: str, table: str = "matrix") -> list[list[str]]:
    """The words of each cell of every row of the tables of a class, heads included."""
    rows = []
    for body in re.findall(rf'<table class="{table}">(.*?)</table>', html, re.DOTALL):
        for row in re.findall(r"<tr.*?</tr>", body, re.DOTALL):
            rows.append(
                [Page(cell.replace("<", " <")).words for cell in re.findall(r"<t[dh][ >].*?</t[dh]>", row, re.DOTALL)]
            )
    return rows


def rows_of(results: list[Crafted]) -> list[tuple[str, str, str, Crafted]]:
    """The same results as those of three ways: each of one photograph for one wish, and in one table."""
    first = results[0]
    other = [
        replace(one, photo=first.photo, original=first.original, wish=first.wish, target=9, target_name="ostrich")
        for one in results[:3]
    ]
    names = (("pixels", "l2", "sgd"), ("pixels", "ciede2000", "adam"), ("fourier", "ssim", "sgd"))
    return [(*name, one) for name, one in zip(names, other, strict=True)]


# --- what the matrix says


def test_every_cell_says_what_became_of_its_photograph_and_wish(results: list[Crafted]) -> None:
    head, *rows = cells(matrix_page(results))
    assert head == ["photograph", "ostrich", "random"]
    verdicts = iter(["reached", "reached", "short", "reached", "reached", "missed"])
    sure = iter(["99.2 %", "99.3 %", "98.996 %", "99.5 %", "99.6 %", "20.0 %"])
    for photo, row in enumerate(rows):
        assert row[0] == f"cat {photo} 80.0 % sure photo-{photo}.jpg"
        for one, cell in zip(results[2 * photo : 2 * photo + 2], row[1:], strict=True):
            seen = [colour(one.visibility.colour_mean), "·", colour(one.visibility.colour_p99)]
            named = [] if one.wish == "ostrich" else [f"fish {photo}"]
            named += ["seen as eel"] if one.after[0][0] == "eel" else []
            assert cell == " ".join(["× 20", next(verdicts), next(sure), *named, *seen])


def test_first_screen_and_numbers(results: list[Crafted]) -> None:
    page = matrix_page(results)
    words = Page(page).words
    assert "6 pictures of 3 photographs" in words
    assert "4 of 6 pictures are taken for what was wished, at 99 % confidence or more." in words
    assert "How often 4 of 6 taken" in words
    assert "How visible 0.23 CIEDE2000 is" in words, "the median of 0.20, 0.21 ... 0.25"
    assert "How long 4.50 s is the median time for a picture, with 52 forward passes" in words
    assert "change by 0.21 CIEDE2000 in the mean, and by more than 1.22" in words, "of those that were reached"
    assert [row[1:] for row in cells(page, "spread numbers")[1:]] == [
        ["20.0 %", "99.2 %", "99.6 %"],
        ["0.20", "0.23", "0.25"],
        ["1.20", "1.25", "1.30"],
        ["0.9950", "0.9955", "0.9960"],
        ["50", "52", "55"],
        ["2.00 s", "4.50 s", "7.00 s"],
    ]


@pytest.mark.parametrize(
    ("of", "reached", "sentence"),
    [
        (0, 0, "No photograph has been crafted yet."),
        (1, 1, "The one picture is taken for what was wished"),
        (1, 0, "The one picture is not taken for what was wished"),
        (2, 1, "1 of 2 pictures is taken"),
    ],
)
def test_any_number_of_results_has_a_page(of: int, reached: int, sentence: str) -> None:
    html = matrix_page([crafted(photo, 0, reached=photo < reached) for photo in range(of)])
    assert sentence in Page(html).words
    assert len(cells(html)) == of + 1
    assert "Nothing has been compared yet." in Page(comparison_page([])).words


def test_a_missing_result_leaves_its_cell_empty_and_a_repeated_one_has_its_own(results: list[Crafted]) -> None:
    rows = cells(matrix_page([*results[:3], results[0], replace(results[4], photo=results[0].photo)]))
    assert rows[0] == ["photograph", "ostrich", "ostrich 2 ostrich", "random fish 0"]
    assert [[bool(cell) for cell in row] for row in rows[1:]] == [
        [True, True, True, True],
        [True, True, False, False],
        [True, True, False, False],
    ]


# --- its pictures


def test_each_original_is_embedded_once(results: list[Crafted]) -> None:
    html = matrix_page(results)
    page = Page(html)
    styles = re.findall(r"\.(o\w+) \{ --original: url\((.*?)\); \}", page.data["style"])
    assert len(styles) == 3
    assert page.values("tr", "class") == [name for name, _ in styles]
    images = page.values("img", "src")
    for photo, (_, uri) in enumerate(styles):
        assert html.count(uri) == 1 + (uri in images[:3]), "but for the three large pictures at the top"
        assert decoded(uri).equal(results[2 * photo].original)
    for index, one in enumerate(results):
        assert decoded(images[3 + 2 * index]).equal(one.perturbed)
        expected = 128 + 20 * (one.perturbed.int() - one.original.int())
        assert decoded(images[4 + 2 * index]).equal(expected.to(torch.uint8))
    assert all(page.values("img", "alt"))


def decoded(uri: str) -> Tensor:
    with Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2]))) as picture:
        pixels = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8)
        return pixels.view(picture.height, picture.width, 3).permute(2, 0, 1)


@pytest.mark.parametrize("compared", [False, True])
def test_many_noisy_pictures_stay_under_5_megabytes(compared: bool) -> None:
    large = [crafted(photo, 0, side=240 if compared else 128) for photo in range(4)]
    made = [
        replace(large[index % 4], photo=f"{index}.jpg", label_before=index) for index in range(60 if compared else 200)
    ]
    html = comparison_page([("s", "p", "o", one) for one in made]) if compared else matrix_page(made)
    assert 2_500_000 < len(html.encode()) <= 5_000_000
    assert len(Page(html).values("img", "src")) >= 2 * len(made)


# --- the comparison of ways


def test_ways_stand_by_success_and_then_by_visibility(results: list[Crafted]) -> None:
    """The third falls short; of the two that reach all, the less visible comes first. Numbers are means."""
    better, worse, short = results[0], replace(results[1], visibility=results[5].visibility), results[2]
    rows = rows_of([worse, better, short])
    again = [
        (*names, replace(one, original=results[4].original, photo="b.jpg", passes=one.passes + 10, seconds=9.0))
        for *names, one in rows
    ]
    html = comparison_page([*rows, *again])  # type: ignore[list-item]
    lines = [" ".join(line) for line in cells(html, "ways")[1:]]
    assert [re.search(r"\d of \d", line)[0] for line in lines] == ["2 of 2", "2 of 2", "0 of 2"]  # type: ignore[index]
    expected = [
        ("pixels", "ciede2000", "adam", "99.2 %", "0.20", "1.20", "0.9950", "55", "5.50 s"),
        ("pixels", "l2", "sgd", "99.3 %", "0.25", "1.30", "56", "6.00 s"),
        ("fourier", "ssim", "sgd", "0.22"),
    ]
    assert all(text in line for line, texts in zip(lines, expected, strict=True) for text in texts)
    words = Page(html).words
    assert "3 ways of crafting, 2 photographs" in words
    assert "2 of 3 ways of crafting reach every wish at 99 % confidence or more." in words
    assert re.search(r"The least visible .*ciede2000.* 0\.20 CIEDE2000", words)
    assert html.count("<article>") == 2
    assert "photo-0.jpg: cat 0 (80.0\u00a0%), to be taken for ostrich" in html


def test_a_way_that_was_tried_on_fewer_photographs_does_not_win(results: list[Crafted]) -> None:
    one, seldom, _ = rows_of(results)
    other = (*one[:3], replace(one[3], original=results[4].original, photo="b.jpg"))
    html = comparison_page([one, (*seldom[:3], replace(seldom[3], visibility=Visibility(0, 0, 1, 0, 0, 0))), other])
    said = r"1 of 2 ways of crafting reaches every wish .* The least visible is .{,40}l2"
    assert re.search(said, Page(html).words)


# --- what came from outside stays text


@pytest.fixture(scope="module", params=["matrix", "comparison"])
def hostile(request: pytest.FixtureRequest, results: list[Crafted]) -> str:
    """Every name is a script, or of a length that nobody reads."""
    made = []
    for index, one in enumerate(results):
        name = HOSTILE if index % 2 else f"W{'x' * 3000}{HOSTILE}"
        top = tuple((name, share) for _, share in one.after)
        made.append(
            replace(one, photo=name, wish=f"{name}{index}", target_name=name, before=top, after=top, attack=name)
        )
    if request.param == "matrix":
        return matrix_page(made)
    return comparison_page([(f"{HOSTILE}{index}", HOSTILE, one.photo, one) for index, one in enumerate(made)])


def test_hostile_names_are_text_and_nothing_is_loaded(hostile: str) -> None:
    page = Page(hostile)
    assert {tag for tag, _ in page.tags}.isdisjoint(
        ["script", "link", "iframe", "object", "embed", "base", "form", "svg", "video"]
    )
    assert not [key for _, attributes in page.tags for key in attributes if EVENT.match(key)]
    assert page.text.count(HOSTILE.replace("\udcff", "?")) > 20
    for _, attributes in page.tags:
        for name in ("src", "href", "action", "poster", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("#", "data:image/png;base64,", "data:image/jpeg;base64,"))
    assert not re.search(r"url\((?!data:image/)|@import|://", page.data["style"])
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline';")
    assert "script" not in policy


# --- in a browser

PROBE = """
const wide = [...document.querySelectorAll("body *")].filter((part) => {
  const [scrolls, box] = [part.closest(".scroll"), part.getBoundingClientRect()];
  return (!scrolls || scrolls === part) && box.width > 0 && box.right > document.documentElement.clientWidth + 1;
});
const { scrollWidth, clientWidth } = document.documentElement;
parent.postMessage([innerWidth, scrollWidth - clientWidth, ...wide.map((part) => part.outerHTML.slice(0, 300))], "*");
"""
FRAME = """<!doctype html><meta charset="utf-8"><body><script>
addEventListener("message", (told) => {
  document.title = btoa(unescape(encodeURIComponent(JSON.stringify(told.data))));
});
</script><iframe src="inner.html" style="border: 0; width: WIDTHpx; height: 900px"></iframe>"""


@pytest.mark.parametrize("width", [1300, 400])
def test_in_a_browser_nothing_complains_and_nothing_is_too_wide(hostile: str, width: int, tmp_path: Path) -> None:
    """In a frame: a window by itself has at least 500 pixels."""
    page = hostile.replace("default-src 'none';", f"default-src 'none'; script-src '{policy_hash(PROBE)}';", 1)
    page = page.replace("</body>", f"<script>{PROBE}</script></body>")
    (tmp_path / "inner.html").write_text(page, encoding="utf-8")
    document, console = browse(FRAME.replace("WIDTH", str(width)), tmp_path, "--window-size=1400,1000")
    assert console == []
    title = re.findall(r"<title>([\w+/=]+)</title>", document)[0]
    assert json.loads(base64.b64decode(title)) == [width, 0]
