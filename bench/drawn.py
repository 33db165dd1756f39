"""An audit that nobody has made: a run directory of any size, written as the engine writes one, with results drawn at
random that hang together as those of a network do."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch

from brittle.attacks import FGSM, FMN, PGD, Attack, BoundaryWalk, DeepFool
from brittle.records import RECORD, SCHEMA_VERSION, AttackSpec, Manifest, ModelRecord, Probe, image_file
from brittle.run import store
from brittle.run.image_shards import encoded
from brittle.run.plan import attack_specs
from brittle.run.study import Done, Unit

CLASSES, SHARD, SIDE = 1000, 256, 8
SWEPT = tuple(grey / 255 for grey in (0.25, 0.5, 1, 2, 4, 8))
ATTACKS: tuple[Attack, ...] = (
    *(kind(eps=eps) for kind in (FGSM, PGD) for eps in SWEPT),
    *(kind(norm=norm) for kind in (DeepFool, FMN, BoundaryWalk) for norm in ("l2", "linf")),
    DeepFool(norm="l1"),
    FMN(norm="l1"),
)
"""Twenty, of which twelve belong on two curves."""


def draw_audit(folder: Path, images: int, attacks: Sequence[Attack] = ATTACKS, *, keep: bool = False) -> Manifest:
    """Writes the records of so many images under each attack. keep: and images of 8 x 8 pixels."""
    manifest = _manifest(images, attacks, keep)
    (view,) = manifest.views()
    with patch.object(store, "_flush"), store.opened(folder, manifest) as opened:  # nobody will miss it
        for number, start in enumerate(range(0, images, SHARD)):
            count = min(SHARD, images - start)
            random = np.random.default_rng(number)
            common = _common(random, start, count)
            pixels = torch.from_numpy(random.integers(0, 256, (count, 3, SIDE, SIDE))).float() / 255
            for spec in manifest.attacks:
                key = f"{view.slug(spec)}/{number:05d}"
                table = _table(random, spec, common)
                content = {f"{view.originals}/{number:05d}": encoded(pixels), key: encoded(1 - pixels)} if keep else {}
                files = {image_file(name): one for name, one in content.items()}
                opened.keep(Unit(key, spec.label, start, start + count, None), Done(table, files), "drawn")
    return manifest


def _manifest(images: int, attacks: Sequence[Attack], keep: bool) -> Manifest:
    model = ModelRecord(
        name="net",
        slug="net",
        fingerprint="",
        probe=Probe(classes=CLASSES, logits="", noise=0.0),
        class_names=[f"class-{k}" for k in range(CLASSES)],
        access="gradient",
        image_shape=(3, SIDE, SIDE),
        data_fingerprint="",
        device="cpu",
        batch_size=1,
    )
    return Manifest(
        schema_version=SCHEMA_VERSION,
        study="audit",
        created="2026-01-31T09:30:00+00:00",
        command=None,
        spec=None,
        seed=0,
        models=[model],
        goals=["untargeted"],
        attacks=attack_specs(attacks),
        data="drawn",
        examples=images,
        shard_size=SHARD,
        images="all" if keep else "none",
        versions={},
    )


def _common(random: np.random.Generator, start: int, count: int) -> dict[str, Any]:
    """What all attacks know of some images; of each, how far it is to the boundary."""
    label, other = random.integers(0, CLASSES, (2, count))
    return {
        "model": ["net"] * count,
        "goal": ["untargeted"] * count,
        "target": [None] * count,
        "reject": [None] * count,
        "example": [f"{start + row:07d}.jpeg" for row in range(count)],
        "position": np.arange(start, start + count),
        "label": label,
        "clean_prediction": np.where(random.random(count) < 0.8, label, other),
        "clean_confidence": random.uniform(0.5, 1, count).astype("float32"),
        "far": random.lognormal(0, 0.7, count),
    }


def _table(random: np.random.Generator, spec: AttackSpec, common: dict[str, Any]) -> pa.Table:
    """The records of one attack on some images: it finds a little more than the way, or spends its whole budget."""
    count, before = len(common["position"]), common["clean_prediction"]
    right = before == common["label"]
    way = 0.004 * common["far"] * random.uniform(1, 1.2, count)  # per pixel
    minimal, eps = spec.eps is None, spec.eps or 0.0
    fooled = ~right | (random.random(count) < 0.999 if minimal else way < eps)
    size = np.where(right, way if minimal else eps, 0.0)
    after = np.where(right & fooled, (before + random.integers(1, CLASSES, count)) % CLASSES, before)
    steps = np.where(right, random.integers(1, 60, count), 0)
    codes = random.random(count) < 0.001
    values = 3 * SIDE * SIDE
    columns: dict[str, npt.NDArray[Any] | Sequence[Any]] = common | {
        "attack": [spec.label] * count,
        "adversarial_prediction": after,
        "adversarial_confidence": random.uniform(0.3, 0.9, count).astype("float32"),
        "clean_margin": np.where(right, 5.0, -5.0).astype("float32"),
        "adversarial_margin": np.where(fooled, -0.1, 1.0).astype("float32"),
        "claimed": fooled,
        "fooled": fooled,
        "fooled_8bit": fooled & (~right | (random.random(count) < (0.6 if minimal else 1))),
        "l0": np.where(right, SIDE * SIDE, 0),
        "l1": size * values,
        "l2": size * values**0.5,
        "linf": size,
        "relative_l2": size / 0.5,
        "longer_ratio": [0.99 if right[row] and minimal and row % 8 == 0 else None for row in range(count)],
        "steps": steps,
        "forwards": steps,
        "backwards": steps,
        "seconds": steps * 1e-3,
        "flags": [["non-finite-logits"] if one else [] for one in codes],
    }
    return pa.table({field.name: pa.array(columns[field.name], field.type) for field in RECORD}, schema=RECORD)
