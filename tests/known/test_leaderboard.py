"""Leaderboards: closed forms, ranks by hand, and what must hold of any records."""

import random
from typing import Any

import pytest
from fake_run import manifest_of

from brittle.measure import Budget, Leaderboard, Standing, leaderboard, summaries
from brittle.measure.intervals import wilson
from brittle.records import AttackSpec, FlagRecord
from brittle.report.leaderboard import leaderboard_told
from known.rows import row, table
from known.test_measure import failed, spec

Rows = list[dict[str, Any]]
SMALL = spec("pgd(eps=0.1)", "budget", "linf", eps=0.1)
LARGE = spec("pgd(eps=0.2)", "budget", "linf", eps=0.2)
MINIMAL = spec("deepfool", "minimal", "l2")


def board(
    models: dict[str, Rows], *attacks: AttackSpec, examples: int = 100, at: Any = None, **facts: Any
) -> Leaderboard:
    rows = [one | {"model": name} for name, mine in models.items() for one in mine]
    random.Random(0).shuffle(rows)
    manifest = manifest_of(models=list(models), attacks=list(attacks), examples=examples, **facts)
    records = table(rows)
    return leaderboard(manifest, records, summaries(manifest, records), at)


def withstood(count: int, of: int = 100, attack: str = SMALL.label) -> Rows:
    """As many images of so many withstand, the others fall right within the budget."""
    return [failed(i, attack) if i < count else row(i, attack, linf=0.1) for i in range(of)]


def named(made: Leaderboard) -> dict[str, Standing]:
    return {one.model: one for one in made.standings}


def robust(made: Leaderboard, model: str = "net") -> list[tuple[int | None, int | None]]:
    return [(one.count, one.of) for one in named(made)[model].robust_accuracy]


def test_an_image_is_lost_to_whatever_attack_gets_within_the_budget() -> None:
    other = spec("fgsm(eps=0.1)", "budget", "linf", eps=0.1)
    rows = [
        *[row(0, SMALL.label, linf=0.1), failed(0, other.label), failed(0, "deepfool")],  # to one
        *[failed(1, SMALL.label), row(1, other.label, linf=0.1 * (1 + 1e-6)), failed(1, "deepfool")],  # to the other
        *[failed(2, SMALL.label), failed(2, other.label), row(2, "deepfool", linf=0.05)],  # to one of another norm
        *[failed(3, SMALL.label), failed(3, other.label), row(3, "deepfool", linf=0.15)],  # too far
        *[failed(4, SMALL.label), failed(4, other.label), failed(4, "deepfool")],  # to none
        *[row(5, one, clean=1, adversarial=1) for one in (SMALL.label, other.label, "deepfool")],  # wrong before
    ]
    made = board({"net": rows}, SMALL, other, MINIMAL, examples=6, at=[Budget(norm="linf", eps=0.1)])
    assert robust(made) == [(2, 6)]
    assert (named(made)["net"].clean_accuracy.count, named(made)["net"].clean_accuracy.of) == (5, 6)


def test_without_budgets_it_is_the_curve_of_the_minimal_attack() -> None:
    """Image i of a hundred falls at i / 100: accuracy at eps is 1 - eps, and half fall at 0.5."""
    rows = [row(i - 1, "deepfool", l2=i / 100) for i in range(1, 101)]
    made = board({"net": rows}, MINIMAL)
    assert made.budgets == [Budget(norm="l2", eps=0.5)]
    assert robust(made) == [(50, 100)]
    for eps in (0.1, 0.25, 0.99):
        at = [Budget(norm="l2", eps=eps)]
        assert robust(board({"net": rows}, MINIMAL, at=at)) == [(100 - round(100 * eps), 100)]


def test_budgets_are_those_of_the_run_three_of_a_sweep_and_else_where_models_differ() -> None:
    sweep = [spec(f"pgd(eps={eps})", "budget", "linf", eps=eps) for eps in (0.5, 0.1, 0.2, 0.3, 0.4)]
    one = [row(i, "deepfool", l2=0.031) for i in range(10)] + [row(0, each.label) for each in sweep]
    other = [row(i, "deepfool", l2=0.057) for i in range(15)] + [row(0, each.label) for each in sweep]
    made = board({"one": one, "other": other}, *sweep, MINIMAL, examples=15)
    assert [(budget.norm, budget.eps) for budget in made.budgets if budget.norm == "linf"] == [
        ("linf", 0.1),
        ("linf", 0.3),
        ("linf", 0.5),
    ]
    alone = {"one": one[:10], "other": other[:15]}
    assert board(alone, MINIMAL, examples=15).budgets == [Budget(norm="l2", eps=0.03)]  # the same ten images of each


def test_a_model_that_fewer_attacks_have_met_has_no_rank() -> None:
    other = spec("square(eps=0.1)", "budget", "linf", eps=0.1)
    strong = withstood(40) + withstood(90, attack=other.label)
    made = named(
        board({"net": strong, "same": strong, "tree": withstood(95, attack=other.label)}, SMALL, other, examples=100)
    )
    assert (made["tree"].place, made["tree"].ranks, made["tree"].without) == (None, [None], [SMALL.label])
    assert (made["net"].place, made["net"].without) == ((1, 2), [])
    told = leaderboard_told(board({"net": strong, "tree": withstood(95, attack=other.label)}, SMALL, other))
    assert told.sentences[-1].startswith(f"tree has no rank, as it was not attacked by {SMALL.label}")
    assert [line[:2] for line in told.rows] == [("net", "1"), ("tree", "\u2013")]


RANKED = {
    "two pairs and one": ([90, 85, 60, 58, 10], [(1, 2), (1, 2), (3, 4), (3, 4), (5, 5)]),
    "a chain": ([90, 82, 72], [(1, 2), (1, 3), (2, 3)]),
    "all alike": ([50, 50, 50], [(1, 3)] * 3),
    "alone": ([50], [(1, 1)]),
}


@pytest.mark.parametrize("name", RANKED)
def test_ranks_are_ranges_where_intervals_overlap(name: str) -> None:
    counts, ranks = RANKED[name]
    made = board({f"net {count} {at}": withstood(count) for at, count in enumerate(counts)}, SMALL)
    assert [one.place for one in made.standings] == ranks
    assert [one.ranks for one in made.standings] == [[rank] for rank in ranks]
    assert [one.robust_accuracy[0].count for one in made.standings] == counts


def test_a_place_covers_the_ranks_at_all_budgets() -> None:
    models = {
        "first": withstood(90) + withstood(20, attack=LARGE.label),
        "second": withstood(60) + withstood(50, attack=LARGE.label),
        "third": withstood(30) + withstood(15, attack=LARGE.label),
    }
    models = {
        name: [one | {"linf": 0.2} if one["attack"] == LARGE.label and one["fooled"] else one for one in rows]
        for name, rows in models.items()
    }
    made = named(board(models, SMALL, LARGE))
    assert {name: one.ranks for name, one in made.items()} == {
        "first": [(1, 1), (2, 3)],
        "second": [(2, 2), (1, 1)],
        "third": [(3, 3), (2, 3)],
    }
    assert [one.place for one in made.values()] == [(1, 3), (1, 2), (2, 3)]
    assert list(made) == ["first", "second", "third"]  # by the mean, 0.55 each for two; then by clean accuracy


@pytest.mark.parametrize("seed", range(6))
def test_laws_of_ranks(seed: int) -> None:
    order = random.Random(seed)
    counts = [order.randint(0, 40) for _ in range(order.randint(2, 7))]
    models = {f"net {at}": withstood(count, 40) for at, count in enumerate(counts)}
    names = list(models)
    order.shuffle(names)
    made, again = board(models, SMALL, examples=40), board({name: models[name] for name in names}, SMALL, examples=40)
    assert {name: one.place for name, one in named(made).items()} == {n: one.place for n, one in named(again).items()}
    falling = [one.robust_accuracy[0].count or 0 for one in made.standings]
    assert falling == sorted(counts, reverse=True)
    for at, one in enumerate(made.standings):
        best, worst = one.place or (0, 0)
        assert best <= at + 1 <= worst  # its own place in the order is one that it may have
        overlapping = 0
        for count in counts:
            (low, high), (mine, top) = (wilson(c, 40) or (0.0, 0.0) for c in (count, falling[at]))
            overlapping += low <= top and mine <= high
        assert worst - best + 1 == overlapping


def test_a_median_counts_those_that_withstand_as_far_away() -> None:
    """Of ten images that were right and two that were not: the fifth smallest, or none where fewer than five fall."""

    def median(fall: int) -> float | None:
        rows = [row(i, "deepfool", l2=i + 1.0) if i < fall else failed(i, "deepfool") for i in range(10)]
        rows += [row(i, "deepfool", clean=1, adversarial=1, l2=0.0) for i in (10, 11)]
        made = board({"net": rows}, MINIMAL, examples=12, at=[])
        assert made.norms == ["l2"]
        return named(made)["net"].median_distance["l2"].value

    assert [median(fall) for fall in (10, 5, 4, 0)] == [5, 5, None, None]
    # The smallest that any attack found, in whatever norm it worked.
    rows = [row(i, "deepfool", l2=4.0) for i in range(6)] + [row(i, SMALL.label, l2=1.0 + i) for i in range(6)]
    made = board({"net": rows}, MINIMAL, SMALL, examples=6)
    assert named(made)["net"].median_distance["l2"].value == 3


def test_models_are_compared_on_the_same_images() -> None:
    """The second has reached the easy half alone; the first's are those of the same half; the third has not begun."""
    whole = [row(i, SMALL.label) if i < 10 else failed(i, SMALL.label) for i in range(20)]
    half = [row(i, SMALL.label, forwards=1, backwards=0) for i in range(10)]
    made = board({"whole": whole, "half": half, "none": []}, SMALL, examples=20)
    assert robust(made, "whole") == robust(made, "half") == [(0, 10)]
    assert [(one.model, one.place, one.complete) for one in made.standings] == [
        ("whole", (1, 2), True),
        ("half", (1, 2), False),
        ("none", None, False),
    ]
    assert named(made)["half"].passes.value == 1
    assert named(made)["none"].robust_accuracy[0].value is None


def test_passes_are_those_of_all_attacks_on_an_image() -> None:
    rows = [row(i, one, forwards=2, backwards=1) for i in range(4) for one in (SMALL.label, "deepfool")]
    rows += [row(4, one, clean=1, adversarial=1, forwards=1) for one in (SMALL.label, "deepfool")]  # nothing to do
    assert named(board({"net": rows}, SMALL, MINIMAL, examples=5))["net"].passes.value == 6


def test_doubts_stand_there_and_notes_do_not() -> None:
    flags = [FlagRecord(code=code, message="") for code in ("softmax-outputs", "log-probabilities")]
    made = board({"net": withstood(3, 9)}, SMALL, examples=9, flags=flags)
    assert "softmax-outputs" in named(made)["net"].doubts
    assert "log-probabilities" not in named(made)["net"].doubts


def test_goals_are_ranked_apart_and_labels_that_are_none_give_no_accuracy() -> None:
    rows = withstood(50) + [one | {"goal": "random", "target": 1} for one in withstood(10)]
    models = {"one": rows, "other": rows}
    made = board(models, SMALL, goals=["untargeted", "random"], labelled=False)
    assert [(one.goal, one.place) for one in made.standings] == [
        ("untargeted", (1, 2)),
        ("untargeted", (1, 2)),
        ("random", (1, 2)),
        ("random", (1, 2)),
    ]
    assert {one.clean_accuracy.value for one in made.standings} == {None}
    assert robust(made, "one") == [(10, 100)]  # the last one of that name
