"""The report: what it says, what it refuses to run, and what a browser makes of it."""

import base64
import io
import json
import os
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import vl_convert
from fake_run import ATTACKS, CLASSES, DEEPFOOL, FGSM, HOSTILE, PGD, make_run, manifest_of, spec
from PIL import Image
from rich.console import Console

from brittle.errors import BrittleError
from brittle.flags import FLAGS
from brittle.measure import MEASURES, Curve, Measured, Told, cases, hero_of, leaderboard, summarize
from brittle.pages.colours import colours
from brittle.pages.html import policy_hash
from brittle.pages.words import norm_text
from brittle.records import FlagRecord, View, read_manifest, read_records
from brittle.report import summary_table, write_report
from brittle.report.charts import javascript
from brittle.report.page import HERE
from brittle.report.plain import plain_page, write_told
from brittle.report.worded import interval_text
from brittle.text import percent, significant

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
EVENT = re.compile(r"^on[a-z]+$")


class Page(HTMLParser):
    """What a browser sees: tags with their attributes, and text outside of scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.data: dict[str, str] = {}
        self.empty_heads = 0
        self._head: str | None = None
        self._inside: str | None = None
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {key: value or "" for key, value in attrs}
        self.tags.append((tag, found))
        self._head = "" if tag == "th" else self._head
        self.text += " " if tag in ("small", "td", "th") else ""  # which stand apart
        self._inside = (found.get("id") or tag) if tag in ("script", "style") else self._inside

    def handle_endtag(self, tag: str) -> None:
        if tag in ("script", "style"):
            self._inside = None
        if tag == "th":
            self.empty_heads += not (self._head or "").strip()

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.data[self._inside] = self.data.get(self._inside, "") + data
        else:
            self.text += data
            self._head = None if self._head is None else self._head + data

    def values(self, tag: str, attribute: str) -> list[str]:
        return [attributes[attribute] for name, attributes in self.tags if name == tag and attribute in attributes]

    @property
    def words(self) -> str:
        return " ".join(self.text.split())


def seen(directory: Path) -> tuple[View, pd.DataFrame]:
    """The first model and goal of a run, and its records."""
    view = next(read_manifest(directory).views())
    return view, view.of(read_records(directory))


def page_of(directory: Path) -> Page:
    return Page(write_report(directory).read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("run")
    make_run(directory, n=60)
    return directory


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that can come from outside is a script, and an attribute breaker."""
    evil = f"\"'>{HOSTILE}</title></style></script><img src=x onerror=alert(1)>"
    directory = tmp_path_factory.mktemp("hostile")
    make_run(
        directory,
        n=40,
        missing=5,
        attacks=[spec("deepfool", "minimal", "l2", evil, option=evil), FGSM, PGD],
        class_names=[f"{HOSTILE}{number}{evil}" for number in range(10)],
        ids=[f"{evil}{number}" for number in range(40)],
        models=[evil],
        data=evil,
        command=evil,
        device=evil,
        versions={evil: evil, "brittle": evil},
        flags=[FlagRecord(code=evil, message=evil)],
    )
    return directory


# --- what it says


def test_the_first_screen_says_how_accurate_how_easily_and_by_how_little(run: Path) -> None:
    page, summary = page_of(run), summarize(*seen(run))
    words = page.words
    assert " ".join(summary.headline).replace(" %", "\u00a0%") in page.text.replace("  ", " ")
    first = words[: words.index("Accuracy against the size")]
    assert first.index("How accurate") < first.index("How easily fooled") < first.index("By how little")
    view, records = seen(run)
    hero = hero_of(view, DEEPFOOL, records)
    assert hero is not None and hero.survives_8bit
    assert f"this one is no.\u00a0{hero.rank} by the size of its change" in page.text
    assert CLASSES[hero.clean_prediction] in first
    assert CLASSES[hero.adversarial_prediction] in first
    assert "few-examples" in first


def test_the_parts_come_in_the_order_of_reading(run: Path) -> None:
    assert page_of(run).values("section", "id") == [
        "summary",
        "curves",
        "measures",
        "classes",
        "gallery",
        "cost",
        "flags",
        "repeat",
    ]


def test_every_measure_is_in_the_table_and_defined(run: Path) -> None:
    words = page_of(run).words
    for key, definition in MEASURES.items():
        # Untargeted, an attack's success rate is its fooling rate.
        assert words.count(definition.name) >= (1 if key == "attack_success_rate" else 2), definition.name
        assert definition.description in words


def test_every_raised_flag_is_explained(tmp_path: Path) -> None:
    make_run(tmp_path, n=20, attacks=[FGSM], flags=[FlagRecord(code=code, message=f"about {code}") for code in FLAGS])
    page = page_of(tmp_path)
    for code, meaning in FLAGS.items():
        assert f"flag-{code}" in page.values("article", "id")
        assert meaning.sentence in page.words
        assert f"{meaning.remedy}." in page.words
        assert f"about {code}" in page.words


def test_everything_needed_to_repeat_the_run_is_there(run: Path) -> None:
    (manifest, _), words = seen(run), page_of(run).words
    assert manifest.command
    for fact in (
        manifest.command,
        manifest.model_fingerprint,
        manifest.data_fingerprint,
        manifest.created,
        "2.15.0",
        "cpu",
    ):
        assert fact in words
    for attack in manifest.attacks:
        for key, value in attack.config.items():
            assert f"{key}={value}" in words
    page = page_of(run)
    assert json.loads(page.text[page.text.index('{\n  "schema_version"') : page.text.rindex("}") + 1])["seed"] == 0


def test_a_run_from_python_has_no_command(tmp_path: Path) -> None:
    make_run(tmp_path, n=5, command=None)
    assert "made from Python" in page_of(tmp_path).words


def test_the_gallery_states_factor_names_and_distances(run: Path) -> None:
    page, (manifest, records) = page_of(run), seen(run)
    gallery = page.words[page.words.index("Gallery For each") : page.words.index("Cost Means")]
    shown = [case for attack in ATTACKS for case in cases(manifest, attack, records, fooled=9, withstood=3)]
    for case in shown:
        assert case.example in gallery
        assert f"distance {significant(case.distance)}" in gallery
    assert gallery.count("lost in 8 bits") == 1 + sum(case.fooled and not case.survives_8bit for case in shown)
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(images) == 3 * (1 + len(shown))
    cards = [attributes for tag, attributes in page.tags if tag == "article" and "data-fooled" in attributes]
    assert [card["data-fooled"] for card in cards] == [
        str((2 if case.survives_8bit else 1) if case.fooled else 0) for case in shown
    ]
    assert all(image["alt"] and image["src"].startswith("data:image/png;base64,") for image in images)
    assert all(image["class"] == "pixelated" for image in images)


def test_the_chart_carries_every_attack_in_every_norm(run: Path) -> None:
    data = json.loads(page_of(run).data["chart-data"])
    assert {(line["name"], line["norm"]) for line in data["series"]} == {
        (attack.label, norm) for attack in ATTACKS for norm in ("l2", "linf", "l1", "l0")
    }
    for line in data["series"]:
        assert line["distance"][0] == 0
        assert line["accuracy"] == sorted(line["accuracy"], reverse=True)
        assert len(line["distance"]) == len(line["accuracy"]) <= 201


def test_the_chart_specification_compiles(run: Path) -> None:
    page = page_of(run)
    specification, data = json.loads(page.data["chart-spec"]), json.loads(page.data["chart-data"])
    specification["data"]["values"] = data["series"]
    vega = vl_convert.vegalite_to_vega(specification, vl_version="6.4")
    assert vega["marks"]


def test_several_models_and_goals_stand_beside_each_other(tmp_path: Path) -> None:
    make_run(tmp_path, n=30, models=["one", "two <b>"], goals=["untargeted", "random"], attacks=ATTACKS[2:])
    page, (manifest, records) = page_of(tmp_path), (read_manifest(tmp_path), read_records(tmp_path))
    anchors = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(anchors) == len(set(anchors))
    assert {link[1:] for link in page.values("a", "href")} <= set(anchors)
    table = page.words[page.words.index("beside each other The worst") : page.words.index("Show one, untargeted")]
    views = [summarize(view, view.of(records)) for view in manifest.views()]
    board = leaderboard(manifest, records, views)
    for one in board.standings:
        row = table[table.index(f"{one.model} {one.goal}") :]
        (robust, _), (best, worst) = one.robust_accuracy, one.place or (0, 0)
        rank = f"{best}" if best == worst else f"{best}\u2013{worst}"
        assert row.startswith(f"{one.model} {one.goal} {rank} {percent(one.clean_accuracy.value or 0)}")
        assert " ".join(f"{percent(robust.value or 0)} {interval_text(robust, 'fraction')} rank".split()) in row
        for norm in ("l2", "linf"):
            assert f"{significant(one.median_distance[norm].value or 0)} {norm_text(norm)}" in row
    assert "How this is counted, and what a rank means" in table
    for summary in views:
        assert " ".join(summary.headline) in page.words
    assert len([name for name in page.data if name.endswith("chart-data")]) == 4


def test_no_two_curves_look_alike() -> None:
    for count in (1, 8, 9, 30):
        used, style = colours(count)
        looks = dict(re.findall(r"(--c\d+): ([^;]+);", style)) if style else {name: name for name in used}
        assert len(used) == len(set(used)) == len(set(looks.values())) == count


# --- a page that nobody wrote a template for


def test_any_study_has_a_page(tmp_path: Path) -> None:
    Image.new("RGB", (7, 5), (200, 10, 10)).save(tmp_path / "p.png")
    accuracy = Measured(value=0.5, low=0.4, high=0.6, count=5, of=10)
    told = Told(
        (f"What {HOSTILE} says.", "And more."),
        "size",
        "accuracy",
        (Curve(f"a{HOSTILE}", (0.0, 1.0), (0.9, 0.5)), Curve("b", (0.0, 1.0), (0.8, 0.1))),
        ("model", "size", "accuracy"),
        ((HOSTILE, 0.5, accuracy), ("net", 2.0, Measured(value=None))),
        (("The picture", "p.png"),),
    )
    manifest = manifest_of(
        models=["net"], study="noise", examples=10, flags=[FlagRecord(code="near-chance", message=HOSTILE)]
    )
    page = Page(write_told(tmp_path, manifest, told).read_text(encoding="utf-8"))
    assert f"What {HOSTILE} says. And more." in page.words
    assert f"{HOSTILE} 0.500 50.0 % 40.0 to 60.0 % 5 of 10 net 2 –" in page.words
    assert "hardly better than guessing" in page.words
    assert json.loads(page.data["chart-data"])["series"][1] == {"name": "b", "x": [0, 1], "y": [0.8, 0.1]}
    assert [*page.values("img", "alt"), *page.values("img", "width")] == ["The picture", "7"]
    assert {tag for tag, _ in page.tags} <= KNOWN_TAGS
    assert "Nothing." in Page(plain_page("Bare", ["Nothing."])).words


# --- runs that are not as they should be


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({"missing": 7}, "This run is not finished. 113 of 120 records are present"),
        ({"accuracy": 0.0}, "This classifier is wrong on all 30 images. There is nothing left for an attack to break."),
        ({"success": 0.0}, "which does not prove that none can."),
        ({"class_names": ["only"]}, "This classifier is right on all 30 images."),
        ({"n": 1}, "This classifier is right on the only image."),
        ({"n": 0}, "No image has been attacked yet."),
        ({"attacks": ()}, "There are no attacks in this run."),
        ({"labelled": False}, "How accurate no labels"),
        ({"goals": ["random"]}, "told to reach"),
        ({"shape": (1, 8, 8)}, "by the size of its change"),
        ({"shape": (2, 8, 9)}, "by the size of its change"),
    ],
)
def test_odd_runs_have_a_sensible_page(tmp_path: Path, how: dict[str, Any], expected: str) -> None:
    make_run(tmp_path, **({"n": 30} | how))
    words = page_of(tmp_path).words
    assert expected in words
    assert not re.search(r"\b(nan|None|inf|Undefined)\b", words[: words.index("Repeat this run")])


def test_unlabelled_data_shows_no_accuracy(tmp_path: Path) -> None:
    make_run(tmp_path, n=30, labelled=False)
    words = page_of(tmp_path).words
    assert "Clean accuracy" not in words[: words.index("All measures")]
    assert "classified correctly" not in words[: words.index("All measures")]
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(summary_table(summarize(*seen(tmp_path))))
    assert "Clean accuracy" not in console.export_text()


def test_a_run_without_its_images_still_has_a_page(tmp_path: Path) -> None:
    make_run(tmp_path, n=30)
    shutil.rmtree(tmp_path / "images" / "resnet20" / "clean")
    page = page_of(tmp_path)
    assert page.values("img", "src") == []
    assert "The images are not stored with this run" in page.words


def test_no_run_no_page(tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match=r"expected a run directory with manifest\.json"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_page_is_replaced_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_run(tmp_path, n=5)
    target = write_report(tmp_path)
    before, files = target.read_bytes(), sorted(tmp_path.iterdir())

    def refuse(source: str, destination: Path) -> None:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        with pytest.raises(BrittleError, match=r"expected to write .*Permission denied"):
            write_report(tmp_path)
    assert (target.read_bytes(), sorted(tmp_path.iterdir())) == (before, files)
    assert write_report(tmp_path).read_bytes() == before, "the same records, the same page"


@pytest.mark.parametrize("size", [300, 40])
def test_the_page_stays_under_5_megabytes(tmp_path: Path, size: int) -> None:
    """Noise, which no PNG compresses: 12 large photographs, or many attacks on small images."""
    images = torch.rand(12, 3, size, size, generator=torch.Generator().manual_seed(0))
    images = (images * 255).round() / 255
    attacks = (
        ATTACKS if size == 300 else [spec("deepfool", "minimal", "l2", f"deepfool(overshoot={i})") for i in range(40)]
    )
    make_run(tmp_path, images=images, attacks=attacks)
    page = write_report(tmp_path)
    assert 1_500_000 < page.stat().st_size <= 5_000_000
    assert len(Page(page.read_text(encoding="utf-8")).values("img", "src")) > 3 * len(attacks)


# --- numbers as text


def test_intervals_read_well(run: Path) -> None:
    measures = summarize(*seen(run)).overall
    assert re.fullmatch(r"[\d.]+ to [\d.]+ %", interval_text(measures["clean_accuracy"], "fraction"))


def test_the_terminal_table_takes_no_markup(tmp_path: Path) -> None:
    make_run(tmp_path, n=30, attacks=[spec("fgsm", "budget", "linf", "fgsm[bold red](x)", eps=0.01)])
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(summary_table(summarize(*seen(tmp_path))))
    text = console.export_text()
    assert re.search(r"fgsm\[bold red\] .*\n *\(x\)", text)
    assert "Clean accuracy 80.0 % (24 of 30; 95 % interval 62.7 to 90.5 %)" in text
    assert "few-examples: 24 correctly classified images" in text


# --- what came from outside stays text


def test_hostile_names_are_text_everywhere(hostile: Path) -> None:
    page = page_of(hostile)
    assert [attributes.get("id") for tag, attributes in page.tags if tag == "script"] == [
        "chart-data",
        "chart-spec",
        None,
        None,
    ]
    assert {tag for tag, _ in page.tags} <= KNOWN_TAGS
    assert not [key for _, attributes in page.tags for key in attributes if EVENT.match(key)]
    assert page.text.count(HOSTILE) > 50
    assert any(HOSTILE in alt for alt in page.values("img", "alt"))
    assert json.loads(page.data["chart-data"])["names"][0] == read_manifest(hostile).attacks[0].label
    assert "<" not in page.data["chart-data"]


KNOWN_TAGS = {
    "a",
    "article",
    "b",
    "body",
    "button",
    "caption",
    "dd",
    "details",
    "div",
    "dl",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "h1",
    "h2",
    "h3",
    "h4",
    "head",
    "header",
    "html",
    "i",
    "img",
    "input",
    "label",
    "legend",
    "li",
    "line",
    "main",
    "meta",
    "nav",
    "noscript",
    "option",
    "p",
    "pre",
    "script",
    "section",
    "select",
    "small",
    "span",
    "style",
    "summary",
    "svg",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "title",
    "tr",
    "u",
    "ul",
    "wbr",
}


def test_the_page_reaches_for_nothing_outside(run: Path) -> None:
    page = page_of(run)
    for tag, attributes in page.tags:
        for name in ("src", "href", "action", "poster", "srcset"):
            link = attributes.get(name, "")
            assert link == "" or link.startswith(("#", "data:image/png;base64,")), (tag, name, link[:80])
    assert not re.search(r"url\(|@import", page.data["style"])
    policy = next(attributes["content"] for _, attributes in page.tags if "http-equiv" in attributes)
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "'unsafe-inline'" not in policy.split("script-src")[1]


def test_our_own_script_cannot_end_early() -> None:
    for script in (javascript(), (HERE / "page.js").read_text(encoding="utf-8")):
        assert not re.search(r"</script|<!--|\r", script, re.IGNORECASE)


# --- in a browser

DRIVER = """
(async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const lines = () => [...document.querySelectorAll(".chart .mark-line path")];
  const seen = { drawn: {}, alerts: 0 };
  window.alert = () => { seen.alerts += 1; };
  await wait(400);
  for (const norm of ["linf", "l1", "l0", "l2"]) for (const scale of ["log", "linear"]) {
    document.querySelector(`input[value=${norm}]`).click();
    document.querySelector(`input[value=${scale}]`).click();
    await wait(200);
    const finite = lines().every((line) => !/NaN|Infinity/.test(line.getAttribute("d")));
    seen.drawn[`${norm} ${scale}`] = finite ? lines().length : "not finite";
  }
  document.querySelector(".legend button").click();
  await wait(200);
  seen.faded = lines().filter((line) => line.getAttribute("opacity") === "0.15").length;
  seen.pressed = document.querySelectorAll(".legend [aria-pressed=true]").length;
  const svg = document.querySelector(".chart svg");
  const box = svg.getBoundingClientRect();
  const at = { bubbles: true, clientX: box.left + box.width / 2, clientY: box.top + box.height / 2 };
  for (const kind of ["pointerover", "pointermove", "mousemove"]) svg.dispatchEvent(new PointerEvent(kind, at));
  await wait(100);
  for (const mark of document.querySelectorAll(".chart .mark-symbol path, .chart path.cell, .chart .mark-path path")) {
    for (const kind of ["pointerover", "pointermove", "mousemove"]) mark.dispatchEvent(new PointerEvent(kind, at));
  }
  await wait(200);
  seen.tooltip = document.querySelector("#vg-tooltip-element")?.textContent ?? "";
  const shown = () => [...document.querySelectorAll(".case")].filter((card) => !card.hidden);
  const pick = (by, value) => {
    const one = document.querySelector(`select[data-by=${by}]`);
    one.value = value;
    one.dispatchEvent(new Event("change", { bubbles: true }));
    return shown();
  };
  seen.first = shown().length;
  seen.own = pick("attack", "1").every((card) => card.dataset.attack === "1");
  seen.withstood = pick("fooled", "0").map((card) => card.dataset.fooled);
  document.querySelector(".measures thead .sort").click();
  seen.order = [...document.querySelector(".measures").tBodies].map((body) =>
    [...body.rows].map((row) => Number(row.cells[1]?.dataset.sort ?? 1e9)));
  document.querySelector("input[name=columns][value=all]").click();
  seen.columns = [...document.querySelectorAll(".measures thead th")].every((head) => head.offsetWidth > 0);
  document.querySelector("input[name=columns][value=main]").click();
  const stuck = document.querySelector(".tall");
  stuck.style.maxHeight = "120px";
  stuck.scrollTo(200, 60);
  const [corner, area] = [stuck.querySelector("thead th"), stuck].map((part) => part.getBoundingClientRect());
  seen.corner = [corner.left - area.left, corner.top - area.top].map(Math.round);
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  const out = document.createElement("pre");
  out.id = "outcome";
  out.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
  document.body.append(out);
})();
"""


def browse(html: str, directory: Path, *flags: str) -> tuple[str, list[str]]:
    """The document after the scripts have run, and everything that the browser's console was told."""
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine to open the report with")
    page = directory / "page.html"
    page.write_text(html, encoding="utf-8")
    common = (
        "--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run --enable-logging=stderr"
    )
    command = [CHROMIUM, *common.split(), f"--user-data-dir={directory / 'profile'}", "--virtual-time-budget=6000"]
    done = subprocess.run([*command, *flags, "--dump-dom", page.as_uri()], capture_output=True, text=True, timeout=60)
    return done.stdout, [line for line in done.stderr.splitlines() if "CONSOLE" in line]


def with_driver(html: str) -> str:
    """The page with one more script, which its policy is told to allow."""
    html = html.replace("script-src ", f"script-src '{policy_hash(DRIVER)}' ", 1)
    body, end, rest = html.rpartition("</body>")  # the last one: others are text inside Vega-Embed
    return f"{body}<script>{DRIVER}</script>{end}{rest}"


def test_in_a_browser_nothing_complains_and_everything_works(hostile: Path, tmp_path: Path) -> None:
    html = write_report(hostile).read_text(encoding="utf-8")
    document, console = browse(with_driver(html), tmp_path, "--window-size=1000,3000")
    assert console == []
    found = re.search(r'<pre id="outcome">([^<]+)</pre>', document)
    assert found, "the driver did not finish"
    seen = json.loads(base64.b64decode(found[1]))
    assert seen["drawn"] == {f"{norm} {scale}": 3 for norm in ("linf", "l1", "l0", "l2") for scale in ("log", "linear")}
    assert (seen["faded"], seen["pressed"]) == (2, 1)
    assert HOSTILE in seen["tooltip"]
    assert "still classified correctly" in seen["tooltip"]
    assert seen["alerts"] == 0
    assert 0 < seen["first"] <= 6
    assert seen["own"]
    assert seen["withstood"]
    assert set(seen["withstood"]) == {"0"}
    assert all(rates == sorted(rates, reverse=True) for rates in seen["order"])
    assert max(map(len, seen["order"])) == 3, "a kind's name, and two attacks of it"
    assert seen["columns"]
    assert seen["corner"] == [0, 0], "the table's head and first column stay"
    assert not seen["wide"], "the page scrolls sideways"


def test_the_browser_check_notices_what_the_policy_forbids(run: Path, tmp_path: Path) -> None:
    """Planted faults: an inline script that nobody allowed, and an image from elsewhere."""
    html = write_report(run).read_text(encoding="utf-8")
    planted = "<script>document.title = 'ran'</script><img src='https://example.invalid/x.png'>"
    document, console = browse(html.replace("</main>", f"{planted}</main>"), tmp_path)
    assert len(console) >= 2
    assert "<title>ran</title>" not in document
