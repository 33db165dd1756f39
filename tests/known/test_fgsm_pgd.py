"""FGSM and PGD where every step is known: affine classifiers, and a hand-written reference on a curved one."""

import dataclasses

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import FGSM, PGD, Outcome
from brittle.geometry.box import clip, contains
from brittle.geometry.norms import L1, L2, LINF, Lp, Norm
from brittle.goals import Goal, Targeted, Untargeted
from brittle.models.network import Network
from brittle.rng import Rng
from known.affine import Affine

PIXELS, SHAPE = 48, (3, 4, 4)
W = torch.randn(PIXELS, generator=torch.Generator().manual_seed(0))
FAR = Affine(torch.stack([torch.zeros(PIXELS), W]), torch.tensor([1000.0, 0.0]))  # no budget here fools it
INNER = 0.4 + 0.2 * torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(1))
EDGE = torch.rand(6, *SHAPE, generator=torch.Generator().manual_seed(2)).round()
ZEROS, ONES = torch.zeros(6, dtype=torch.int64), torch.ones(6, dtype=torch.int64)
IDS = tuple(f"image {row}" for row in range(6))


pytestmark = pytest.mark.usefixtures("one_thread")


def run(attack: FGSM | PGD, net: nn.Module, images: Tensor, goal: Goal, *, seed: int = 0) -> Outcome:
    return attack(Network(net), images, goal, rng=Rng(seed, IDS[: len(images)]))


class Curved(nn.Module):
    """A random tanh network with three classes whose gradient turns as one walks."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(4)
        self.first = nn.Parameter(0.7 * torch.randn(PIXELS, 16, generator=generator))
        self.second = nn.Parameter(torch.randn(16, 3, generator=generator))
        self.bias = nn.Parameter(torch.tensor([50.0, 0.0, 0.0]))  # out of reach, so that no example leaves early

    def forward(self, images: Tensor) -> Tensor:
        return torch.tanh((images - 0.5).flatten(1) @ self.first) @ self.second + self.bias


CURVED = Curved()


class Band(nn.Module):
    """Class 1 where the mean brightness is within ``radius`` of ``centre``, class 0 on either side."""

    def __init__(self, centre: float, radius: float) -> None:
        super().__init__()
        self.centre, self.radius = centre, radius

    def forward(self, images: Tensor) -> Tensor:
        mean = images.flatten(1).mean(1)
        return torch.stack([torch.zeros_like(mean), 1000 * (self.radius**2 - (mean - self.centre) ** 2)], dim=1)


# ---- FGSM on an affine classifier


@pytest.mark.parametrize(("goal", "sign"), [(Untargeted(ZEROS), 1), (Targeted(ONES), 1), (Targeted(ZEROS), -1)])
def test_fgsm_adds_eps_times_the_sign_of_the_gradient(goal: Goal, sign: int) -> None:
    net = FAR if sign == 1 else Affine(FAR.weight.detach(), torch.tensor([0.0, 1000.0]))
    outcome = run(FGSM(eps=0.03), net, INNER, goal)
    assert torch.equal(outcome.images, clip(INNER + 0.03 * sign * W.sign().view(SHAPE)))
    assert not outcome.claimed.any()
    assert outcome.steps.tolist() == outcome.forwards.tolist() == outcome.backwards.tolist() == [1] * 6


UNIT_STEPS: dict[Norm, Tensor] = {
    L1: torch.where(W.abs() == W.abs().max(), W.sign(), 0),
    Lp(1.5): W.sign() * W.abs() ** 2 / (W.abs() ** 3).sum() ** (2 / 3),
    L2: W / W.square().sum().sqrt(),
    Lp(3.0): W.sign() * W.abs() ** 0.5 / (W.abs() ** 1.5).sum() ** (1 / 3),
    LINF: W.sign(),
}


@pytest.mark.parametrize("norm", UNIT_STEPS, ids=str)
def test_fgsm_steps_as_the_norm_says(norm: Norm) -> None:
    outcome = run(FGSM(norm=norm, eps=0.2), FAR, INNER, Untargeted(ZEROS))
    expected = INNER + 0.2 * UNIT_STEPS[norm].view(SHAPE)
    torch.testing.assert_close(outcome.images, expected, rtol=1e-6, atol=1e-7)


def test_fgsm_does_not_stand_still_where_the_classifier_is_sure() -> None:
    """With logits of 1000 and 0 the gradient of plain cross-entropy is 0 in float32."""
    assert float(FAR(INNER).detach()[:, 0].min()) >= 1000
    assert run(FGSM(), FAR, INNER, Untargeted(ZEROS)).images.ne(INNER).all()


# ---- PGD on an affine classifier


def test_ifgsm_reaches_eps_times_the_sign() -> None:
    outcome = run(PGD(eps=0.08, steps=4, step_size=0.02), FAR, INNER, Untargeted(ZEROS))
    torch.testing.assert_close(outcome.images, INNER + 0.08 * W.sign().view(SHAPE), rtol=0, atol=1e-6)
    assert outcome.steps.tolist() == outcome.forwards.tolist() == outcome.backwards.tolist() == [4] * 6


@pytest.mark.parametrize("norm", UNIT_STEPS, ids=str)
@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_one_step_of_pgd_is_fgsm(norm: Norm, momentum: float) -> None:
    for net in (FAR, CURVED):
        for images in (INNER, EDGE):
            pgd = PGD(norm=norm, eps=0.2, steps=1, step_size=0.2, momentum=momentum)
            ours, fgsm = (run(attack, net, images, Untargeted(ZEROS)) for attack in (pgd, FGSM(norm=norm, eps=0.2)))
            torch.testing.assert_close(ours.images, fgsm.images, rtol=0, atol=1e-6)


@pytest.mark.parametrize("norm", UNIT_STEPS, ids=str)
def test_steps_beyond_the_budget_are_projected_back(norm: Norm) -> None:
    outcome = run(PGD(norm=norm, eps=0.15, steps=5, step_size=0.1), FAR, INNER, Untargeted(ZEROS))
    torch.testing.assert_close(norm.measure(outcome.images - INNER), torch.full((6,), 0.15), rtol=1e-4, atol=0)
    if norm in (L1, L2, LINF):  # for other norms the nearest point of the ball lies in another direction
        expected = INNER + 0.15 * UNIT_STEPS[norm].view(SHAPE)
        torch.testing.assert_close(outcome.images, expected, rtol=0, atol=1e-5)


# ---- in L1, where the box binds


@pytest.mark.parametrize(
    "attack",
    [FGSM(norm=L1, eps=0.2), FGSM(norm=L1, eps=3), FGSM(norm=L1, eps=8), PGD(norm=L1, eps=8, steps=60)],
    ids=str,
)
def test_in_l1_the_largest_gradients_that_have_room_get_the_budget(attack: FGSM | PGD) -> None:
    """Images in black and white: a channel holds 1 of the budget, or nothing where its gradient points outwards."""
    moved = run(attack, FAR, EDGE, Untargeted(ZEROS)).images - EDGE
    torch.testing.assert_close(L1.measure(moved), torch.full((6,), float(attack.eps)))
    for row in range(6):
        worth, left = 0.0, attack.eps
        for value in (
            (W.clamp_min(0) * (1 - EDGE[row].flatten()) - W.clamp_max(0) * EDGE[row].flatten()).sort().values.flip(0)
        ):
            worth, left = worth + float(value) * min(left, 1.0), max(left - 1.0, 0.0)
        assert float((moved[row].flatten() * W).sum()) == pytest.approx(worth, rel=1e-2)


# ---- PGD on a curved classifier, against a reference written out by hand


def reference(images: Tensor, *, l2: bool, eps: float, steps: int, size: float, momentum: float) -> Tensor:
    """I-FGSM or MI-FGSM in L-infinity, or L2 PGD, in double precision."""
    net = Curved().double()
    origin = current = images.double()
    velocity = torch.zeros_like(origin)
    for _ in range(steps):
        leaf = current.clone().requires_grad_()
        logits = net(leaf)
        loss = torch.logsumexp(logits[:, 1:], 1) - logits[:, 0]
        (gradient,) = torch.autograd.grad(loss.sum(), leaf)
        if momentum:
            gradient = velocity = momentum * velocity + gradient / gradient.abs().sum((1, 2, 3), keepdim=True)
        if l2:
            moved = current - origin + size * gradient / gradient.square().sum((1, 2, 3), keepdim=True).sqrt()
            length = moved.square().sum((1, 2, 3), keepdim=True).sqrt()
            moved = moved * (eps / length).clamp(max=1)
        else:
            moved = (current - origin + size * gradient.sign()).clamp(-eps, eps)
        current = (origin + moved).clamp(0, 1)
    return current


@pytest.mark.parametrize("l2", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("images", [INNER, EDGE], ids=["inner", "edge"])
def test_pgd_is_its_papers(l2: bool, momentum: float, images: Tensor) -> None:
    eps, size = (0.8, 0.3) if l2 else (0.1, 0.04)
    attack = PGD(norm=L2 if l2 else LINF, eps=eps, steps=6, step_size=size, momentum=momentum)
    expected = reference(images, l2=l2, eps=eps, steps=6, size=size, momentum=momentum)
    outcome = run(attack, CURVED, images, Untargeted(ZEROS))
    torch.testing.assert_close(outcome.images, expected.float(), rtol=0, atol=2e-5)
    assert not outcome.claimed.any()


def test_success_is_kept_although_more_steps_would_lose_it() -> None:
    """The second step lands in the band and a third would leave it on the other side."""
    images, step = torch.full((4, *SHAPE), 0.3), 0.1
    net, goal = Band(0.3 + 2.1 * step, 0.3 * step), Untargeted(torch.zeros(4, dtype=torch.int64))
    assert not goal.is_met(net(images + 3 * step)).any()
    outcome = run(PGD(eps=1.0, steps=5, step_size=step), net, images, goal)
    assert outcome.claimed.all()
    assert outcome.steps.tolist() == [2] * 4
    assert outcome.forwards.tolist() == [3] * 4
    torch.testing.assert_close(outcome.images, images + 2 * step)


def test_last_step_is_returned_unseen() -> None:
    """Success at the last step is for the grader to see: PGD spends no pass to claim it."""
    images = torch.full((4, *SHAPE), 0.3)
    goal = Untargeted(torch.zeros(4, dtype=torch.int64))
    net = Band(0.51, 0.03)
    outcome = run(PGD(eps=1.0, steps=2, step_size=0.1), net, images, goal)
    assert goal.is_met(net(outcome.images)).all()
    assert not outcome.claimed.any()
    assert outcome.forwards.tolist() == [2] * 4


# ---- random start


def start_of(norm: Norm, eps: float, images: Tensor, rows: list[int], *, seed: int = 0) -> Tensor:
    """Where a PGD with steps too small to see has started."""
    attack = PGD(norm=norm, eps=eps, steps=1, step_size=1e-12, random_start=True)
    rng = Rng(seed, tuple(IDS[row] for row in rows))
    return attack(Network(FAR), images[rows], Untargeted(ZEROS[rows]), rng=rng).images


def test_random_start_belongs_to_the_example_and_the_seed() -> None:
    same = INNER[:1].expand(6, *SHAPE)  # one image under six ids
    everything = start_of(LINF, 0.1, same, list(range(6)))
    assert len({tuple(row.flatten().tolist()) for row in everything}) == 6
    for rows in ([5, 3, 1], [2], [0, 1, 2, 3, 4, 5]):
        assert torch.equal(start_of(LINF, 0.1, same, rows), everything[rows])
    assert not torch.equal(start_of(LINF, 0.1, same, [0], seed=1), everything[:1])


@pytest.mark.parametrize("norm", UNIT_STEPS, ids=str)
def test_random_start_is_within_budget_and_box(norm: Norm) -> None:
    for images in (INNER, EDGE):
        start = start_of(norm, 0.3, images, list(range(6)))
        assert contains(start).all()
        assert (norm.measure(start - images) <= 0.3 * (1 + 1e-5)).all()
        assert (start != images).flatten(1).any(1).all()
    assert (norm.measure(start_of(norm, 0.3, INNER, list(range(6))) - INNER) > 0.05).all()


def test_random_start_in_linf_is_uniform() -> None:
    start = torch.cat([start_of(LINF, 0.1, INNER, list(range(6)), seed=seed) - INNER for seed in range(40)])
    values = start.flatten() / 0.1
    assert float(values.mean()) == pytest.approx(0, abs=0.03)
    assert float(values.var()) == pytest.approx(1 / 3, abs=0.02)
    assert float(values.abs().max()) > 0.95


# ---- each option does something


def median_move(attack: FGSM | PGD, images: Tensor = INNER) -> dict[Norm, float]:
    moved = run(attack, CURVED, images, Untargeted(ZEROS)).images - images
    return {norm: float(norm.measure(moved).median()) for norm in (L1, L2, LINF)}


def test_field_fgsm_norm() -> None:
    assert median_move(FGSM(norm=L2, eps=0.1))[L2] == pytest.approx(0.1, rel=1e-4)
    assert median_move(FGSM(norm=LINF, eps=0.1))[LINF] == pytest.approx(0.1, rel=1e-4)
    assert median_move(FGSM(norm=L1, eps=0.1))[L1] == pytest.approx(0.1, rel=1e-4)


def test_field_fgsm_eps() -> None:
    assert [median_move(FGSM(eps=eps))[LINF] for eps in (0.0, 0.01, 0.3)] == pytest.approx([0, 0.01, 0.3], rel=1e-4)


def test_field_fgsm_box() -> None:
    free, ours = (run(FGSM(eps=0.1, box=box), FAR, EDGE, Untargeted(ZEROS)).images for box in (False, True))
    assert not contains(free).any()
    assert torch.equal(ours, clip(free))


def test_field_fgsm_loss() -> None:
    """The logit alone: in an affine network its gradient is its own row, whatever the other rows are."""
    rows = torch.stack([W, -2 * W.flip(0), 3 * W.roll(5)])
    net = Affine(rows, torch.tensor([1000.0, 0.0, 0.0]))
    for goal, sign in ((Untargeted(ZEROS), -1), (Targeted(ONES), 1)):
        row = rows[int(goal.labels[0])].view(SHAPE)
        moved = run(FGSM(eps=0.1, loss="logit"), net, INNER, goal).images - INNER
        torch.testing.assert_close(moved, (0.1 * sign * row.sign()).expand_as(moved), rtol=0, atol=1e-6)
        assert not torch.equal(moved, run(FGSM(eps=0.1), net, INNER, goal).images - INNER)


def test_field_pgd_norm() -> None:
    for norm in (L1, L2, LINF):
        sizes = median_move(PGD(norm=norm, eps=0.1))
        assert sizes[norm] == pytest.approx(0.1, rel=1e-4)


def test_field_pgd_eps() -> None:
    assert [median_move(PGD(eps=eps))[LINF] for eps in (0.0, 0.01, 0.2)] == pytest.approx([0, 0.01, 0.2], rel=1e-4)


def test_field_pgd_steps() -> None:
    for steps in (1, 3, 20):
        assert run(PGD(steps=steps), CURVED, INNER, Untargeted(ZEROS)).steps.tolist() == [steps] * 6
    few, many = (run(PGD(eps=0.3, steps=steps), CURVED, INNER, Untargeted(ZEROS)).images for steps in (1, 20))
    loss = Untargeted(ZEROS).loss
    with torch.no_grad():
        assert float(loss(CURVED(many)).mean()) > float(loss(CURVED(few)).mean())


def test_field_pgd_step_size() -> None:
    assert median_move(PGD(eps=0.1, steps=3, step_size=0.01))[LINF] == pytest.approx(0.03, rel=0.01)
    as_it_comes, spelt_out = (
        run(PGD(eps=0.1, steps=5, step_size=size), CURVED, INNER, Untargeted(ZEROS)).images for size in (None, 0.05)
    )
    torch.testing.assert_close(as_it_comes, spelt_out)  # 2.5 * eps / steps


def test_field_pgd_random_start() -> None:
    fixed, random = (
        run(PGD(steps=1, step_size=1e-12, random_start=start), CURVED, INNER, Untargeted(ZEROS))
        for start in (False, True)
    )
    assert torch.equal(fixed.images, INNER)
    assert (random.images != INNER).flatten(1).any(1).all()
    assert random.forwards.tolist() == [2] * 6  # one to see that the image itself does not meet the goal


def test_field_pgd_momentum() -> None:
    without, with_it = (
        run(PGD(eps=0.2, steps=8, momentum=momentum), CURVED, INNER, Untargeted(ZEROS)).images
        for momentum in (0.0, 1.0)
    )
    assert not torch.allclose(without, with_it, atol=1e-3)


@pytest.mark.parametrize("attack", [FGSM, PGD])
def test_every_field_has_its_test(attack: type) -> None:
    start = f"test_field_{attack.__name__.lower()}_"
    tested = {name.removeprefix(start) for name in globals() if name.startswith(start)}
    assert tested == {field.name for field in dataclasses.fields(attack)}
