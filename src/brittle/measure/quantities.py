"""The quantities of a run by name, as claims speak of them, each with its interval and, where it has one, by image."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, final

import pandas as pd

from brittle.measure.attack import mean, measure_attack, rate
from brittle.measure.convention import by_convention
from brittle.measure.intervals import Z95
from brittle.measure.models import Measured, exactly
from brittle.measure.outcomes import distance_norm, judged
from brittle.measure.told import Sized, Told
from brittle.records import AttackSpec, Manifest
from brittle.text import size

Each: TypeAlias = "pd.Series[float]"
"""What a quantity is the mean of, indexed by the image."""

BY_IMAGE = ("l2", "linf", "l1", "l0", "steps", "adversarial_confidence")
"""Columns of an audit's records that claims may compare image by image."""


SEEDS = 3
"""So many, at least, have a spread that an interval can be made of."""


@final
@dataclass(frozen=True)
class Quantities:
    """What has been measured. known: by name, ``MODEL/ATTACK/MEASURE`` of an audit. each: the same by image."""

    known: dict[str, Measured] = field(default_factory=dict)
    each: dict[str, Each] = field(default_factory=dict)

    def below(self, prefix: str) -> "Quantities":
        """The same quantities as those of a step of this name."""
        return Quantities(
            {f"{prefix}/{name}": one for name, one in self.known.items()},
            {f"{prefix}/{name}": one for name, one in self.each.items()},
        )


def joined(parts: Sequence[Quantities]) -> Quantities:
    """All of some parts; what is in several of them, as runs of several seeds are, is pooled."""
    names = dict.fromkeys(name for part in parts for name in part.known)
    known = {name: pooled([part.known[name] for part in parts if name in part.known]) for name in names}
    seen = [name for part in parts for name in part.each]
    each = {name: one for part in parts for name, one in part.each.items() if seen.count(name) == 1}
    return Quantities(known, each)


def pooled(parts: Sequence[Measured]) -> Measured:
    """Several seeds of one quantity: their mean, and from the lowest to the highest end of their intervals.

    Where a seed has no interval of its own, its value stands for one, if there are ``SEEDS``: two have no spread.
    """
    if len(parts) == 1:
        return parts[0]
    values = [one.value for one in parts if one.value is not None]
    if len(values) < len(parts):
        return Measured(value=None)
    counts = [one.count for one in parts if one.count is not None]
    spread = len(parts) >= SEEDS or all(one.low is not None and one.high is not None for one in parts)
    ends = [(one.value if one.low is None else one.low, one.value if one.high is None else one.high) for one in parts]
    return Measured(
        value=sum(values) / len(values),
        low=min(low for low, _ in ends if low is not None) if spread else None,
        high=max(high for _, high in ends if high is not None) if spread else None,
        count=sum(counts) if len(counts) == len(parts) else None,
        of=sum(one.of or 0 for one in parts) or None,
    )


def quantities(manifest: Manifest, records: pd.DataFrame, told: Told | None) -> Quantities:
    """Those of a run of any study. told: what the study says of it, whose table is read where nothing else is known."""
    if manifest.study == "audit":
        return _of_audit(manifest, records)
    if manifest.study == "fit":
        return _of_fit(manifest, records)
    if manifest.study == "noise":
        return _of_noise(manifest, records)
    if manifest.study == "train":
        return _of_training(records)
    return Quantities(dict(_of_told(told))) if told is not None else Quantities()


def _of_audit(manifest: Manifest, records: pd.DataFrame) -> Quantities:
    """``MODEL/clean_accuracy``, ``clean_error``, ``MODEL/ATTACK/MEASURE``; of several goals, ``MODEL/GOAL/...``.

    An attack that reads a file, whose label has the digest of that, goes by its name alone.
    """
    known: dict[str, Measured] = {}
    each: dict[str, Each] = {}
    for view in manifest.views():
        rows = judged(view.of(records))
        start = view.model if len(manifest.goals) == 1 else f"{view.model}/{view.goal}"
        images = rows.drop_duplicates("position")
        right = int(images["correct"].sum())
        known[f"{start}/clean_accuracy"] = rate(right, len(images))
        known[f"{start}/clean_error"] = rate(len(images) - right, len(images))
        for spec in view.attacks:
            mine = rows[rows["attack"] == spec.label]
            path, norm = f"{start}/{called(spec)}", distance_norm(spec.norm)
            fooled = mine[mine["correct"] & mine["success"]]
            measures = measure_attack(view, spec, rows).measures
            measures |= {  # the same means, with their intervals
                "mean_distance": mean(fooled[norm]),
                "confidence": mean(fooled["adversarial_confidence"]),
                **{key: mean(mine.loc[mine["attacked"], key]) for key in ("steps", "forwards", "backwards", "seconds")},
                **by_convention(mine, view.image_shape),
            }
            known |= {f"{path}/{key}": one for key, one in measures.items()}
            at = mine[mine["correct"]].set_index("position")
            each |= {f"{path}/{column}": at[column].astype(float) for column in BY_IMAGE}
            each[f"{path}/fooling_rate"] = at["changed"].astype(float)
            each[f"{path}/mean_distance"] = fooled.set_index("position")[norm].astype(float)
    return Quantities(known, each)


def called(spec: AttackSpec) -> str:
    """How quantities name an attack: by its label, or by its name alone where that has the digest of a file."""
    return spec.name if "file" in spec.config else spec.label


def _of_fit(manifest: Manifest, records: pd.DataFrame) -> Quantities:
    """``MODEL/fitted/fooling_rate``, ``MODEL/unseen/...``, ``MODEL/new/...``; ``by_chance``: by random changes.

    new: those of the unseen that are none of the fitted, which test data may hold too.
    """
    known: dict[str, Measured] = {}
    new = new_of(manifest, records).assign(part="new")
    for (model, part), rows in pd.concat([records, new]).groupby(["model", "part"], sort=False):
        right = rows[rows["clean_prediction"] == rows["label"]]
        moved = rows["clean_prediction"] != rows["adversarial_prediction"]
        known |= {
            f"{model}/{part}/fooling_rate": rate(int(right["fooled"].sum()), len(right)),
            f"{model}/{part}/by_chance": rate(int(right["fooled_by_chance"].sum()), len(right)),
            f"{model}/{part}/label_change_rate": rate(int(moved.sum()), len(rows)),
        }
    return Quantities(known)


def new_of(manifest: Manifest, records: pd.DataFrame) -> pd.DataFrame:
    """The records of a fit's test data, without those that it was fitted to, which the same data may hold too."""
    old = set(records.loc[records["part"] == "fitted", "example"])
    among = manifest.settings["unseen_data"] == manifest.data
    new: pd.DataFrame = records[(records["part"] == "unseen") & ~(records["example"].isin(old) & among)]
    return new


def _of_noise(manifest: Manifest, records: pd.DataFrame) -> Quantities:
    """``MODEL/l2=SIZE/accuracy``, ``error``; ``fooling_rate``: of those right at the least size, how many are not."""
    known: dict[str, Measured] = {}
    least = records["size"].min()
    for model, mine in records.groupby("model", sort=False):
        right = mine.assign(right=mine["prediction"] == mine["label"])
        before = right[right["size"] == least].set_index("example")["right"]
        for radius, rows in right.groupby("size"):
            path = f"{model}/{manifest.settings['norm']}={size(float(radius))}"
            now = rows.set_index("example")["right"]
            known[f"{path}/accuracy"] = rate(int(now.sum()), len(now))
            known[f"{path}/error"] = rate(int((~now).sum()), len(now))
            known[f"{path}/fooling_rate"] = rate(int((before & ~now).sum()), int(before.sum()))
    return Quantities(known)


def _of_training(records: pd.DataFrame) -> Quantities:
    """``NETWORK/test_accuracy``, ``ended_early`` (1 or 0), ``epochs``, ``seconds``, and ``robust_in_training``: the
    share of training images that were right under PGD in the last epoch, where something looked."""
    known: dict[str, Measured] = {}
    for network, rows in records.groupby("network", sort=False):
        last = rows.sort_values("epoch").iloc[-1]
        known |= {
            f"{network}/test_accuracy": rate(int(last["held_out_right"]), int(last["held_out"])),
            f"{network}/ended_early": exactly(float(isinstance(last["stopped"], str))),
            f"{network}/epochs": exactly(float(last["epoch"])),
            f"{network}/seconds": exactly(float(last["seconds"])),
        }
        if not pd.isna(last["robust"]):
            known[f"{network}/robust_in_training"] = Measured(value=float(last["robust"]))
    return Quantities(known)


def _of_told(told: Told) -> Iterator[tuple[str, Measured]]:
    """``WORDS OF THE ROW/HEAD`` for every number in a study's table that has an interval or a unit."""
    for row in told.rows:
        start = "/".join(
            size(cell) if isinstance(cell, float) else cell for cell in row if isinstance(cell, str | float)
        )
        for head, cell in zip(told.heads, row, strict=True):
            if isinstance(cell, Sized):
                yield f"{start}/{head}", cell.measured
            elif isinstance(cell, Measured):
                yield f"{start}/{head}", cell


def always_below(one: Each, other: Each) -> Measured:
    """The share of the images that both have on which the one is not above the other, but for rounding."""
    both = pd.concat([one, other], axis=1, join="inner").to_numpy()
    held = int((both[:, 0] <= both[:, 1] * (1 + 1e-5) + 1e-9).sum()) if len(both) else 0
    return rate(held, len(both))


def paired_difference(one: Each, other: Each) -> Measured:
    """The mean of what the one is above the other, over the images that both have, with its interval.

    Of yes or no, the interval is Bonett and Price's (2012), which does not collapse where they never differ.
    """
    both = pd.concat([one, other], axis=1, join="inner").to_numpy()
    difference = both[:, 0] - both[:, 1]
    n = len(difference)
    if not n or not set(both.flatten().tolist()) <= {0.0, 1.0}:
        return mean(difference)
    more, fewer = ((int((difference == sign).sum()) + 1) / (n + 2) for sign in (1, -1))
    half = Z95 * ((more + fewer - (more - fewer) ** 2) / (n + 2)) ** 0.5
    return Measured(value=float(difference.mean()), low=more - fewer - half, high=more - fewer + half, of=n)
