"""A ledger: everything that a source claims, with what was measured and its verdict, and what to doubt in either."""

from collections import Counter
from collections.abc import Mapping, Sequence

from brittle.measure.claims import VERDICTS, Judged
from brittle.measure.models import Measured, Plain
from brittle.measure.told import Curve


class ArmTold(Plain):
    """A network of a study. stands_for: what it has in the source; same: how alike they are. absent: why it is none.

    defences: what it stands behind, as they were asked for.
    """

    name: str
    stands_for: str
    model: str
    same: str
    absent: str | None = None
    defences: tuple[str, ...] = ()

    @property
    def shown(self) -> str:
        """The network for readers: by its spec, or by the step of the study that trains it; and its defences."""
        step = self.model.removeprefix("run:{dir}/")
        network = self.model.replace(":{train_data}", ", on the training data")
        if step != self.model:
            network = f"trained here: {step.removesuffix('-seed-{seed}')}"
        return f"{network}, behind {' + '.join(self.defences)}" if self.defences else network


class Drawn(Plain):
    """A plot of the source again, with the points that it prints. x, y: titles of its axes."""

    title: str
    place: str
    x: str
    y: str
    curves: tuple[Curve, ...]


class BesideTold(Plain):
    """Numbers of each network beside one another. rows: the network, and a number under each head, in its unit."""

    title: str
    says: str
    heads: tuple[str, ...]
    units: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Measured | None, ...]], ...]


class Doubt(Plain):
    """What does not fit together, in the source or in what was measured."""

    code: str
    about: str
    message: str


class Ledger(Plain):
    """A study in claims: what ``claims.json`` holds."""

    name: str
    title: str
    source: str
    scale: str
    data: str
    published_data: str
    arms: tuple[ArmTold, ...]
    judged: tuple[Judged, ...]
    doubts: tuple[Doubt, ...]
    plots: tuple[Drawn, ...]
    besides: tuple[BesideTold, ...] = ()
    deviations: tuple[tuple[str, str], ...]
    steps: tuple[tuple[str, str], ...]  # name, folder below the study's

    @property
    def counts(self) -> dict[str, int]:
        """How many claims have each verdict."""
        found = Counter(one.verdict for one in self.judged)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def headline(self) -> list[str]:
        """What came out, in a sentence or two."""
        counts, every = self.counts, len(self.judged)
        decided = counts["reproduced"] + counts["refuted"]
        said = (
            f"{counts['reproduced']} of {decided} claims that could be decided are reproduced"
            if decided
            else ("None of the claims could be decided")
        )
        rest = f"{counts['untested']} are untested and {counts['not comparable']} not comparable, of {every}."
        return [f"{self.title}{'' if self.title.endswith('?') else ':'} {said}.", rest[0].upper() + rest[1:]]


def stopped(steps: Mapping[str, tuple[int, int]]) -> list[Doubt]:
    """Of steps that are not finished: how many records of how many they have."""
    return [
        Doubt(
            code="incomplete",
            about=name,
            message=f"{present:,} of {every:,} records are present: the same command goes on",
        )
        for name, (present, every) in steps.items()
    ]


def doubts_of(
    judged: Sequence[Judged],
    accuracies: Sequence[tuple[str, Measured, float]],
    printed_accuracies: Sequence[tuple[str, float, float]],
) -> list[Doubt]:
    """What to doubt: figures against the source's own claim, nothing beyond chance, a change no better than noise.

    accuracies: (of what, measured, that of who guesses); printed_accuracies: the same as published.
    """
    found = []
    for one in judged:
        if one.bears is False:
            message = f"the source's own figures are not as it says: {one.claim.says}"
            found.append(Doubt(code="printed-order", about=one.claim.id, message=message))
        if one.noise is not None and one.measured and one.measured[0] is not None:
            mine, noise = one.measured[0], one.noise
            if mine.high is not None and noise.low is not None and mine.high < noise.low:
                message = "random noise of equal norm does more than this"
                found.append(Doubt(code="below-noise", about=one.claim.id, message=message))
            elif mine.low is not None and noise.high is not None and mine.low <= noise.high:
                message = "not told apart from random noise of equal norm"
                found.append(Doubt(code="like-noise", about=one.claim.id, message=message))
    for about, accuracy, chance in accuracies:
        if accuracy.low is not None and accuracy.low <= chance:
            message = f"its accuracy before any attack is not above chance, {100 * chance:.3g} %"
            found.append(Doubt(code="chance", about=about, message=message))
    for about, figure, chance in printed_accuracies:
        if not chance < figure <= 1:
            message = (
                f"the accuracy that the source prints, {100 * figure:.4g} %, is not above chance, {100 * chance:.3g} %"
            )
            found.append(Doubt(code="chance", about=about, message=message))
    return found
