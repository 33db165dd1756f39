"""Rows of an audit, one by one."""

from typing import Any

import pandas as pd
import pyarrow as pa

from brittle.records import RECORD


def row(
    position: int, attack: str = "a", label: int = 0, clean: int = 0, adversarial: int = 1, **other: Any
) -> dict[str, Any]:
    """A confirmed success on a correctly classified image, unless told otherwise."""
    facts = {
        "model": "net",
        "attack": attack,
        "example": f"image {position}",
        "position": position,
        "goal": "untargeted",
        "label": label,
        "target": None,
        "reject": None,
        "clean_prediction": clean,
        "clean_confidence": 0.9,
        "adversarial_prediction": adversarial,
        "adversarial_confidence": 0.5,
        "clean_margin": 5.0,
        "adversarial_margin": -0.1,
        "claimed": True,
        "fooled": True,
        "fooled_8bit": True,
        "l0": 4,
        "l1": 1.0,
        "l2": 0.5,
        "linf": 0.1,
        "relative_l2": 0.01,
        "longer_ratio": None,
        "steps": 3,
        "forwards": 4,
        "backwards": 5,
        "seconds": 0.25,
        "flags": [],
    }
    assert not other.keys() - facts.keys()
    return facts | other


def table(rows: list[dict[str, Any]]) -> pd.DataFrame:
    frame: pd.DataFrame = pa.Table.from_pylist(rows, schema=RECORD).to_pandas()
    return frame
