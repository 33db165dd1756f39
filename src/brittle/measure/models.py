"""The shape of a summary: what ``brittle summary --json`` prints and the report shows."""

from pydantic import BaseModel, ConfigDict

from brittle.records import FlagRecord


class Plain(BaseModel):
    """A value that JSON holds."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Measured(Plain):
    """One number. None where it does not exist, never NaN: an empty denominator, nothing fooled, no labels."""

    value: float | None = None
    low: float | None = None  # 95 % interval
    high: float | None = None
    count: int | None = None  # a rate's numerator
    of: int | None = None  # a rate's denominator, or how many values a statistic was taken over


def exactly(value: float) -> Measured:
    """What nothing is uncertain about."""
    return Measured(value=value, low=value, high=value)


class Definition(Plain):
    """What a measure is."""

    name: str
    unit: str
    group: str
    description: str


class AttackSummary(Plain):
    """All measures of one attack, by the keys of ``MEASURES``."""

    label: str  # "pgd(eps=8/255)"
    name: str
    kind: str
    norm: str  # the norm the attack works in
    distance_norm: str  # the norm its distances are given in: its own where records have it, else l2
    paper: str
    measures: dict[str, Measured]


class ClassSummary(Plain):
    """One class of a run."""

    index: int
    name: str
    clean_accuracy: Measured
    robust_accuracy: Measured  # under the strongest attack of the run
    taken_for: dict[int, int]  # by class: its images that were right and that this attack moved there, most first
    attracts: int  # images of other classes that were right and that this attack moved here


class Summary(Plain):
    """A run in numbers."""

    schema_version: int
    model: str
    data: str
    goal: str  # as in the manifest
    labelled: bool
    levels: int | None  # 256: every attack ended on what a file of 8 bits can hold
    complete: bool
    headline: list[str]  # sentences for someone who has never heard of any of this
    overall: dict[str, Measured]  # all attacks together, by the keys of MEASURES
    attacks: list[AttackSummary]
    strongest: str | None  # label of the attack with the highest fooling rate
    strongest_minimal: str | None  # the same among minimal attacks
    by_norm: dict[str, str]  # and among those of each norm
    classes: list[ClassSummary]  # those that images have, or are taken for under the strongest attack
    flags: list[FlagRecord]  # preflight flags, then those derived from the records
    definitions: dict[str, Definition]

    def attack(self, label: str) -> AttackSummary:
        """The attack with this label; KeyError where there is none."""
        for attack in self.attacks:
            if attack.label == label:
                return attack
        raise KeyError(label)


class Budget(Plain):
    """A size of perturbation."""

    norm: str
    eps: float


class Standing(Plain):
    """A model under one goal, in a leaderboard."""

    model: str
    goal: str
    place: tuple[int, int] | None  # the best and the worst rank that it may have among the models, at any budget
    clean_accuracy: Measured
    robust_accuracy: list[Measured]  # at each budget
    ranks: list[tuple[int, int] | None]  # the best and the worst that it may have at each budget
    median_distance: dict[str, Measured]  # by norm; the value is None where more than half withstand
    passes: Measured
    doubts: list[str]  # codes of flags
    complete: bool
    without: list[str] = []  # attacks that others have met and this one has not: it has no rank


class Leaderboard(Plain):
    """Models beside each other, best first within a goal."""

    budgets: list[Budget]
    norms: list[str]  # of median_distance
    standings: list[Standing]
