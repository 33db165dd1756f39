"""The page that attacks a network where it is read: what it computes is what Python computes, and it can be used."""

import base64
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kit import seeded
from test_report import Page, browse
from torch import Tensor, nn

import brittle
from brittle.catalog import attacks_from
from brittle.goals import Targeted, Untargeted
from brittle.models.network import Network
from brittle.pages.html import policy_hash
from brittle.pages.pictures import amplification
from brittle.run.attack import attack
from brittle.run.plan import attack_specs
from brittle.run.spec import read_spec
from brittle.studies import spec_of
from brittle.web.export import is_known
from brittle.web.layers import sequence_of
from brittle.web.page import HERE, MATHS, RULE, Exhibit, Known, explorer_page
from conftest import Cli

NODE = next(filter(None, map(shutil.which, ("node", "nodejs"))), None)
DIGITS = Path(__file__).parents[2] / "docs" / "explorer" / "digits.toml"
COUNT = 100
SAME = 1e-4  # of distances; what is promised is 1e-3


class Net(nn.Module):
    """A layer of each kind, windows that overlap and that stand over the edge, and steps without modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.one = nn.Conv2d(channels, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.pool = nn.MaxPool2d(3, 2, padding=1)
        self.first = nn.BatchNorm2d(6)
        self.two = nn.Conv2d(6, 8, 3, stride=2, padding=2, dilation=2, groups=2)
        self.mean = nn.AvgPool2d(3, 1, padding=1)
        self.dense, self.last = nn.Linear(32, 16), nn.Linear(16, 5)
        self.head = nn.Sequential(nn.Flatten(), self.dense, nn.Tanh(), nn.Dropout(), self.last)

    def forward(self, images: Tensor) -> Tensor:
        x = self.first(self.pool(F.relu(self.norm(self.one(2 * images - 1)))))
        x = torch.sigmoid(self.mean(self.two(x)))
        logits: Tensor = self.head(F.adaptive_avg_pool2d(x, (2, 2)) * 4)
        return logits


def network(channels: int) -> Network:
    net = Net(channels)
    with torch.no_grad():
        seeded(net, 1)
        for norm in (net.norm, net.first):
            generator = torch.Generator().manual_seed(2)
            for name, buffer in norm.named_buffers():
                if name != "num_batches_tracked":
                    buffer.copy_(0.5 + torch.rand(6, generator=generator))
        for parameter in (net.two.weight, net.dense.weight):
            parameter.mul_(4)
        seen = net((images_of(channels) - 0.4) / 0.3)
        net.last.bias.sub_(seen.mean(0))  # so that each class is some image's
    names = [f"<b>{number}" for number in range(5)]
    return Network(net, mean=[0.4] * channels, std=[0.3] * channels, class_names=names, name="<i>tiny</i>")


def images_of(channels: int, count: int = COUNT) -> Tensor:
    return torch.rand(count, channels, 8, 8, generator=torch.Generator().manual_seed(channels))


ATTACKS: dict[str, list[tuple[Any, bool]]] = {
    "fgsm": [(brittle.FGSM(eps=0.03), False), (brittle.FGSM(eps=0.3, norm="l2"), True)],
    "pgd": [
        (brittle.PGD(eps=0.02), False),
        (brittle.PGD(eps=0.2, norm="l2", steps=8, random_start=True), False),
        (brittle.PGD(eps=0.03, random_start=True, step_size=0.01), True),
    ],
    "deepfool": [(brittle.DeepFool(), False), (brittle.DeepFool(norm="linf", overshoot=0.1), False)],
    "few-pixel": [
        (brittle.FewPixel(population=20, generations=4), False),
        (brittle.FewPixel(eps=3, population=16, generations=3, levels=256), True),
    ],
}
COMPARED = """
const fs = require("fs");
const { made, asked } = JSON.parse(fs.readFileSync(0, "utf8"));
const network = new Network(made);
const images = imagesOf(made.images, made.shape);
console.log(JSON.stringify({
  logits: images.map((image) => Array.from(network.logits(image))),
  found: asked.map(({ name, options, targeted, labels, norm }) => images.map((image, at) => {
    const found = ended(attacked(network, image, labels[at], name, options, { targeted, seed: 3, id: made.ids[at] }));
    const { fooled, steps, forwards, backwards } = found;
    const size = MEASURES[norm](differenceOf(found.image, image), made.shape[1] * made.shape[2]);
    return { fooled, steps, forwards, backwards, size };
  })),
}));
"""


def in_node(script: str, given: Any) -> Any:
    """What the page's own code answers, without a browser."""
    if NODE is None:
        pytest.skip("no node on this machine to run the page's code with")
    code = "\n".join((HERE / name).read_text(encoding="utf-8") for name in MATHS) + script
    done = subprocess.run([NODE, "-e", code], input=json.dumps(given), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout)


def written(html: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Page(html).data["content"])
    return content


@pytest.mark.parametrize("channels", [1, 3])
def test_the_page_finds_what_python_finds(channels: int) -> None:
    classifier, images = network(channels), images_of(channels)
    logits = classifier.logits(images, plain=True)
    labels = logits.argmax(1)
    ids = tuple(f"image {number}" for number in range(COUNT))
    names = classifier.class_names or ()
    exhibit = Exhibit("tiny", classifier, images, labels, ids, names)
    asked, expected = [], []
    for name, attacks in ATTACKS.items():
        for method, targeted in attacks:
            wanted = logits.argsort(1)[:, -2] if targeted else labels
            goal = Targeted(wanted) if targeted else Untargeted(labels)
            expected.append(attack(classifier, images, goal, method, seed=3, ids=ids))
            norm = "l0" if name == "few-pixel" else str(brittle.catalog.traits_of(method).norm)
            said = {field: getattr(method, field) for field in method.__dataclass_fields__}
            options = said | ({"norm": norm} if "norm" in said else {})
            asked.append(
                {"name": name, "options": options, "targeted": targeted, "labels": wanted.tolist(), "norm": norm}
            )
    (made,) = written(explorer_page([exhibit], "noise"))["networks"]
    answers = in_node(COMPARED, {"made": made, "asked": asked})
    assert torch.allclose(torch.tensor(answers["logits"]), logits, atol=1e-5)
    for question, found, rows in zip(asked, expected, answers["found"], strict=True):
        fooled = [row["fooled"] for row in rows]
        what = f"{question['name']} {question['options']}"
        assert fooled == found.fooled.tolist(), what
        assert sum(fooled) > 3, f"{what} fools too few to tell"
        size = torch.tensor([row["size"] for row in rows])
        assert (size - found.distance(str(question["norm"]))).abs().max() <= SAME, what
        assert [row["steps"] for row in rows] == found.steps.tolist(), what
        if question["name"] != "few-pixel":  # whose memory forgets some candidates in Python
            assert [row["backwards"] for row in rows] == found.backwards.tolist(), what


def test_of_equal_pixels_the_first_has_the_gradient_of_their_window() -> None:
    """As in PyTorch; black images are full of them."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 2, (4, 1, 8, 8), generator=generator).float()
    classifier = Network(seeded(nn.Sequential(nn.MaxPool2d(3, 2, padding=1), nn.Flatten(), nn.Linear(16, 3))))
    exhibit = Exhibit("x", classifier, images, torch.zeros(4, dtype=torch.long), "abcd", "rst")
    script = """
    const made = JSON.parse(require("fs").readFileSync(0, "utf8"));
    const network = new Network(made);
    const gradient = (image) => Array.from(network.linearize(image)[1]([1, 0, 0]));
    console.log(JSON.stringify(imagesOf(made.images, made.shape).map(gradient)));
    """
    (made,) = written(explorer_page([exhibit], "dots"))["networks"]
    _, back = classifier.linearize(images)
    expected = back(torch.tensor([[1.0, 0.0, 0.0]]).repeat(4, 1)).flatten(1)
    assert torch.allclose(torch.tensor(in_node(script, made)), expected, atol=1e-6)


def test_a_change_is_amplified_by_the_one_rule() -> None:
    generator = torch.Generator().manual_seed(0)
    spread = [torch.randn(3000, generator=generator) * size for size in (0.0, 1e-4, 0.3, 1.0, 3.0, 17.0, 80.0)]
    single = torch.zeros(3000)
    single[5] = 40.0
    edges = [torch.full((9,), level) for level in (12.74, 12.76, -12.84, -12.86)]  # half a grey level is forgiven
    changes = [change.tolist() for change in (*spread, single, *edges)]
    script = """
    const { changes, rule } = JSON.parse(require("fs").readFileSync(0, "utf8"));
    console.log(JSON.stringify(changes.map((change) => amplification(change, rule))));
    """
    assert in_node(script, {"changes": changes, "rule": RULE}) == [amplification(np.array(one)) for one in changes]


class Joined(nn.Module):
    """A layer that reads what lies before the last one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(1, 1, 3, padding=1), nn.Linear(64, 3)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head((images + self.conv(images)).flatten(1))
        return logits


def test_padding_stays_padding_and_batch_norms_are_taken_in() -> None:
    """A normalisation is not zero where a convolution pads, so it stands before it; norms behind are folded."""
    sequence = sequence_of(network(3), images_of(3, 4))
    kinds = [type(layer).__name__ for layer in sequence]
    body = "Conv2d ReLU MaxPool2d Scale Conv2d AvgPool2d Sigmoid AvgPool2d Scale"
    assert kinds == f"Scale {body} Flatten Linear Tanh Linear".split()


@pytest.mark.parametrize(
    ("net", "said"),
    [
        (Joined(), "add does not follow the layer before it"),
        (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), "2 is a Softmax"),
        (nn.Sequential(nn.Conv2d(1, 3, 3, padding_mode="reflect"), nn.Flatten(), nn.Linear(108, 3)), "0 is a Conv2d"),
        (nn.Sequential(nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(9, 3)), "0 makes windows of several sizes"),
        (nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Flatten(), nn.Linear(16, 3)), "a divisor"),
    ],
    ids=["joined", "softmax", "reflected", "adaptive", "divided"],
)
def test_what_no_page_knows_is_refused_by_the_name_of_its_layer(net: nn.Module, said: str) -> None:
    exhibit = Exhibit("x", Network(net), images_of(1, 4), torch.zeros(4, dtype=torch.long), "abcd", "rst")
    with pytest.raises(brittle.BrittleError, match=re.escape(said)) as error:
        explorer_page([exhibit], "noise")
    assert "\n" not in str(error.value)


def test_a_network_too_large_for_a_page_is_refused() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 20_000), nn.ReLU(), nn.Linear(20_000, 3))
    exhibit = Exhibit("x", Network(net), images_of(1, 2), torch.zeros(2, dtype=torch.long), "ab", "rst")
    with pytest.raises(brittle.BrittleError, match=r"expected a page of at most 4\.9 MB, got 7"):
        explorer_page([exhibit], "noise")


MINE = """
import torch
from torch import nn

def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(36, 10))
"""


def test_an_audit_becomes_a_page(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "small_net.py").write_text(MINE)
    monkeypatch.chdir(tmp_path)
    spec = {"study": "audit", "data": "digits", "limit": 12, "models": [{"model": "python:small_net:small"}]}
    spec["attacks"] = ["fgsm,eps=0.1", "deepfool", "fgsm,eps=0.1,loss=logit", "pgd,norm=l1,eps=1"]
    brittle.run_spec(spec, out="run")
    monkeypatch.chdir(tmp_path.parent)
    assert cli("export", tmp_path / "run", "--web", tmp_path / "page.html").code == 0
    html = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(html) < 5_000_000
    (made,) = written(html)["networks"]
    assert [known["label"] for known in made["known"]] == ["fgsm(eps=0.1)", "deepfool"], "of those that it knows"
    records = brittle.Run.open(tmp_path / "run").records
    deepfool = records[records["attack"] == "deepfool"]
    assert made["known"][1]["size"] == deepfool["l2"].tolist()
    assert made["ids"] == deepfool["example"].tolist()
    policy = Page(html).values("meta", "content")[1]
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-")

    (tmp_path / "small_net.py").write_text(MINE.replace("seed(0)", "seed(1)"))
    monkeypatch.delitem(__import__("sys").modules, "small_net")
    changed = cli("export", tmp_path / "run", "--web", tmp_path / "other.html")
    assert (changed.code, changed.err.count("\n")) == (2, 1)
    assert "got another network: its weights have changed" in changed.err
    (tmp_path / "run" / "spec.toml").unlink()
    assert "made from Python" in cli("export", tmp_path / "run", "--web", tmp_path / "other.html").err
    assert not (tmp_path / "other.html").exists()


def test_the_documentations_page_is_of_attacks_that_it_knows() -> None:
    """All that ``make explorer`` runs is also beside Python."""
    content, _ = read_spec(DIGITS)
    texts = spec_of(content, "digits.toml").attacks
    known = attack_specs([one for text in texts for one in attacks_from(text)])
    assert len(known) == len(texts)
    assert all(map(is_known, known))
    assert {spec.name for spec in known} == set(ATTACKS)


# --- in a browser

DRIVER = """
(async () => {
  const wait = (ms) => new Promise((done) => setTimeout(done, ms));
  const by = (id) => document.getElementById(id);
  const told = async () => {
    by("told").dataset.fooled = "";
    by("run").click();
    for (let tries = 0; tries < 100 && !by("told").dataset.fooled; tries += 1) await wait(20);
    return by("told").textContent;
  };
  const seen = { told: {}, alerts: 0 };
  window.alert = () => { seen.alerts += 1; };
  for (const input of document.querySelectorAll("input[name=attack]")) {
    input.click();
    const field = by("options").querySelector("[name=eps]");
    if (field) field.value = input.value === "few-pixel" ? 4 : 0.3;
    seen.told[input.value] = await told();
  }
  by("step").value = 0;
  by("step").dispatchEvent(new Event("input", { bubbles: true }));
  seen.first = [by("at").textContent, by("after").textContent === by("before").textContent, by("factor").textContent];
  seen.curve = [...by("curve").querySelectorAll("path")].every((path) => !/NaN|undefined/.test(path.getAttribute("d")));
  document.querySelector("input[value=deepfool]").click();
  by("target").value = "4";
  by("run").click();
  seen.refused = by("told").textContent;
  document.querySelector("input[value=pgd]").click();
  by("options").querySelector("[name=eps]").value = 1;
  seen.target = await told();
  by("options").querySelector("[name=eps]").value = -1;
  by("run").click();
  seen.invalid = by("options").querySelector(":invalid")?.name;
  by("options").querySelector("[name=eps]").value = 1;
  by("drawing").open = true;
  const canvas = by("canvas");
  const down = () => new KeyboardEvent("keydown", { key: "ArrowDown", shiftKey: true, bubbles: true });
  for (let stroke = 0; stroke < 5; stroke += 1) canvas.dispatchEvent(down());
  seen.unchosen = document.querySelectorAll("input[name=image]:checked").length;
  by("target").value = "";
  seen.drawn = await told();
  by("all").click();
  for (let tries = 0; tries < 200 && by("progress").textContent !== "Done."; tries += 1) await wait(20);
  seen.known = [...by("known").rows].map((row) => [...row.cells].map((cell) => cell.textContent));
  seen.named = [...document.querySelectorAll("input, select, button, canvas[role=img], svg, [tabindex]")]
    .filter((one) => !(one.labels?.length || one.getAttribute("aria-label") || one.textContent.trim()))
    .map((one) => one.outerHTML);
  seen.wide = document.documentElement.scrollWidth > innerWidth;
  seen.elements = document.querySelectorAll("main i i, main b b").length;
  const out = document.createElement("pre");
  out.id = "outcome";
  out.textContent = btoa(unescape(encodeURIComponent(JSON.stringify(seen))));
  document.body.append(out);
})();
"""


def test_in_a_browser_everything_can_be_used(tmp_path: Path) -> None:
    classifier, images = network(1), images_of(1, 8)
    labels = classifier.logits(images).argmax(1)
    ids = tuple("abcdefgh")
    found = attack(classifier, images, labels, brittle.DeepFool(), ids=ids)
    options = {"norm": "l2", "overshoot": 0.02, "max_steps": 50, "candidates": 10}
    known = Known("deepfool", "deepfool", options, found.fooled.tolist(), found.distance("l2").tolist(), [1] * 8)
    exhibit = Exhibit("<i>tiny</i>", classifier, images, labels, ids, classifier.class_names or [], [known])
    html = explorer_page([exhibit], "<b>noise</b>")
    html = html.replace("script-src ", f"script-src '{policy_hash(DRIVER)}' ", 1)
    html = html.replace("</body>", f"<script>{DRIVER}</script></body>")
    document, console = browse(html, tmp_path, "--window-size=390,3000")
    assert console == []
    outcome = re.search(r'<pre id="outcome">([^<]+)</pre>', document)
    assert outcome, "the driver did not finish"
    seen = json.loads(base64.b64decode(outcome[1]))
    assert set(seen["told"]) == {"fgsm", "pgd", "deepfool", "few-pixel"}
    assert all(re.match(r"Fooled: it takes this for <b>\d\. L2 distance", told) for told in seen["told"].values())
    assert seen["first"][0].startswith("0 of ")
    assert seen["first"][1:] == [True, "\u00d7\u00a01"]
    assert seen["curve"]
    assert seen["refused"].startswith("DeepFool only leaves a class")
    assert seen["target"].startswith("Fooled: it takes this for <b>4.")
    assert seen["invalid"] == "eps"
    assert seen["unchosen"] == 0
    assert seen["drawn"].startswith("Fooled")
    assert [row[:4] for row in seen["known"]] == [["deepfool", "8 of 8", "8 of 8", "0"]]
    assert float(seen["known"][0][4]) <= SAME
    assert seen["named"] == []
    assert not seen["wide"], "the page scrolls sideways"
    assert (seen["alerts"], seen["elements"]) == (0, 0), "names are text"
