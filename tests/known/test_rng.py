"""Keyed draws: what an example gets depends on the seed, its id and the purpose, and on nothing else."""

import random

import numpy as np
import pytest
import torch

from brittle.rng import Rng

IDS = tuple(f"example-{row}" for row in range(5))
LIKE = torch.zeros(5, 2, 30)


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_same_id_same_numbers_in_any_order_and_subset(kind: str) -> None:
    rng = Rng(7, IDS)
    whole = getattr(rng, kind)("start", LIKE)
    assert torch.equal(getattr(rng, kind)("start", LIKE), whole)  # there is no state to advance
    for rows in ([4, 0, 2], [3], [1, 1], []):
        ids = tuple(IDS[row] for row in rows)
        assert torch.equal(getattr(Rng(7, ids), kind)("start", LIKE[: len(rows)]), whole[rows])


def test_seed_id_and_purpose_each_make_other_numbers() -> None:
    like = LIKE[:1]
    draws = [
        Rng(seed, (name,)).uniform(purpose, like)
        for seed in (0, 1, -1, 2**63)
        for name in ("a", "b")
        for purpose in ("start", "step 1")
    ]
    assert len({tuple(draw.flatten().tolist()) for draw in draws}) == len(draws)
    # different streams, not one stream shifted
    assert abs(float(torch.corrcoef(torch.stack([draw.flatten() for draw in draws])).fill_diagonal_(0).amax())) < 0.6


def test_numbers_are_the_same_for_ever() -> None:
    """Stored runs are repeated from their seed: these values may not change between versions."""
    drawn = Rng(0, ("digits-0001",)).uniform("pgd direction", torch.zeros(1, 3))
    assert drawn[0].tolist() == pytest.approx([0.098630846, 0.690605283, 0.329745471], abs=1e-8)


def test_distributions() -> None:
    like = torch.zeros(5, 4000)
    uniform, normal = Rng(1, IDS).uniform("u", like), Rng(1, IDS).normal("n", like)
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert float(uniform.mean()) == pytest.approx(0.5, abs=0.01)
    assert float(uniform.var()) == pytest.approx(1 / 12, abs=0.003)
    assert float(normal.mean()) == pytest.approx(0, abs=0.03)
    assert float(normal.var()) == pytest.approx(1, abs=0.03)
    assert float(normal.pow(4).mean()) == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_are_shaped_and_typed_as_asked(dtype: torch.dtype) -> None:
    for shape in ((5,), (5, 3), (5, 1, 2, 2)):
        drawn = Rng(0, IDS).normal("n", torch.zeros(shape, dtype=dtype))
        assert drawn.shape == shape
        assert drawn.dtype == dtype
    assert Rng(0, ()).uniform("u", torch.zeros(0, 3)).shape == (0, 3)


def test_global_generators_are_untouched() -> None:
    states = torch.get_rng_state(), str(np.random.get_state()), random.getstate()
    Rng(0, IDS).uniform("u", LIKE)
    Rng(0, IDS).normal("n", LIKE)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert (str(np.random.get_state()), random.getstate()) == states[1:]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (torch.tensor([3, 1]), (3, 1)),
        (torch.tensor([False, True, False, False, True]), (1, 4)),  # a mask, as goals and tensors take it
        (slice(1, 3), (1, 2)),
        (torch.tensor([], dtype=torch.int64), ()),
    ],
)
def test_streams_of_some_rows(rows: torch.Tensor | slice, expected: tuple[int, ...]) -> None:
    part = Rng(3, IDS)[rows]
    assert part == Rng(3, tuple(IDS[row] for row in expected))


def test_one_row_for_each_id() -> None:
    with pytest.raises(ValueError, match=r"expected one row per id \(5\), got 4 rows"):
        Rng(0, IDS).uniform("u", LIKE[:4])


def test_bytes_are_odd_numbers_without_bias_and_belong_to_the_example() -> None:
    rng = Rng(0, ("a", "b", "c"))
    drawn = rng.bytes("probes", torch.empty(3, 7, 3, 101))
    assert set(drawn.flatten().tolist()) == set(range(-255, 256, 2))
    assert abs(float(drawn.mean())) < 4 * 148 / drawn.numel() ** 0.5
    assert float(drawn.std()) == pytest.approx(147.8, rel=0.02)
    assert torch.equal(rng[torch.tensor([2, 0])].bytes("probes", drawn[:2]), drawn[[2, 0]])
    assert not torch.equal(rng.bytes("other", drawn), drawn)
