"""What was made for one model, graded on every other: closed forms, the own grades, growth, and what is refused."""

import io
import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import patch

import killable
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import brittle
from brittle.api import write_page
from brittle.cli.results import results_json
from brittle.data import digits_split
from brittle.data.perturbation import Perturbation
from brittle.errors import BrittleError
from brittle.geometry.norms import L2
from brittle.measure import Summary, TransferMatrix, summaries, transfer_matrices
from brittle.models.classifier import Settings
from brittle.pages.words import value_text
from brittle.run.engine import Run
from brittle.run.sources import Sources
from brittle.studies import crossing
from brittle.studies.audit import Audit
from conftest import Cli


def matrices(run: Run) -> list[TransferMatrix]:
    return transfer_matrices(run.manifest, run.records, run.transfers)


def audited(run: Run) -> list[Summary]:
    return summaries(run.manifest, run.records)


def line(angle: float) -> brittle.Network:
    """Two classes of images of two pixels, told apart by a plane through their middle whose normal has this angle."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    normal = torch.tensor([math.cos(angle), math.sin(angle)])
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([-normal, normal]))  # type: ignore[operator, union-attr]
        net[1].bias.copy_(torch.tensor([1.0, -1.0]) * (normal.sum() / 2))  # type: ignore[operator, union-attr]
    return brittle.Network(net)


def three_classes(order: tuple[int, int, int]) -> brittle.Network:
    """The same two classes of the plane at no angle, and one that no image is of; in another order."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(2, 3))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])[list(order)])  # type: ignore[operator, union-attr]
        net[1].bias.copy_(torch.tensor([0.5, -0.5, -9.0])[list(order)])  # type: ignore[operator, union-attr]
    return brittle.Network(net)


def points(count: int = 400) -> brittle.Examples:
    images = 0.3 + 0.4 * torch.rand(count, 1, 1, 2, generator=torch.Generator().manual_seed(0))
    return brittle.examples_of(images, line(0.0).logits(images).argmax(1))


def ran(models: dict[str, Any], attacks: Any, out: Path, examples: Any = None, **settings: Any) -> Run:
    data = points() if examples is None else examples
    return killable.ran(killable.small_audit(models, data, attacks, 64, **{"transfer": {"l2": [0.2]}} | settings), out)


@pytest.mark.parametrize("angle", [0.3, 0.9, 1.5])
def test_between_two_planes_it_transfers_where_the_projected_change_crosses(angle: float, tmp_path: Path) -> None:
    """DeepFool goes along the source's normal; how far that takes an image towards the other plane, the angle tells."""
    examples = points()
    images, labels = examples.images(0, len(examples)), examples.labels
    assert labels is not None
    run = ran({"a": line(0.0), "b": line(angle)}, [brittle.DeepFool(overshoot=0.02)], tmp_path / "run")
    sign = torch.where(labels == 1, 1.0, -1.0)
    to_a = sign * (images.flatten(1)[:, 0] - 0.5)
    to_b = sign * ((images.flatten(1) - 0.5) @ torch.tensor([math.cos(angle), math.sin(angle)]))
    both = (to_a > 0) & (to_b > 0)
    for matrix, size in zip(matrices(run), (1.02 * to_a, torch.tensor(0.2)), strict=True):
        cell = matrix.cell("a", "b")
        assert cell is not None
        crosses = both & (size * math.cos(angle) > to_b)
        near = both & ((size * math.cos(angle) - to_b).abs() < 1e-4)
        assert cell.fooled.of == int(both.sum()) > 100
        assert abs((cell.fooled.count or 0) - int(crosses.sum())) <= int(near.sum())
        assert 0 < int(crosses.sum()) < int(both.sum()) or angle == 1.5
        assert (cell.kept, cell.elsewhere, cell.short) == (cell.fooled.of - cell.fooled.count, 0, 0)  # type: ignore[operator]
        assert cell.wrong == len(images) - int(both.sum())
        back = matrix.cell("b", "a")  # which is right on all images, and the source on some
        assert back is not None and back.fooled.of == int(both.sum())


def mixed() -> dict[str, Any]:
    """Two networks of one function, another one, and estimators that give scores and decisions."""
    train, _ = digits_split()
    rows, labels = train.images(0, 400).flatten(1).double().numpy(), train.labels[:400]  # type: ignore[index]

    class Door:
        inside = KNeighborsClassifier(3).fit(rows, labels)
        classes_ = inside.classes_

        def predict(self, asked: Any) -> Any:
            return self.inside.predict(asked)

    linear = LogisticRegression(max_iter=200).fit(rows, labels)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    with torch.no_grad():
        net[1].weight.copy_(torch.from_numpy(linear.coef_))  # type: ignore[operator, union-attr]
        net[1].bias.copy_(torch.from_numpy(linear.intercept_))  # type: ignore[operator, union-attr]
    return {
        "net": brittle.Network(net),
        "twin": brittle.Network(net),
        "linear": brittle.BlackBox(linear),
        "tree": brittle.BlackBox(DecisionTreeClassifier(random_state=0).fit(rows, labels)),
        "near": brittle.BlackBox(Door()),
    }


GRADIENT, SCORE, DECISION = brittle.FGSM(eps=0.2), brittle.Square(eps=0.2, queries=30), brittle.HopSkipJump(queries=60)


@pytest.fixture(scope="module")
def mix(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Five models, three attacks, two goals."""
    _, test = digits_split()
    examples = brittle.examples_of(test.images(0, 60), test.labels[:60])  # type: ignore[index]
    return ran(
        mixed(),
        [GRADIENT, SCORE, DECISION],
        tmp_path_factory.mktemp("mix") / "run",
        examples,
        goals=("untargeted", "next-best"),
        transfer={"linf": [0.1, 0.3]},
        trained_on={"net": "half-1", "twin": "half-1", "tree": "half-2"},
    )


def test_the_diagonal_is_the_audits_own_grade_image_by_image(mix: Run) -> None:
    transfers = mix.transfers
    own = transfers[(transfers["source"] == transfers["target"]) & transfers["size"].isna()]
    keys = ["model", "goal", "attack", "position"]
    both = mix.records.merge(own.rename(columns={"source": "model"}), on=keys, suffixes=("", "_there"))
    assert len(both) == len(mix.records) == len(own) == 2 * 60 * (2 * 3 + 2 * 2 + 1)
    assert (both["fooled"] == both["fooled_there"]).all()
    assert (both["adversarial_prediction"] == both["prediction"]).all()
    assert (both["clean_prediction"] == both["clean_prediction_there"]).all()
    assert both["fooled"].any()
    views = {(one.model, one.goal): one for one in audited(mix)}
    for matrix in matrices(mix):
        for model in matrix.models if matrix.size is None and matrix.goal == "untargeted" else ():
            cell = matrix.cell(model, model)
            if cell is not None:
                assert cell.fooled == views[model, matrix.goal].attack(matrix.attack).measures["fooling_rate"]


def test_a_model_is_a_source_of_what_it_gives_enough_for_and_a_target_of_all(mix: Run) -> None:
    by_attack = {matrix.attack: matrix for matrix in matrices(mix) if matrix.size is None}
    unable = [matrix.unable for matrix in by_attack.values()]
    assert unable == [["linear", "tree", "near"], ["near"], []]
    for matrix in by_attack.values():
        sources = [name for name in matrix.models if name not in matrix.unable]
        assert {(cell.source, cell.target) for cell in matrix.cells} == {(s, t) for s in sources for t in matrix.models}
        for cell in matrix.cells:
            assert cell.noise.of == cell.fooled.of
            assert None not in (cell.noise.low, cell.noise.high, cell.fooled.low)
            assert cell.kept + cell.elsewhere + (cell.fooled.count or 0) == cell.fooled.of
    assert all(summary.complete for summary in audited(mix))


def test_the_same_function_twice_gets_all_that_the_source_got(mix: Run) -> None:
    for matrix in matrices(mix):
        if "net" not in matrix.unable and matrix.size is None:
            cell = matrix.cell("net", "twin")
            assert cell is not None and cell.of_fooling.count == cell.of_fooling.of == cell.fooled.count
            assert cell.of_fooling.of or matrix.goal != "untargeted"
    hard = next(one for one in matrices(mix) if one.attack.startswith("fgsm") and one.size == 0.3)
    cell = hard.cell("net", "linear")  # the same function again, as an estimator
    assert cell is not None and (cell.fooled.value or 0) > 0.9


def test_the_control_stays_near_chance_and_has_the_size_of_the_change(mix: Run) -> None:
    transfers = mix.transfers[mix.transfers["reached"]]
    assert (transfers["noise_distance"] - transfers["distance"]).abs().max() < 1e-5
    sized = transfers[transfers["size"].notna()]
    assert (sized["distance"] - sized["size"]).abs().max() < 1e-6
    first = matrices(mix)[1]
    assert first.size == 0.1
    for cell in first.cells:
        if cell.target != "tree":  # a tree is changed by noise
            assert (cell.noise.value or 0) < 0.1 < (cell.fooled.value or 0) or cell.target == "near"


def test_a_grade_by_the_source_would_be_seen(mix: Run, tmp_path: Path) -> None:
    """The planted fault: whatever is asked of the target, the source answers."""
    wrong = crossing.resizing
    shown = list[Any]()

    def by_first(classifier: Any, *shapes: Any) -> Any:
        shown.append(classifier)
        return wrong(shown[0], *shapes)

    with patch.object(crossing, "resizing", by_first):
        run = ran({"a": line(0.0), "b": line(1.5)}, [brittle.DeepFool()], tmp_path / "run")
    matrix = matrices(run)[0]
    cell = matrix.cell("a", "b")
    assert cell is not None and cell.fooled.value == 1  # which the closed form above denies
    own = matrix.cell("b", "b")
    assert own is not None
    assert own.fooled != next(one for one in audited(run) if one.model == "b").attacks[0].measures["fooling_rate"]


def test_models_of_disjoint_training_images_are_told_apart(mix: Run) -> None:
    matrix = next(one for one in matrices(mix) if one.attack.startswith("square") and one.size is None)
    groups = {(one.source, one.target): one for one in matrix.groups}
    assert set(groups) == {("half-1", "half-1"), ("half-1", "half-2"), ("half-2", "half-1")}
    cells = [matrix.cell("net", "tree"), matrix.cell("twin", "tree")]
    assert groups["half-1", "half-2"].cells == 2
    assert groups["half-1", "half-2"].fooled == pytest.approx(sum(one.fooled.value for one in cells if one) / 2)  # type: ignore[misc]


def test_targeted_unlabelled_and_rejecting_models_are_graded_by_their_own_rules(tmp_path: Path) -> None:
    examples = points()
    blind = brittle.examples_of(examples.images(0, 400))
    matrix = matrices(ran({"a": line(0.0), "b": line(1.2)}, [brittle.DeepFool()], tmp_path / "blind", blind))[0]
    cell = matrix.cell("a", "b")
    assert cell is not None and (cell.wrong, cell.fooled.of) == (0, 400)  # each is held against its own answer
    plain, refusing = three_classes((0, 1, 2)), three_classes((0, 2, 1)).adjusted(Settings(reject=2))
    matrix = matrices(ran({"a": plain, "b": refusing}, [brittle.DeepFool()], tmp_path / "refusing"))[0]
    cell = matrix.cell("a", "b")
    assert cell is not None and (cell.fooled.count, cell.elsewhere > 0) == (
        0,
        True,
    )  # to be rejected is not to be fooled


class Bright(nn.Module):
    """Says whether an image of one size only is bright."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape[2:] == (self.side, self.side)
        bright = images.flatten(1).mean(1)
        return torch.stack([0.5 - bright, bright - 0.5], 1)


def test_an_image_of_one_size_is_resized_for_a_model_of_another(tmp_path: Path) -> None:
    """Both say whether an image is bright, which resizing keeps: all that fools the one fools the other."""
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.4
    labels = (images.flatten(1).mean(1) > 0.5).long()
    small = nn.functional.interpolate(images, (4, 4), mode="bilinear", antialias=True)
    ids = [f"{k}" for k in range(40)]
    data = {"whole": brittle.examples_of(images, labels, ids=ids), "half": brittle.examples_of(small, labels, ids=ids)}
    models = {"whole": brittle.Network(Bright(8)), "half": brittle.Network(Bright(4))}
    study = Audit(Sources.made_of(models, data), [brittle.FGSM(eps=0.1)], transfer={})
    (matrix,) = matrices(killable.ran(study, tmp_path / "run"))
    for cell in matrix.cells:
        assert (cell.fooled.value or 0) > 0.9
        assert (cell.fooled.of or 0) >= 38


def test_one_perturbation_for_all_images_is_graded_on_all_models(tmp_path: Path) -> None:
    values = torch.tensor([[[0.2, 0.0]]])
    attack = brittle.attacks.AddPerturbation(file=Perturbation.of(values, norm=L2, eps=0.2))
    run = ran({"a": line(0.0), "b": line(0.9), "c": line(1.5)}, [attack], tmp_path / "run", transfer={"l2": [0.1]})
    examples = points()
    images, labels = examples.images(0, 400), examples.labels
    for matrix, size in zip(matrices(run), (0.2, 0.1), strict=True):
        for target, angle in (("a", 0.0), ("b", 0.9), ("c", 1.5)):
            other = line(angle)
            right = (other.logits(images).argmax(1) == labels) & (line(0.0).logits(images).argmax(1) == labels)
            moved = other.logits(images + values * (size / 0.2)).argmax(1) != labels
            cell = matrix.cell("a", target)
            assert cell is not None and (cell.fooled.count, cell.fooled.of) == (
                int((right & moved).sum()),
                int(right.sum()),
            )


def test_the_matrix_grows_with_models_and_attacks_and_an_audit_gets_one_later(tmp_path: Path) -> None:
    whole = ran({"a": line(0.0), "b": line(0.9)}, [brittle.DeepFool(), brittle.FGSM(eps=0.1)], tmp_path / "whole")
    first = ran({"a": line(0.0)}, [brittle.DeepFool()], tmp_path / "run", transfer=None)
    assert not matrices(first)
    before = {path: path.stat().st_mtime_ns for path in first.directory.rglob("*.parquet")}
    ran({"a": line(0.0), "b": line(0.9)}, [brittle.DeepFool()], tmp_path / "run")
    grown = ran({"a": line(0.0), "b": line(0.9)}, [brittle.FGSM(eps=0.1)], tmp_path / "run")
    assert matrices(grown) == matrices(whole)
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    with pytest.raises(BrittleError, match=r"the run that is to grow has the model 'b' too; name all"):
        ran({"a": line(0.0)}, [brittle.PGD(eps=0.1)], tmp_path / "run")
    with pytest.raises(BrittleError, match=r"a different run \(transfer: there \{'l2': \[0.2\]\}; now"):
        ran({"a": line(0.0), "b": line(0.9)}, [brittle.DeepFool()], tmp_path / "run", transfer={"l2": [0.3]})


def test_models_that_cannot_be_compared_are_refused_in_one_line(tmp_path: Path) -> None:
    three = brittle.Network(nn.Sequential(nn.Flatten(), nn.Linear(2, 3)))
    named = [line(0.0).adjusted(Settings(class_names=names)) for names in (["x", "y"], ["x", "z"])]
    tree = brittle.BlackBox(DecisionTreeClassifier().fit([[0, 0], [1, 1]], [0, 1]))
    cases: list[tuple[dict[str, Any], Any, dict[str, Any], str]] = [
        ({"a": line(0.0), "b": three}, DECISION, {}, "as many classes for a transfer, got 2 of a and 3 of b"),
        (dict(zip("ab", named, strict=True)), DECISION, {}, "got class 1 as 'y' of a and 'z' of b"),
        ({"a": line(0.0)}, DECISION, {}, "expected two models or more for a transfer, got a alone"),
        ({"a": line(0.0), "b": line(1.0)}, DECISION, {"images": "fooled"}, "expected images as all"),
        ({"a": tree, "b": tree}, GRADIENT, {}, "asks for gradients, DecisionTreeClassifier only gives scores"),
    ]
    for models, attack, settings, said in cases:
        with pytest.raises(BrittleError, match=said) as refused:
            ran(models, [attack], tmp_path / "run", **settings)
        assert "\n" not in str(refused.value)
        assert not (tmp_path / "run").exists()
    with pytest.raises(BrittleError, match="only gives scores"):  # without a transfer every model gets every attack
        ran({"a": line(0.0), "b": tree}, [GRADIENT], tmp_path / "run", transfer=None)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--at", "linf=0.1"], "expected sizes such as linf=0.1 with a transfer only"),
        (["--transfer", "--at", "0.1"], "expected the size of a change as NORM=SIZE"),
        (["--transfer", "--at", "l2=-1"], "expected the size of a change as NORM=SIZE"),
        (["--transfer", "--at", "l0=3"], "pixels cannot be scaled"),
        (["--transfer", "--at", "l2=1", "--at", "2=1.0"], "expected different sizes"),
        (["--transfer", "--trained-on", "c=x"], "expected --trained-on of several models as NAME=... of a, b"),
    ],
)
def test_on_the_command_line_too(options: list[str], said: str, cli: Cli, tmp_path: Path) -> None:
    models = ["--model", "a=digits-cnn", "--model", "b=digits-cnn"]
    ran = cli("audit", *models, "--data", "digits", "--attack", "fgsm", "--out", tmp_path / "run", *options)
    assert (ran.code, said in ran.err, ran.err.count("\n")) == (2, True, 1), ran.err
    assert not (tmp_path / "run").exists()


def test_page_terminal_json_latex_and_csv_carry_the_matrix(mix: Run, cli: Cli) -> None:
    found = matrices(mix)
    page = write_page(mix.directory)
    assert page is not None
    section = page.read_text().partition('<section id="transfer"')[2].partition("</section>")[0]
    assert section.count('class="matrix ') == len(found) == 2 * (3 + 3 + 1)
    assert section.count("data-sort=") == sum(len(one.cells) for one in found)
    for matrix in found:
        for cell in matrix.cells:
            assert f"<b>{value_text(cell.fooled.value, 'fraction')}</b>".replace(" ", "\u00a0") in section
            assert f"noise {value_text(cell.noise.value, 'fraction')}".replace(" %", "\u00a0%") in section
    assert json.loads(results_json(mix))["transfer"] == [one.model_dump(mode="json") for one in found]
    said = cli("summary", mix.directory)
    assert said.code == 0 and said.out.count("Transfer of ") == len(found)
    assert cli("summary", mix.directory, "--latex").out.count("\\end{tabular}") == 2 + len(found)  # and a leaderboard
    table = pd.read_csv(io.StringIO(cli("summary", mix.directory, "--csv").out))
    table = table[table["table"].str.startswith("transfer ") & (table["column"] == "fooled")]
    assert len(table) == sum(len(one.cells) for one in found)
    assert table["count"].sum() == sum(cell.fooled.count or 0 for one in found for cell in one.cells)
