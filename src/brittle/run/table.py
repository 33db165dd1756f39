"""The records of one attack on one shard."""

from dataclasses import dataclass
from typing import final

import pyarrow as pa
import torch

from brittle.data.examples import Examples
from brittle.errors import BrittleError
from brittle.geometry.norms import L0, L1, L2, LINF
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.records import RECORD, AttackSpec
from brittle.run.attack import Found, broken_rules
from brittle.types import Images


@final
@dataclass(frozen=True, slots=True)
class Clean:
    """What is known of a shard before any attack."""

    ids: tuple[str, ...]
    start: int
    logits: torch.Tensor
    labels: torch.Tensor
    prediction: torch.Tensor
    confidence: torch.Tensor
    margin: torch.Tensor
    size: torch.Tensor

    @staticmethod
    def of(classifier: Classifier, examples: Examples, images: Images, start: int) -> "Clean":
        logits = classifier.logits(images, plain=True)
        if not logits.isfinite().all():
            row = int((~logits.isfinite().all(1)).nonzero()[0])
            raise BrittleError(f"the network's logits are not finite on example {examples.ids[start + row]!r}")
        confidence, prediction = logits.softmax(1).max(1)
        labels = prediction if examples.labels is None else examples.labels[start : start + len(images)]
        labels = labels.to(images.device)
        margin = Untargeted(labels).margin(logits)
        ids = examples.ids[start : start + len(images)]
        return Clean(ids, start, logits, labels, prediction, confidence, margin, L2.measure(images))


def table_of(spec: AttackSpec, clean: Clean, found: Found, longer: list[float | None] | None) -> pa.Table:
    """The records of one attack on one shard. longer: see ``run.longer``."""
    delta = found.images - found.originals
    l2 = L2.measure(delta).double()
    passes = (found.forwards + found.backwards).double()
    share = passes / passes.sum() if passes.sum() > 0 else torch.full_like(passes, 1 / max(1, len(passes)))
    rows = len(clean.ids)
    columns = {
        "attack": [spec.label] * rows,
        "example": list(clean.ids),
        "position": list(range(clean.start, clean.start + rows)),
        "goal": ["untargeted"] * rows,
        "label": clean.labels,
        "target": [None] * rows,
        "reject": [found.goal.reject if isinstance(found.goal, Untargeted) else None] * rows,
        "clean_prediction": clean.prediction,
        "clean_confidence": clean.confidence,
        "adversarial_prediction": found.prediction,
        "adversarial_confidence": found.confidence,
        "clean_margin": clean.margin,
        "adversarial_margin": found.margin,
        "claimed": found.claimed,
        "fooled": found.fooled,
        "fooled_8bit": found.fooled_8bit,
        "l0": L0.measure(delta).long(),
        "l1": L1.measure(delta).double(),
        "l2": l2,
        "linf": LINF.measure(delta).double(),
        "relative_l2": l2 / clean.size.double().clamp_min(1e-12),
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
    for code, mask in broken_rules(found).items():
        for row in mask.nonzero().squeeze(1).tolist():
            flags[row].append(code)
    return flags
