"""The records of one attack on one shard."""

import pyarrow as pa
import torch

from brittle.geometry.norms import L0, L1, L2, LINF
from brittle.goals import Targeted, Untargeted
from brittle.records import RECORD, AttackSpec, View
from brittle.run.attack import Found, objections
from brittle.run.sources import Shard


def table_of(view: View, spec: AttackSpec, shard: Shard, found: Found, longer: list[float | None] | None) -> pa.Table:
    """The records of one attack on one shard. longer: see ``studies.longer``."""
    delta = found.images - found.originals
    l2 = L2.measure(delta).double()
    passes = (found.forwards + found.backwards).double()
    share = passes / passes.sum() if passes.sum() > 0 else torch.full_like(passes, 1 / max(1, len(passes)))
    rows = len(shard.ids)
    goal = found.goal
    columns = {
        "model": [view.model] * rows,
        "attack": [spec.label] * rows,
        "example": list(shard.ids),
        "position": list(range(shard.start, shard.start + rows)),
        "goal": [view.goal] * rows,
        "label": shard.labels,
        "target": goal.labels if isinstance(goal, Targeted) else [None] * rows,
        "reject": [goal.reject if isinstance(goal, Untargeted) else None] * rows,
        "clean_prediction": shard.prediction,
        "clean_confidence": shard.confidence,
        "adversarial_prediction": found.prediction,
        "adversarial_confidence": found.confidence,
        "clean_margin": goal.margin(shard.logits),
        "adversarial_margin": found.margin,
        "claimed": found.claimed,
        "fooled": found.fooled,
        "fooled_8bit": found.fooled_8bit,
        "l0": L0.measure(delta).long(),
        "l1": L1.measure(delta).double(),
        "l2": l2,
        "linf": LINF.measure(delta).double(),
        "relative_l2": l2 / L2.measure(shard.images).double().clamp_min(1e-12),
        "longer_ratio": longer or [None] * rows,
        "steps": found.steps,
        "forwards": found.forwards,
        "backwards": found.backwards,
        "seconds": share * found.seconds,
        "flags": _flags(found),
    }
    arrays = [
        pa.array(column.cpu().numpy() if isinstance(column, torch.Tensor) else column, type=field.type)
        for field, column in ((RECORD.field(name), column) for name, column in columns.items())
    ]
    return pa.Table.from_arrays(arrays, schema=RECORD)


def _flags(found: Found) -> list[list[str]]:
    flags: list[list[str]] = [[] for _ in range(len(found.claimed))]
    for code, mask in objections(found).items():
        for row in mask.nonzero().squeeze(1).tolist():
            flags[row].append(code)
    return flags
