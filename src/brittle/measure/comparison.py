"""Two audits held against each other, example by example."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, final

import pandas as pd

from brittle.errors import BrittleError
from brittle.flags import is_doubt
from brittle.measure.attack import median, rate
from brittle.measure.definitions import MEASURES
from brittle.measure.intervals import mcnemar
from brittle.measure.models import Measured
from brittle.measure.outcomes import distance_norm, judged
from brittle.measure.summary import summarize
from brittle.measure.told import Sized, Told
from brittle.records import AttackSpec, Manifest, View
from brittle.text import counted, percent, plain, points

ALL = "all attacks"
LUCK = 0.05


@final
@dataclass(frozen=True, slots=True)
class Side:
    """An audit of a comparison. name: what it is called where people read."""

    name: str
    manifest: Manifest
    records: pd.DataFrame


@final
@dataclass(frozen=True, slots=True)
class _Pair:
    """A view of each audit, with the judged records of the attacks and examples that both have.

    specs: the attacks, of those that both audits have, that both models take.
    """

    views: tuple[View, View]
    specs: tuple[AttackSpec, ...]
    rows: tuple[pd.DataFrame, pd.DataFrame]

    def of(self, spec: AttackSpec) -> pd.DataFrame:
        """The records of an attack beside each other, ``_a`` and ``_b``; only examples that both have reached."""
        mine = [rows[rows["attack"] == spec.label] for rows in self.rows]
        beside: pd.DataFrame = mine[0].merge(mine[1], on="example", suffixes=("_a", "_b"))
        return beside

    def together(self, labels: Sequence[str]) -> pd.DataFrame:
        """The same for all attacks as one, by examples that every one of them has reached in both audits."""
        found = []
        for rows in self.rows:
            grouped = rows.groupby("example", sort=False)
            each = grouped.agg({"correct": "first", "changed": "any", "lost": "any", "attack": "nunique"})
            found.append(each[each["attack"] == len(labels)].drop(columns="attack").astype(bool))
        beside: pd.DataFrame = found[0].merge(found[1], left_index=True, right_index=True, suffixes=("_a", "_b"))
        return beside


class _Row(NamedTuple):
    """A row of the table. more, fewer: on how many examples that of either audit is above the other's."""

    title: str
    measure: str
    a: Measured | Sized
    b: Measured | Sized
    difference: Sized
    more: int
    fewer: int
    p: float


def comparison(a: Side, b: Side) -> Told:
    """What differs between two audits, on the examples, goals and attacks that both have.

    Models are paired by name, or, where each audit has one, whatever they are called. Attacks must have the same label
    and settings. Every row has both values over the same examples (see the sentences), by how much that of ``b`` is
    above, on how many examples either is above the other, and the exact two-sided p of that: McNemar's test of rates,
    the sign test of distances.

    Raises BrittleError where there is nothing to pair: no common model, goal, attack or example, labels that disagree,
    or labels in one audit only.
    """
    specs = _attacks(a, b)
    pairs = [_pair(a, b, views, specs) for views in _views(a, b)]
    heads = (
        "attack",
        "measure",
        *(f"in {x.name}" for x in (a, b)),
        "change",
        *(f"more in {x.name}" for x in (a, b)),
    )
    rows, headlines = [], []
    for pair in pairs:
        where = f"{_named(pair)}: " if len(pairs) > 1 else ""
        mine = list(_rows(pair, pair.specs))
        headlines.append(where + _headline(a, b, pair, mine, len(pair.specs)))
        rows += [row._replace(title=where + row.title) for row in mine]
    sentences = (*headlines, *_caveats(a, b, pairs, specs))
    return Told(sentences, heads=(*heads, "p"), rows=tuple(rows))


def _attacks(a: Side, b: Side) -> list[AttackSpec]:
    theirs = {spec.label: spec.config for spec in b.manifest.attacks}
    common = [spec for spec in a.manifest.attacks if theirs.get(spec.label) == spec.config]
    if not common:
        there, here = (", ".join(spec.label for spec in side.manifest.attacks) for side in (a, b))
        raise BrittleError(
            f"expected an attack that both runs have, got {there} in {a.name!r} and {here} in {b.name!r}; run the same"
            " attack, with the same settings, in both"
        )
    return common


def _views(a: Side, b: Side) -> list[tuple[View, View]]:
    there, here = ({(view.model, view.goal): view for view in side.manifest.views()} for side in (a, b))
    models, others = ([model.name for model in side.manifest.models] for side in (a, b))
    names = [(name, name) for name in models if name in others]
    if not names and len(models) == len(others) == 1:
        names = [(models[0], others[0])]
    if not names:
        raise BrittleError(
            f"expected a model that both runs have, or one in each, got {', '.join(models)} in {a.name!r} and"
            f" {', '.join(others)} in {b.name!r}; give those that belong together the same name: --model NAME=SPEC"
        )
    goals = [goal for goal in dict.fromkeys(goal for _, goal in there) if goal in {goal for _, goal in here}]
    if not goals:
        raise BrittleError(
            f"expected a goal that both runs have, got {', '.join(a.manifest.goals)} in {a.name!r} and"
            f" {', '.join(b.manifest.goals)} in {b.name!r}"
        )
    return [(there[one, goal], here[other, goal]) for one, other in names for goal in goals]


def _pair(a: Side, b: Side, views: tuple[View, View], specs: Sequence[AttackSpec]) -> _Pair:
    taken = [{spec.label for spec in view.attacks} for view in views]
    mine = tuple(spec for spec in specs if all(spec.label in labels for labels in taken))
    labels = [spec.label for spec in mine]
    found = [view.of(side.records) for view, side in zip(views, (a, b), strict=True)]
    one, other = (judged(rows[rows["attack"].isin(labels)]) for rows in found)
    pair = _Pair(views, mine, (one, other))
    if not any(len(pair.of(spec)) for spec in mine):
        raise BrittleError(
            f"expected examples that both runs have, got none: data {a.manifest.data!r} in {a.name!r} and"
            f" {b.manifest.data!r} in {b.name!r}; audit the same images in both"
        )
    if a.manifest.labelled != b.manifest.labelled:
        raise BrittleError(
            f"expected labels in both runs or in neither, got them in {(a if a.manifest.labelled else b).name!r} alone;"
            " without labels a network's own answers count as right, which cannot be compared"
        )
    if a.manifest.labelled:
        _check_labels(a, b, pair)
    return pair


def _check_labels(a: Side, b: Side, pair: _Pair) -> None:
    """An id says which image of its data it is, not which data: other labels mean other images."""
    known = [rows.drop_duplicates("example").set_index("example")["label"] for rows in pair.rows]
    both = known[0].to_frame("a").join(known[1].rename("b"), how="inner")
    for example, one, other in both[both["a"] != both["b"]].itertuples():
        names = [_class(view, label) for view, label in zip(pair.views, (one, other), strict=True)]
        if names[0] != names[1]:
            raise BrittleError(
                f"expected the same images in both runs, got example {str(example)!r} labelled {names[0]!r} in"
                f" {a.name!r} and {names[1]!r} in {b.name!r}; audit the same data in both"
            )


def _class(view: View, index: int) -> str:
    return view.class_names[index] if 0 <= index < len(view.class_names) else str(index)


def _rows(pair: _Pair, specs: Sequence[AttackSpec]) -> Iterator[_Row]:
    """The first row for robust accuracy is the one of all attacks, where there are several."""
    whole = pair.together([spec.label for spec in specs])
    before = pd.concat([pair.of(spec) for spec in specs]).drop_duplicates("example")
    if pair.views[0].labelled:
        yield _rate("before any attack", "clean_accuracy", before["correct_a"], before["correct_b"])
    if len(specs) > 1:
        yield from _rates(ALL, whole)
    for spec in specs:
        rows = pair.of(spec)
        yield from _rates(spec.label, rows)
        tried = rows[rows["attacked_a"] & rows["attacked_b"]]
        right = rows[rows["correct_a"] & rows["correct_b"]]
        same = [tried[f"success_{x}"].equals(right[f"changed_{x}"]) for x in "ab"]
        if not all(same):  # as in every untargeted audit
            yield _rate(spec.label, "attack_success_rate", tried["success_a"], tried["success_b"])
        yield _distance(spec.label, right[right["success_a"] & right["success_b"]], distance_norm(spec.norm))


def _rates(title: str, rows: pd.DataFrame) -> Iterator[_Row]:
    robust = [rows[f"correct_{x}"] & ~rows[f"lost_{x}"] for x in "ab"]
    right = rows[rows["correct_a"] & rows["correct_b"]]
    yield _rate(title, "robust_accuracy", *robust)
    yield _rate(title, "fooling_rate", right["changed_a"], right["changed_b"])


def _rate(title: str, key: str, a: "pd.Series[bool]", b: "pd.Series[bool]") -> _Row:
    n, one, other = len(a), int(a.sum()), int(b.sum())
    more, fewer = int((a & ~b).sum()), int((b & ~a).sum())
    difference = Measured(value=(other - one) / n if n else None, of=n)
    cells = (rate(one, n), rate(other, n), Sized(difference, "points"), more, fewer, mcnemar(more, fewer))
    return _Row(title, MEASURES[key].name, *cells)


def _distance(title: str, rows: pd.DataFrame, norm: str) -> _Row:
    a, b = rows[f"{norm}_a"], rows[f"{norm}_b"]
    one, other = median(a), median(b)
    ratio = other.value / one.value if one.value and other.value is not None else None
    more, fewer = int((a > b).sum()), int((b > a).sum())
    cells = (Sized(one, "distance", norm), Sized(other, "distance", norm), Sized(Measured(value=ratio), "times"))
    name = f"{MEASURES['median_distance'].name} of {counted(len(rows), 'image')}"
    return _Row(title, name, *cells, more, fewer, mcnemar(more, fewer))


def _headline(a: Side, b: Side, pair: _Pair, rows: Sequence[_Row], attacks: int) -> str:
    row = next(row for row in rows if row.measure == MEASURES["robust_accuracy"].name)
    one, other = (cell.measured if isinstance(cell, Sized) else cell for cell in (row.a, row.b))
    if one.value is None or other.value is None:
        return "No example has been reached by every attack in both runs yet."
    keeps = "is still right" if pair.views[0].labelled else "keeps its answer"
    under = row.title if attacks == 1 else f"these {attacks} attacks"
    given = f"Of {counted(one.of or 0, 'image')}, {a.name} {keeps} under {under} on {percent(one.value)}, {b.name} on"
    if not row.more and not row.fewer:
        return f"{given} the same."
    verdict = "luck alone rarely makes such a difference" if row.p < LUCK else "which luck may explain"
    return f"{given} {percent(other.value)}: {points(other.value - one.value)}, {verdict} (p = {plain(row.p)})."


def _caveats(a: Side, b: Side, pairs: Sequence[_Pair], specs: Sequence[AttackSpec]) -> Iterator[str]:
    yield (
        "Paired by example: robust accuracy is over all images that both runs have, the fooling rate over those that"
        " both get right, the success rate over those attacked in both, and distances over those fooled in both."
    )
    yield (
        "p is that of McNemar's exact test, of distances that of a sign test, for each row by itself: of twenty rows"
        " in which nothing differs, one falls below 0.05."
    )
    for pair in pairs:
        if (names := [view.model for view in pair.views])[0] != names[1]:
            yield f"The model is {names[0]} in {a.name} and {names[1]} in {b.name}."
    if a.manifest.data != b.manifest.data:
        agree = "ids and labels agree" if a.manifest.labelled else "ids agree, and there are no labels"
        yield f"The data are {a.manifest.data} in {a.name} and {b.manifest.data} in {b.name}; {agree}."
    for side in (a, b):
        common = {spec.label for spec in specs}
        others = [spec.label for spec in side.manifest.attacks if spec.label not in common]
        if others:
            yield f"Left out, as only {side.name} has it with these settings: {', '.join(others)}."
        shown = [pair.views[side is b] for pair in pairs]
        flags = [flag.code for view in shown for flag in summarize(view, view.of(side.records)).flags]
        codes = [code for code in dict.fromkeys(flags) if is_doubt(code)]
        if codes:
            yield f"Doubts about {side.name}: {', '.join(codes)}."


def _named(pair: _Pair) -> str:
    names = dict.fromkeys(view.model for view in pair.views)
    return f"{' and '.join(names)}, {pair.views[0].goal}"
