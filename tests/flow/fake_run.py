"""Writes run directories without an engine: manifest, record shards and image shards with plausible, seeded values."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from brittle.records import (
    RECORD,
    SCHEMA_VERSION,
    AttackSpec,
    FlagRecord,
    Manifest,
    View,
    image_file,
    record_path,
    slugs_of,
)
from brittle.records.seals import Stamp, sealed, stamp_of
from brittle.run.store import encoded, write

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
HOSTILE = "<script>alert(1)</script>"


def spec(name: str, kind: str, norm: str, label: str | None = None, **config: Any) -> AttackSpec:
    label = label or name
    full = {**config, "norm": norm}
    return AttackSpec.model_validate(
        {
            "label": label,
            "name": name,
            "slug": slugs_of([label])[0],
            "kind": kind,
            "eps": config.get("eps"),
            "norm": norm,
            "paper": "arXiv:1511.04599",
        }
        | {"config": full}
    )


FGSM = spec("fgsm", "budget", "linf", "fgsm(eps=0.01)", eps=0.01)
PGD = spec("pgd", "budget", "linf", "pgd(eps=0.01)", eps=0.01, steps=10)
DEEPFOOL = spec("deepfool", "minimal", "l2", overshoot=0.02)
DEEPFOOL_LINF = spec("deepfool", "minimal", "linf", "deepfool(norm=linf)", overshoot=0.02)
ATTACKS = (FGSM, PGD, DEEPFOOL, DEEPFOOL_LINF)


def blobs(n: int, shape: tuple[int, int, int], seed: int) -> torch.Tensor:
    """Smooth coloured clouds, [n, C, H, W] in [0, 1], exact in 8 bits."""
    draw = torch.rand(n, shape[0], 5, 5, generator=torch.Generator().manual_seed(seed))
    clouds = torch.nn.functional.interpolate(draw, shape[1:], mode="bicubic", align_corners=True)
    return (clouds.clamp(0, 1) * 255).round() / 255


def make_run(
    directory: Path,
    *,
    n: int = 120,
    attacks: Sequence[AttackSpec] = ATTACKS,
    shape: tuple[int, int, int] = (3, 32, 32),
    images: torch.Tensor | None = None,
    class_names: Sequence[str] = CLASSES,
    ids: Sequence[str] | None = None,
    accuracy: float = 0.81,
    success: float | None = None,
    goal: str = "untargeted",
    labelled: bool = True,
    missing: int = 0,
    shard_size: int = 64,
    flags: Sequence[FlagRecord] = (),
    seed: int = 0,
    **manifest: Any,
) -> View:
    """A run directory of one model and goal.

    success: fixes every attack's success rate; missing: of the last attack's last rows.
    """
    random = np.random.default_rng(seed)
    clean = images if images is not None else blobs(n, shape, seed)
    n, shape = len(clean), (int(clean.shape[1]), int(clean.shape[2]), int(clean.shape[3]))
    k = len(class_names)
    prediction = random.integers(0, k, n)
    right = np.ones(n, bool) if not labelled else np.arange(n) < round(accuracy * n)
    label = np.where(random.permutation(right), prediction, (prediction + 1) % max(k, 1))
    model = {
        "name": "resnet20",
        "slug": "resnet20",
        "fingerprint": "a1" * 32,
        "probe": {"classes": 2, "logits": "AAAAAAAAAAA=", "noise": 0.0},
        "class_names": list(class_names),
        "image_shape": shape,
        "data_fingerprint": "b2" * 32,
        "device": "cpu",
        "batch_size": 64,
        "flags": list(flags),
    }
    facts = {
        "schema_version": SCHEMA_VERSION,
        "study": "audit",
        "created": "2026-01-31T09:30:00+00:00",
        "command": "brittle audit --model resnet20 --data cifar/test.parquet --attack deepfool --out runs/cifar",
        "spec": None,
        "seed": seed,
        "models": [model | {key: manifest.pop(key) for key in [*manifest] if key in model}],
        "goals": [goal],
        "attacks": list(attacks),
        "data": "cifar/test.parquet",
        "labelled": labelled,
        "examples": n,
        "shard_size": shard_size,
        "images": "all",
        "versions": {"brittle": "0.1.0", "python": "3.11.2", "torch": "2.15.0"},
    }
    made = Manifest.model_validate(facts | manifest)
    view = next(made.views())
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").write_text(made.model_dump_json(indent=1), encoding="utf-8")
    originals = _write_images(directory, view.originals, clean, shard_size)
    names = list(ids) if ids is not None else [f"{i:05d}" for i in range(n)]
    hardness = random.lognormal(0, 0.7, n)  # shared, so that hard images are hard for every attack
    for number, attack in enumerate(attacks):
        rng = np.random.default_rng([seed, number])
        rows, adversarial = _attacked(rng, view, attack, clean, names, label, prediction, hardness, success)
        kept = n - (missing if number == len(attacks) - 1 else 0)
        stamps = _write_images(directory, view.slug(attack), adversarial[:kept], shard_size)
        for shard, (clean_stamp, stamp) in enumerate(zip(originals, stamps, strict=False)):
            table = pa.Table.from_pylist(rows[:kept][shard * shard_size :][:shard_size], schema=RECORD)
            buffer = io.BytesIO()
            pq.write_table(sealed(table, "", clean_stamp | stamp), buffer)
            write(record_path(directory, f"{view.slug(attack)}/{shard:05d}"), buffer.getvalue())
    return view


def _attacked(
    rng: np.random.Generator,
    manifest: View,
    attack: AttackSpec,
    clean: torch.Tensor,
    names: list[str],
    label: np.ndarray,
    prediction: np.ndarray,
    hardness: np.ndarray,
    success: float | None,
) -> tuple[list[dict[str, Any]], torch.Tensor]:
    n, k = len(clean), len(manifest.class_names)
    targeted = manifest.goal != "untargeted"
    rate = success if success is not None else {"fgsm": 0.72, "pgd": 0.94, "deepfool": 1.0}[attack.name]
    noise = torch.from_numpy(rng.standard_normal(clean.shape)).float()
    noise = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)  # a little structure, as gradients have
    size = np.full(n, attack.config["eps"]) if attack.kind == "budget" else 0.0045 * hardness
    scale = torch.from_numpy(size).float().reshape(-1, 1, 1, 1)
    delta = noise.sign() * scale if attack.norm == "linf" else noise * scale
    adversarial = (clean + delta).clamp(0, 1)
    rows: list[dict[str, Any]] = []
    for i in range(n):
        correct = label[i] == prediction[i]
        target = int((prediction[i] + 3) % k) if targeted else None
        to_do = targeted or correct
        fooled = bool(rng.random() < rate) if to_do else True
        if not to_do:
            adversarial[i] = clean[i]
        answer = (
            (target if targeted else (prediction[i] + rng.integers(1, max(k, 2))) % k) if fooled and to_do else None
        )
        gone = (adversarial[i] - clean[i]).double()
        rows.append(
            {
                "model": manifest.model,
                "attack": attack.label,
                "example": names[i],
                "position": i,
                "goal": manifest.goal,
                "label": int(label[i]),
                "target": target,
                "reject": None,
                "clean_prediction": int(prediction[i]),
                "clean_confidence": float(rng.uniform(0.55, 0.9999)),
                "adversarial_prediction": int(prediction[i] if answer is None else answer),
                "adversarial_confidence": float(rng.uniform(0.4, 0.6 if attack.kind == "minimal" else 0.99)),
                "clean_margin": 5.0 if to_do else -5.0,
                "adversarial_margin": -0.1 if fooled else 1.0,
                "claimed": fooled,
                "fooled": fooled,
                "fooled_8bit": fooled and (attack.kind == "budget" or not to_do or rng.random() < 0.6),
                "l0": int((gone != 0).any(0).sum()),
                "l1": float(gone.abs().sum()),
                "l2": float(gone.norm()),
                "linf": float(gone.abs().max()),
                "relative_l2": float(gone.norm() / clean[i].double().norm()),
                "steps": 0 if not to_do else {"fgsm": 1, "pgd": 10, "deepfool": int(rng.integers(1, 5))}[attack.name],
                "forwards": 1 if not to_do else {"fgsm": 2, "pgd": 11, "deepfool": 4}[attack.name],
                "backwards": 0
                if not to_do
                else {"fgsm": 1, "pgd": 10, "deepfool": int(rng.integers(4, 20))}[attack.name],
                "seconds": 0.0003
                if not to_do
                else float(rng.uniform(0.8, 1.2)) * {"fgsm": 1e-3}.get(attack.name, 7e-3),
                "flags": [],
            }
        )
    return rows, adversarial


def _write_images(directory: Path, slug: str, images: torch.Tensor, shard_size: int) -> list[dict[str, Stamp]]:
    stamps = []
    for shard, start in enumerate(range(0, len(images), shard_size)):
        content, name = encoded(images[start : start + shard_size]), image_file(slug, shard)
        write(directory / name, content)
        stamps.append({name: stamp_of(content)})
    return stamps
