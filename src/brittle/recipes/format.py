"""What a recipe file says: networks, data, steps, published tables, claims, plots and deviations."""

from typing import Any, Literal, TypeAlias, final

from pydantic import Field

from brittle.measure.claims import Kind, Read, Relation
from brittle.run.spec import Keys, ModelSpec

Scale: TypeAlias = Literal["smoke", "cpu", "paper"]
SCALES: tuple[Scale, ...] = ("smoke", "cpu", "paper")
Same: TypeAlias = Literal["network", "family", "other"]
ALIKE: tuple[Same, ...] = ("other", "family", "network")
"""How alike a network is to that of the source, from least to most."""
Cell: TypeAlias = float | int | str


@final
class Network(ModelSpec):
    """A network that stands for one of the source, as in any spec. same: how alike they are."""

    same: Same = "other"


@final
class Arm(Keys):
    """A network of the source, and what stands for it at each scale; none where there is nothing yet.

    of: another arm instead, whose network it is behind ``defences``, whatever stands for that one; at a scale for which
    they say nothing, none. defence_data: clean images that some of them are fitted on.
    """

    published: str
    smoke: Network | None = None
    cpu: Network | None = None
    paper: Network | None = None
    of: str | None = None
    defences: list[str] | dict[Scale, list[str]] = Field(default=[])
    defence_data: str | None = None

    def behind(self, scale: Scale) -> list[str]:
        """Its defences at a scale."""
        return self.defences.get(scale, []) if isinstance(self.defences, dict) else self.defences


@final
class TrainKeys(Keys):
    """What networks are trained on, where a recipe has steps that train them."""

    smoke: str
    cpu: str
    paper: str


@final
class DataKeys(Keys):
    """The data of the source, and what stands for them. train: ``{train_data}`` of its steps."""

    published: str
    classes: int
    smoke: str
    cpu: str
    paper: str
    train: TrainKeys | None = None


@final
class Column(Keys):
    """A column of a published table. unit: as printed. tolerance: in it; how far off a measurement is still the same.

    measure: the column's name, by default; taken: the measure as the source took it. tolerance may wait where no figure
    can be compared, as of times.
    """

    unit: str = ""
    tolerance: float = 0.0
    measure: str | None = None
    taken: str | None = None


@final
class Table(Keys):
    """A published table. quantity: the name of a cell's quantity, with ``{head}`` of the row, and ``{measure}``.

    taken: the same as the source took it; noise: what random noise of equal norm does, which stands beside it.
    heads: those with an entry in columns are figures, the others name the row. rows: ``""`` where nothing is printed.
    """

    id: str
    place: str
    read: Read = "paper"
    quantity: str
    taken: str | None = None
    noise: str | None = None
    heads: list[str]
    columns: dict[str, Column] = Field(min_length=1)
    rows: list[list[Cell]] = Field(min_length=1)


@final
class Said(Keys):
    """A claim that no single cell is: see ``measure.claims.Claim``.

    quantity with over: a sequence, one for each value of its variable; others in it have one value, as a budget at
    each scale, which ``says`` may name as well. Otherwise quantities. ``{arm}`` elsewhere: once for each network at
    hand, or for those of ``arms`` alone. same: how alike a network must be; by default the same for figures, of the
    family where the claim names networks, and any where it does not.
    """

    id: str
    kind: Kind
    says: str
    quantity: str | None = None
    over: dict[str, Any] = Field(default={})
    quantities: list[str] = Field(default=[])
    arms: list[str] = Field(default=[])
    taken: list[str] = Field(default=[])
    relation: Relation | None = None
    above: float | None = None
    below: float | None = None
    published: list[float] = Field(default=[])
    unit: str = ""
    tolerance: float = 0.0
    place: str
    read: Read = "paper"
    same: Same | None = None


@final
class Plot(Keys):
    """A plot of the source: a quantity over a variable, a line for each network; or the curves of a step.

    told: the step whose own curves they are, as its study tells them, instead of quantity and over. unit: of the y
    axis.
    """

    title: str
    place: str
    quantity: str = ""
    over: dict[str, Any] = Field(default={})
    told: str | None = None
    x: str
    y: str
    unit: str = ""


@final
class Beside(Keys):
    """Measured numbers of each network beside one another, and what follows from them. columns: quantities by head.

    over: variables in them and in ``says``, of one value each. units: of those that are not as the measures have them.
    """

    title: str
    says: str
    columns: dict[str, str] = Field(min_length=1)
    over: dict[str, Any] = Field(default={})
    units: dict[str, str] = Field(default={})


@final
class Deviation(Keys):
    """What is not as in the source, and why."""

    what: str
    why: str


@final
class Asked(Keys):
    """How a recipe was run, as ``recipe.toml`` in its directory says: scale, data, and networks by name.

    absent: by name, why there was none. train_data: what steps that train have.
    """

    scale: Scale
    data: str
    arms: dict[str, Network]
    absent: dict[str, str] = Field(default={})
    train_data: str = ""
    seed: int = 0


@final
class Recipe(Keys):
    """A published experiment. centre: the mean colour that a source takes off an image before it measures its norm.

    training: the training recipe of networks that are trained for it. steps: specs of studies, each with a name; see
    ``recipes.steps``.
    """

    title: str
    source: str
    centre: list[float] | None = None
    arms: dict[str, Arm] = Field(min_length=1)
    data: DataKeys
    training: str = "standard"
    steps: list[dict[str, Any]] = Field(min_length=1)
    tables: list[Table] = Field(default=[])
    claims: list[Said] = Field(default=[])
    plots: list[Plot] = Field(default=[])
    besides: list[Beside] = Field(default=[])
    deviations: list[Deviation] = Field(min_length=1)
    name: str | None = None
    asked: Asked | None = None
