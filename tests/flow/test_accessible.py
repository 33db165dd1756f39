"""What a page owes those who see it differently, as far as no browser is needed to tell."""

import math
import re
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from fake_craft import crafted
from fake_run import ATTACKS, make_run
from test_report import Page
from torch import nn

import brittle.pages
from brittle.api import compare
from brittle.crafting.page import comparison_page, matrix_page
from brittle.models.network import Network
from brittle.pages.colours import colours
from brittle.report import write_report
from brittle.web.page import Exhibit, Known, explorer_page

STYLE = (Path(brittle.pages.__file__).parent / "base.css").read_text(encoding="utf-8")
TEXT, DRAWN = 4.5, 3.0  # WCAG 2.2, 1.4.3 and 1.4.11


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    place = tmp_path_factory.mktemp("pages")
    for name in "abc":
        make_run(place / name, n=6, shape=(3, 4, 4), attacks=ATTACKS[2:])
    make_run(place / "two", n=6, shape=(3, 4, 4), attacks=ATTACKS[2:], models=["one", "two"])
    compare(*(place / name for name in "abc"), out=place / "compared.html")
    one = [("pixels", "l2", "adam", crafted(photo, 0)) for photo in range(2)]
    made = {
        "audit": write_report(place / "a").read_text(encoding="utf-8"),
        "views": write_report(place / "two").read_text(encoding="utf-8"),
        "compared": (place / "compared.html").read_text(encoding="utf-8"),
        "matrix": matrix_page([crafted(photo, wish) for photo in range(2) for wish in range(2)]),
        "ways": comparison_page(one),
        "explorer": explorer(),
    }
    return {name: Page(html) for name, html in made.items()}


NAMES = ("audit", "views", "compared", "matrix", "ways", "explorer")


def explorer() -> str:
    network = Network(nn.Sequential(nn.Flatten(), nn.Linear(16, 3)))
    images, labels = torch.rand(2, 1, 4, 4), torch.zeros(2, dtype=torch.long)
    known = Known("deepfool", "deepfool", {}, [True, True], [1.0, 1.0], [1, 1])
    return explorer_page([Exhibit("net", network, images, labels, "ab", "xyz", [known])], "noise")


@pytest.mark.parametrize("name", NAMES)
def test_headings_go_down_one_step_at_a_time(pages: dict[str, Page], name: str) -> None:
    levels = [int(tag[1]) for tag, _ in pages[name].tags if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels)), levels


@pytest.mark.parametrize("name", NAMES)
def test_what_can_be_reached_has_a_name_of_its_own(pages: dict[str, Page], name: str) -> None:
    page = pages[name]
    regions = Counter(found["aria-label"] for _, found in page.tags if found.get("role") == "region")
    navigation = Counter(page.values("nav", "aria-label"))
    ids = Counter(found["id"] for _, found in page.tags if "id" in found)
    views = 2 if name == "views" else 1  # of which one is shown at a time
    assert set(regions.values()) <= {1, views}
    assert {*navigation.values(), *ids.values()} == {1}
    assert not [tag for tag, found in page.tags if tag == "img" and not found.get("alt")]
    assert not page.empty_heads
    scrolled = [found for _, found in page.tags if "scroll" in found.get("class", "").split()]
    assert all(found.get("tabindex") == "0" and found.get("aria-label") for found in scrolled)


@pytest.mark.parametrize("dark", [False, True])
def test_text_and_curves_stand_out(dark: bool) -> None:
    root = variables(dark)
    for ink in ("ink", "muted", "wrong", "right", "note"):
        for ground in ("paper", "card"):
            assert contrast(root[ink], root[ground]) >= TEXT, (ink, ground)
    for ink, ground in (("note", "note-bg"), ("wrong", "doubt-bg"), ("paper", "ink"), ("ink", "track")):
        assert contrast(root[ink], root[ground]) >= TEXT, (ink, ground)
    for mixed in ("right", "wrong"):  # a cell of the square of classes, at its fullest
        fullest = tuple(0.45 * one + 0.55 * other for one, other in zip(root[mixed], root["paper"], strict=True))
        assert contrast(root["ink"], fullest) >= TEXT, mixed
    for number in range(1, 9):
        assert contrast(root[f"c{number}"], root["paper"]) >= DRAWN, number
    for lightness, chroma, hue in re.findall(r"oklch\(var\((--tone-\d)\) ([\d.]+) ([\d.]+)\)", colours(24)[1]):
        tone = float(re.findall(rf"{lightness}: (\d+)%", STYLE)[dark]) / 100
        assert contrast(oklch(tone, float(chroma), float(hue)), root["paper"]) >= DRAWN, (lightness, hue)


def variables(dark: bool) -> dict[str, tuple[float, ...]]:
    """The colours of ``:root``, sRGB in [0, 1]."""
    light, night = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)[:2]
    found = re.findall(r"--([\w-]+): #(\w{6})", light + night if dark else light)
    return {name: tuple(int(code[at : at + 2], 16) / 255 for at in (0, 2, 4)) for name, code in found}


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """The ratio of WCAG 2.2."""
    lights = sorted(luminance(colour) + 0.05 for colour in (one, other))
    return lights[1] / lights[0]


def luminance(colour: tuple[float, ...]) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in colour]
    return sum(share * value for share, value in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def oklch(lightness: float, chroma: float, hue: float) -> tuple[float, ...]:
    """sRGB in [0, 1], clipped; by the matrices of Ottosson's Oklab."""
    a, b = chroma * math.cos(math.radians(hue)), chroma * math.sin(math.radians(hue))
    l, m, s = (  # noqa: E741
        (lightness + x * a + y * b) ** 3
        for x, y in ((0.3963377774, 0.2158037573), (-0.1055613458, -0.0638541728), (-0.0894841775, -1.2914855480))
    )
    linear = (
        4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
        -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
        -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s,
    )
    clipped = [min(max(value, 0.0), 1.0) for value in linear]
    return tuple(12.92 * v if v <= 0.0031308 else 1.055 * v ** (1 / 2.4) - 0.055 for v in clipped)
