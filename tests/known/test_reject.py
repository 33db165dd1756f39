"""A class that means: no answer. Attacks must go past it, and what is refused is neither right nor fooled."""

from pathlib import Path
from typing import Any

import pytest
import torch
from flow_studies import audit_of
from torch import Tensor

import brittle
from brittle import FGSM, FMN, PGD, BoundaryWalk, DeepFool, Minimal, SuperDeepFool, Targeted, Untargeted
from brittle.attacks import Attack
from brittle.data import examples_of
from brittle.errors import BrittleError
from brittle.measure import summaries
from brittle.models.network import Network
from brittle.run.engine import run
from conftest import Cli
from known.affine import Affine, affine_problem, two_rows
from laws.worlds import CLASSES, World, trained_world

REJECT = 0


pytestmark = pytest.mark.usefixtures("one_thread")


# ---- how far it is


def nearest(net: Affine, images: Tensor, labels: Tensor) -> Tensor:
    """The smallest L2 distance at which a class other than label and reject wins, in double precision.

    For each class that is the distance to an intersection of two half-spaces: one plane's, where that lies in the
    other half-space, else that of the edge, ``sqrt(g G^-1 g)`` with the gaps g and the Gram matrix G of the normals.
    """
    weight, bias = two_rows(net)
    logits = images.double().flatten(1) @ weight.T + bias
    least = torch.full_like(logits[:, 0], torch.inf)
    for k in range(len(weight)):
        if k == REJECT:
            continue
        others = torch.stack([labels, torch.full_like(labels, REJECT)], 1)
        gaps = logits.gather(1, others) - logits[:, k : k + 1]
        normals = weight[k] - weight[others]
        gram = normals @ normals.transpose(1, 2)
        distance = torch.full_like(least, torch.inf)
        for i in (0, 1):
            along = gaps[:, i].clamp_min(0) / gram[:, i, i]
            enough = along * gram[:, i, 1 - i] >= gaps[:, 1 - i]
            distance = torch.where(enough, gaps[:, i].clamp_min(0) / gram[:, i, i].sqrt(), distance)
        solvable = torch.where((labels == k).view(-1, 1, 1), torch.eye(2).double(), gram)
        edge = (gaps * torch.linalg.solve(solvable, gaps)).sum(1).clamp_min(0).sqrt()
        distance = torch.where(distance.isfinite(), distance, edge)
        least = torch.where(labels == k, least, least.minimum(distance))
    return least


def in_the_way(classes: int, share: float) -> tuple[Affine, Tensor, Tensor]:
    """An affine classifier whose reject class lies so high between the label (1) and the others (0); images, labels."""
    problem = affine_problem(classes, 192, 2.0, seed=1, count=40, move=0.05)
    rows = problem.labels != REJECT
    images, labels, net = problem.images[rows], problem.labels[rows], problem.net
    weight, bias = two_rows(net)
    logits = images.double().flatten(1) @ weight.T + bias
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    other = Untargeted(labels, REJECT).others(logits).amax(1)
    with torch.no_grad():
        net.bias[REJECT] += float((torch.lerp(other, own, share) - logits[:, REJECT]).median())
    return net, images, labels


@pytest.mark.parametrize("classes", [3, 10])
@pytest.mark.parametrize("share", [0.5, 0.9, 1.1])  # nearest to the image; nearly its class; its class
@pytest.mark.parametrize(
    ("attack", "most"),
    [(Minimal(), 1.2), (BoundaryWalk(), 1.15), (FMN(), 1.1), (DeepFool(), 1.3), (SuperDeepFool(), 1.3)],
)
def test_distance_is_that_to_the_nearest_class_that_is_an_answer(
    classes: int, share: float, attack: Attack, most: float
) -> None:
    net, images, labels = in_the_way(classes, share)
    found = brittle.attack(Network(net, reject=REJECT), images, labels, attack)
    assert found.fooled.all() and found.claimed.all()
    ratio = found.distance("l2") / nearest(net, images, labels)
    assert float(ratio.min()) >= 1 - 1e-4 and float(ratio.max()) <= most
    plain = brittle.attack(Network(net), images, labels, DeepFool())  # without, the reject class is the nearest
    assert (plain.prediction == REJECT).float().mean() > 0.9


# ---- what is right, refused and fooled


def refusing() -> tuple[World, int]:
    """The trained world, and the class that most of its images are nearest to."""
    world = trained_world()
    nearby = Untargeted(world.labels).others(world.logits(world.images)).argmax(1)
    return world, int(nearby.mode().values)


def test_refused_under_attack_is_not_fooled_and_refused_before_is_not_right(tmp_path: Path) -> None:
    world, reject = refusing()
    classifier = Network(world.net, mean=(0.3,), std=(0.4,), reject=reject)
    clean = world.logits(world.images).argmax(1)
    labels = torch.where(torch.arange(len(clean)) < 3, (clean + 1) % CLASSES, clean)
    labels = torch.where(clean == reject, (clean + 1) % CLASSES, labels)  # refused before any attack
    refused = clean == reject
    assert int(refused.sum()) >= 2
    wrong = (clean != labels) & ~refused

    attacks: list[Attack] = [FGSM(eps=0.2), DeepFool()]
    done = run(audit_of(classifier, examples_of(world.images, labels), attacks), out=tmp_path / "run")
    assert done.manifest.models[0].reject == reject
    for _, rows in done.records.groupby("attack"):
        fooled = torch.tensor(rows["fooled"].to_numpy())
        after = torch.tensor(rows["adversarial_prediction"].to_numpy())
        assert not (fooled & (after == reject)).any()
        assert fooled[wrong].all()
    fgsm, deepfool = summaries(done.manifest, done.records)[0].attacks
    rows = done.records[done.records["attack"] == fgsm.label]
    after = torch.tensor(rows["adversarial_prediction"].to_numpy())
    right = clean == labels
    assert int((right & (after == reject)).sum()) >= 2  # the case in question
    kept = int((right & ((after == labels) | (after == reject))).sum())
    assert fgsm.measures["robust_accuracy"].count == kept
    assert fgsm.measures["clean_accuracy"].count == int(right.sum())
    assert fgsm.measures["attack_success_rate"].of == int((~wrong).sum())  # what is refused can still be attacked
    assert deepfool.measures["attack_success_rate"].value == 1


@pytest.mark.usefixtures("without_report")
def test_to_refuse_an_image_without_a_label_is_not_to_be_right(tmp_path: Path) -> None:
    """The answer that stands in for its label is one of those that are answers."""
    net = Affine(torch.zeros(3, 48), torch.tensor([0.0, 1.0, 2.0]))
    done = run(audit_of(Network(net, reject=2), examples_of(torch.rand(6, 3, 4, 4)), [FGSM()]), out=tmp_path / "run")
    assert done.records["label"].tolist() == [1] * 6
    (summary,) = summaries(done.manifest, done.records)
    assert (summary.overall["correct"].value, summary.overall["robust_accuracy"].value) == (0, 0)
    assert summary.headline[0] == "This classifier refuses to answer all 6 images."


def test_reject_class_is_part_of_what_a_run_is(tmp_path: Path) -> None:
    world, reject = refusing()
    examples = examples_of(world.images[:4], world.labels[:4])
    run(audit_of(Network(world.net, reject=reject), examples, [DeepFool()]), out=tmp_path / "run")
    with pytest.raises(BrittleError, match=f"reject: there {reject}; now None"):
        run(audit_of(Network(world.net), examples, [DeepFool()]), out=tmp_path / "run")


def test_goal_of_ones_own_goes_before_the_classifiers() -> None:
    world, reject = refusing()
    plain, refuses = Network(world.net), Network(world.net, reject=reject)
    own = brittle.attack(plain, world.images, Untargeted(world.labels, reject=reject), DeepFool())
    for goal in (world.labels, Untargeted(world.labels)):
        found = brittle.attack(refuses, world.images, goal, DeepFool())
        assert torch.equal(found.images, own.images)
        assert isinstance(found.goal, Untargeted) and found.goal.reject == reject


# ---- what is said


def test_reject_class_is_no_target() -> None:
    world, reject = refusing()
    targets = torch.full_like(world.labels, reject)
    classifier = Network(world.net, class_names=[f"digit {k}" for k in range(CLASSES)], reject=reject)
    with pytest.raises(BrittleError) as refused:
        brittle.attack(classifier, world.images, Targeted(targets), PGD())
    assert str(refused.value) == (
        f"expected targets other than the reject class, 'digit {reject}', got it for 40 of 40 images; choose another"
        " target, or a Classifier without reject="
    )


@pytest.mark.parametrize("given", [2, "2", "bird", "Bird"])
def test_reject_class_has_a_name_or_an_index(given: Any) -> None:
    names = ["cat", "dog", "bird"]
    assert Network(Affine(torch.ones(3, 48), torch.zeros(3)), class_names=names, reject=given).reject == 2


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("brid", "no class is called 'brid'; did you mean 'bird'?"),
        (3, "expected a class index below 3, got 3"),
        (-1, "no class is called '-1'; there are 3, also known by index"),
        (1.0, "expected the reject class as a class name or an index, got 1.0"),
    ],
)
def test_reject_class_that_there_is_not(given: Any, message: str) -> None:
    with pytest.raises(BrittleError) as refused:
        Network(Affine(torch.ones(3, 48), torch.zeros(3)), class_names=["cat", "dog", "bird"], reject=given)
    assert str(refused.value) == message


def test_two_classes_leave_nothing_to_reject_for() -> None:
    with pytest.raises(BrittleError, match="expected a reject class among 3 classes or more, got class 1 of 2"):
        Network(Affine(torch.ones(2, 48), torch.zeros(2)), reject=1).logits(torch.rand(4, 3, 4, 4))


def test_command_line_takes_it(cli: Cli, tmp_path: Path, without_report: None, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "linear_net.py").write_text(
        "from torch import nn\n\n\ndef linear():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 10))\n"
    )
    monkeypatch.chdir(tmp_path)
    ran = cli(
        *("audit", "--model", "python:linear_net:linear", "--data", "digits", "--limit", "4", "--attack", "fgsm"),
        *("--out", "run", "--reject", "8"),
    )
    assert ran.code == 0, ran.err
    assert '"reject": 8' in (tmp_path / "run" / "manifest.json").read_text()
