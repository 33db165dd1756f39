"""Which network stands for each of the source's, and why none does."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, final

from brittle.errors import BrittleError
from brittle.measure.ledger import ArmTold
from brittle.models.trainable import TRAINABLE
from brittle.models.trained import card_of
from brittle.models.zoo import check_model
from brittle.recipes.format import ALIKE, Arm, Asked, Network, Recipe, Same, Scale
from brittle.run.spec import ModelSpec

_ON_THE_SPOT = ("digits-cnn", "signs-cnn")


@final
class Hands(NamedTuple):
    """The networks at hand by name, and why others are not."""

    at: dict[str, Network]
    absent: dict[str, str]


def at_hand(
    recipe: Recipe,
    scale: Scale,
    given: Sequence[ModelSpec] = (),
    weights: Mapping[str, str] = {},
    *,
    trains: bool = False,
) -> Hands:
    """What a recipe names at a scale, with what a user gives instead or on top.

    given: whole networks by name; one that the recipe does not know is judged by what is claimed of every network.
    weights: files for those that the recipe names. trains: those without weights are going to be trained. BrittleError
    where no network is left, and for a given one that there is not, or that has no weights.
    """
    at, absent = {}, {}
    mine = {one.name or one.model: one for one in given}
    if len(mine) < len(given):
        names = [one.name or one.model for one in given]
        raise BrittleError(f"expected one network for each name, got {', '.join(names)}")
    for name, arm in recipe.arms.items():
        own: Network | None = getattr(arm, scale)
        if name in mine:
            at[name] = _given(mine[name], own, arm.paper)
        elif arm.of is not None:
            continue
        elif own is None:
            absent[name] = f"no network stands for {arm.published} at scale {scale}: --model {name}=SPEC"
        else:
            chosen = own if name not in weights else own.model_copy(update={"weights": weights[name]})
            missing = _missing(name, chosen, arm.published, trains=trains)
            if missing is None:
                at[name] = chosen
            else:
                absent[name] = missing
    for name, arm in recipe.arms.items():
        if arm.of is None or name in mine:
            continue
        if not arm.behind(scale):
            absent[name] = f"no defence stands for {arm.published} at scale {scale}"
        elif arm.of in at:
            at[name] = behind(at[arm.of], arm, scale)
        else:
            absent[name] = absent[arm.of]
    at = {name: at[name] for name in recipe.arms if name in at}
    for name, one in mine.items():
        check_model(one.model)
        at.setdefault(name, _given(one))
        missing = _missing(name, at[name], name, trains=trains)
        if missing is not None:  # whoever names a network wants it, and no verdict without it
            raise BrittleError(missing)
    own_ones = [name for name, arm in recipe.arms.items() if arm.of is None]
    unknown = [name for name in weights if name not in own_ones]
    if unknown:
        raise BrittleError(f"expected --weights of an arm ({', '.join(own_ones)}), got {unknown[0]!r}")
    if not at:
        reasons = "; ".join(f"{name}: {why}" for name, why in absent.items())
        raise BrittleError(f"no network is at hand at scale {scale} ({reasons})")
    return Hands(at, absent)


def behind(network: Network, arm: Arm, scale: Scale) -> Network:
    """The network of the arm that another is of, behind the defences of that."""
    data = network.defence_data if arm.defence_data is None else arm.defence_data
    defences = [*arm.behind(scale), *network.defences]
    return network.model_copy(update={"defences": defences, "defence_data": data})


def asked_for(recipe: Recipe, scale: Scale) -> Asked:
    """A recipe's own data at a scale, without any network."""
    train = "" if recipe.data.train is None else getattr(recipe.data.train, scale)
    return Asked(scale=scale, data=getattr(recipe.data, scale), train_data=train, arms={})


def is_bare(network: ModelSpec) -> bool:
    """Whether a network is nothing without weights, and has none."""
    return network.weights is None and ":" not in network.model and network.model not in _ON_THE_SPOT


def _missing(name: str, network: Network, stands_for: str, *, trains: bool) -> str | None:
    """What a network wants before it can be looked at; None for nothing."""
    can = network.model in TRAINABLE
    if not is_bare(network) or (trains and can):
        return None
    ways = [f"--weights {name}=FILE"] + ["--train-data SPEC trains it"] * can
    return f"{network.model} for {stands_for} needs its weights: {', or '.join(ways)}"


def _given(model: ModelSpec, *known: Network | None) -> Network:
    """A network of the user's: as alike as what the recipe has for the arm, where it is of that architecture."""
    card = card_of(model.model)
    called = model.model if card is None else card.makings.architecture
    same: Same = next((one.same for one in known if one is not None and one.model == called), "other")
    return Network(**model.model_dump(exclude={"name"}), same=same)


def unlike(recipe: Recipe, asked: Asked, names: Sequence[str], needed: Same) -> str | None:
    """Why networks are too unlike those of the source; None where they are alike enough."""
    for name in names:
        network = asked.arms.get(name)
        if network is not None and ALIKE.index(network.same) < ALIKE.index(needed):
            arm = recipe.arms.get(name)
            published = arm.published if arm else "any of the source"
            shown = next(one.shown for one in told(recipe, asked) if one.name == name)
            return f"another network: {shown} instead of {published}"
    return None


def told(recipe: Recipe, asked: Asked) -> tuple[ArmTold, ...]:
    """The networks as a page says them."""
    found = []
    for name in dict.fromkeys((*recipe.arms, *asked.arms)):
        arm, network = recipe.arms.get(name), asked.arms.get(name)
        found.append(
            ArmTold(
                name=name,
                stands_for=arm.published if arm else "",
                model=network.model if network else "",
                same=network.same if network else "",
                defences=tuple(network.defences) if network else (),
                absent=asked.absent.get(name),
            )
        )
    return tuple(found)
