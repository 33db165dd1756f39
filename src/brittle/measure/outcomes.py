"""What happened to each example: the yes-or-no questions that every measure counts."""

import numpy as np
import pandas as pd

INVALID = frozenset({"outside-box", "over-budget"})
"""Record flags of a perturbation that does not count, whatever the classifier makes of it."""

UNANSWERED = "non-finite-logits"
"""Record flag of an image to which the network has no answer: it is not fooled, and not robust either."""

NORMS = ("l2", "linf", "l1", "l0")
"""The norms that records have a distance for."""


def judged(records: pd.DataFrame) -> pd.DataFrame:
    """Records with five more bool columns; judged ones come back as they are.

    correct: classified correctly before the attack.
    attacked: the goal was not met to begin with, so there was something to do; an image that is rejected is neither
    correct, nor has it met an untargeted goal.
    changed: a confirmed perturbation gives the image another prediction. For an untargeted attack that is ``fooled``;
    a targeted one can also land, inside box and budget, on a class that is neither the label nor the target. An image
    that is rejected is not fooled, so it counts as robust.
    lost: it has another prediction, or the network has no answer to it any more.
    success: the goal is met, confirmed, and was not met to begin with.
    """
    if "success" in records:
        return records
    targeted = records["target"].notna()
    correct = records["clean_prediction"] == records["label"]
    wrong = ~correct & (records["clean_prediction"] != records["reject"])
    met_before = (records["target"] == records["clean_prediction"]).where(targeted, wrong).astype(bool)
    moved = records["adversarial_prediction"] != records["clean_prediction"]
    valid = ~records["flags"].map(lambda codes: len(codes) > 0 and bool(INVALID.intersection(codes))).astype(bool)
    finite = np.isfinite(records["adversarial_confidence"])
    silent = records["flags"].map(lambda codes: UNANSWERED in codes).astype(bool)
    rejected = records["adversarial_prediction"] == records["reject"]
    changed = moved & (records["fooled"] | (targeted & valid & finite & ~rejected))
    out: pd.DataFrame = records.assign(
        correct=correct,
        attacked=~met_before,
        changed=changed,
        lost=changed | (valid & silent),
        success=records["fooled"] & ~met_before,
    )
    return out


def reached(rows: pd.DataFrame) -> pd.DataFrame:
    """The records of images that every attack which has begun has reached: in an unfinished run, fewer."""
    each = rows.groupby("position")["attack"].transform("nunique")
    common: pd.DataFrame = rows[each == rows["attack"].nunique()]
    return common


def distance_norm(norm: str) -> str:
    """The norm that distances of an attack are given in: its own where records have it, else l2."""
    return norm if norm in NORMS else "l2"


def grey_levels_rms(l2: "pd.Series[float]", shape: tuple[int, int, int]) -> "pd.Series[float]":
    """An L2 distance as the root mean square change of a value, in grey levels of 255."""
    return l2 / float(np.sqrt(np.prod(shape))) * 255
