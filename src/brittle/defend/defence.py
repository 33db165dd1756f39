"""What a defence is, the registry of all, and how one or several are put before a classifier."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Literal, Protocol, TypeAlias, TypeVar, final

from brittle.catalog import Registry, label_of
from brittle.catalog.registry import summary_of
from brittle.data.examples import Examples
from brittle.data.given import as_examples
from brittle.errors import BrittleError
from brittle.models.classifier import Classifier, checked_classifier
from brittle.models.network import Network
from brittle.rng import hashed

C = TypeVar("C", bound=type)

Backward = Literal["own", "straight-through", "approximation"]
"""What is differentiated: the defence itself, or something in its place, so that the gradient is not a slope."""


class Defence(Protocol):
    """A registered frozen dataclass: its options are its fields."""

    def around(self, classifier: Classifier, seed: int) -> Classifier:
        """The classifier with this defence before or around it, which is how graders and attackers meet it.

        Its gradient is the one that an attacker who knows of the defence would follow. seed: of all draws.
        """


class FittedDefence(Protocol):
    """A registered frozen dataclass that has to see clean images first: a range, a threshold, a neighbourhood."""

    @property
    def images(self) -> int:
        """How many, at most."""

    def fitted(self, classifier: Classifier, clean: Examples) -> Classifier:
        """As ``Defence.around``, fitted on images as they are: none of the defences before it has seen them.

        What it is a function of, its fingerprint says by that of the examples. Labels are not asked for.
        """


AnyDefence: TypeAlias = Defence | FittedDefence


@final
@dataclass(frozen=True, slots=True)
class DefenceEntry:
    """One registered defence: its class, and what its author declares about it.

    backward: what an attacker differentiates. attacker: what an attacker who knows of it does, in words. drawn: whether
    it answers by random draws; the attacker then sees the mean over draws of their own. fitted: whether it is fitted
    on clean images. inside: whether it looks inside a network, so that only a network may stand behind it.
    """

    name: str
    type: type
    paper: str
    summary: str
    backward: Backward
    attacker: str
    drawn: bool
    fitted: bool
    inside: bool

    @property
    def facts(self) -> str:
        """What is declared about it, in one line."""
        needs = "; fitted on clean images" if self.fitted else ""
        return f"attacker: {self.attacker}{needs}; {self.paper}"


DEFENCES: Registry[DefenceEntry] = Registry(
    "defence", example="JPEG()", advice="it stands before a model: `--defence {name}`"
)


def register_defence(
    name: str,
    *,
    paper: str,
    attacker: str,
    backward: Backward = "own",
    drawn: bool = False,
    fitted: bool = False,
    inside: bool = False,
) -> Callable[[C], C]:
    """Enrol a defence class: from here on it has a CLI name, a docs row, a label and all laws of defences as tests."""

    def enrol(made: C) -> C:
        DEFENCES.enrol(DefenceEntry(name, made, paper, summary_of(made), backward, attacker, drawn, fitted, inside))
        return made

    return enrol


def defended(classifier: Classifier, *defences: AnyDefence, seed: int = 0, clean: Any = None) -> Classifier:
    """The classifier behind defences, which an image meets in this order. seed: of what they draw.

    clean: images that those are fitted on which have to be, as ``brittle.data.given`` takes them: not those that will
    be attacked. The classifier itself stays as it is. BrittleError for what is no registered defence, and for none.
    """
    checked_classifier(classifier)
    if not defences:
        raise BrittleError("expected at least one defence, got none")
    examples = None if clean is None else as_examples(clean)
    for place, one in reversed(list(enumerate(defences))):
        entry = DEFENCES.entry_of(one)  # or it is refused
        if entry.inside and not isinstance(classifier, Network):
            raise BrittleError(
                f"expected a network directly behind {entry.name}, which looks inside, got {classifier!r:.80}; name it"
                " after the other defences"
            )
        if entry.fitted:
            if examples is None:
                raise BrittleError(f"expected clean images to fit {entry.name} on: --defence-data SPEC")
            classifier = one.fitted(classifier, examples)  # type: ignore[union-attr]
        else:
            classifier = one.around(classifier, hashed(f"{seed}\0defence {place}"))  # type: ignore[union-attr]
    return classifier


def images_wanted(defences: Sequence[AnyDefence]) -> int:
    """How many clean images these are fitted on; 0 where none is."""
    return max((one.images for one in defences if DEFENCES.entry_of(one).fitted), default=0)  # type: ignore[union-attr]


def defences_from(texts: Sequence[str]) -> list[tuple[AnyDefence, ...]]:
    """What ``--defence`` says, in order: one composition, or with a sweep such as ``jpeg,quality=50:75`` several."""
    return [tuple(one) for one in product(*map(DEFENCES.read, texts))] if texts else []


def label_of_all(defences: Sequence[AnyDefence]) -> str:
    """``"jpeg + bit-depth(bits=3)"``."""
    return " + ".join(map(label_of, defences))
