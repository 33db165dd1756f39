"""Writes run directories without an engine: manifest, record shards and image shards with plausible, seeded values."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
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
    shard_key,
    slugs_of,
)
from brittle.run.image_shards import encoded
from brittle.run.store import Store
from brittle.run.study import Done, Unit

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
            "norm": norm,
            "eps": config.get("eps") if kind == "budget" else None,
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
    goals: Sequence[str] = ("untargeted",),
    models: Sequence[str] = ("resnet20",),
    labelled: bool = True,
    missing: int = 0,
    shard_size: int = 64,
    flags: Sequence[FlagRecord] = (),
    seed: int = 0,
    **facts: Any,
) -> Manifest:
    """A run directory; ``success`` fixes every attack's success rate, ``missing`` drops the last attack's last rows."""
    clean = images if images is not None else blobs(n, shape, seed)
    n, shape = len(clean), (int(clean.shape[1]), int(clean.shape[2]), int(clean.shape[3]))
    made = manifest_of(
        models=models,
        goals=list(goals),
        attacks=list(attacks),
        seed=seed,
        examples=n,
        shape=shape,
        shard_size=shard_size,
        labelled=labelled,
        class_names=class_names,
        flags=flags,
        **({"command": COMMAND} | facts),
    )
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "manifest.json").write_text(made.model_dump_json(indent=1), encoding="utf-8")
    store = Store(directory, made)
    names = list(ids) if ids is not None else [f"{i:05d}" for i in range(n)]
    for place, view in enumerate(made.views()):
        random = np.random.default_rng(seed + place)
        k = len(class_names)
        prediction = random.integers(0, k, n)
        right = np.ones(n, bool) if not labelled else np.arange(n) < round(accuracy * n)
        label = np.where(random.permutation(right), prediction, (prediction + 1) % max(k, 1))
        hardness = random.lognormal(0, 0.7, n)  # shared, so that hard images are hard for every attack
        for number, attack in enumerate(attacks):
            rng = np.random.default_rng([seed + place, number])
            rows, adversarial = _attacked(rng, view, attack, clean, names, label, prediction, hardness, success)
            kept = n - (missing if number == len(attacks) - 1 else 0)
            for shard, start in enumerate(range(0, kept, shard_size)):
                stop = min(start + shard_size, kept)
                files = {
                    image_file(shard_key(view.originals, shard)): encoded(clean[start : start + shard_size]),
                    image_file(shard_key(view.slug(attack), shard)): encoded(adversarial[start:stop]),
                }
                unit = Unit(f"{view.slug(attack)}/{shard:05d}", attack.label, start, stop, None)
                store.keep(unit, Done(pa.Table.from_pylist(rows[start:stop], schema=RECORD), files), "given")
                assert record_path(directory, unit.key).exists()
    return made


COMMAND = "brittle audit --model resnet20 --data cifar/test.parquet --attack deepfool --out runs/cifar"


def manifest_of(
    *,
    models: Sequence[str] = ("net",),
    shape: tuple[int, int, int] = (1, 4, 4),
    class_names: Sequence[str] = CLASSES,
    flags: Sequence[FlagRecord] = (),
    device: str = "cpu",
    **facts: Any,
) -> Manifest:
    """A manifest as an audit makes it."""
    records = [
        {
            "name": name,
            "slug": slug,
            "fingerprint": "a1" * 32,
            "probe": {"classes": 2, "logits": "AAAAAAAAAAA=", "noise": 0.0},
            "class_names": list(class_names),
            "image_shape": shape,
            "data_fingerprint": "b2" * 32,
            "device": device,
            "batch_size": 64,
            "flags": list(flags),
        }
        for name, slug in zip(models, slugs_of(list(models)), strict=True)
    ]
    whole = {
        "schema_version": SCHEMA_VERSION,
        "study": "audit",
        "created": "2026-01-31T09:30:00+00:00",
        "command": None,
        "spec": None,
        "seed": 0,
        "models": records,
        "goals": ["untargeted"],
        "data": "cifar/test.parquet",
        "shard_size": 100,
        "images": "all",
        "versions": {"brittle": "0.1.0", "python": "3.11.2", "torch": "2.15.0"},
    }
    return Manifest.model_validate(whole | facts)


def _attacked(
    rng: np.random.Generator,
    view: View,
    attack: AttackSpec,
    clean: torch.Tensor,
    names: list[str],
    label: np.ndarray,
    prediction: np.ndarray,
    hardness: np.ndarray,
    success: float | None,
) -> tuple[list[dict[str, Any]], torch.Tensor]:
    n, k = len(clean), len(view.class_names)
    targeted = view.goal != "untargeted"
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
                "model": view.model,
                "attack": attack.label,
                "example": names[i],
                "position": i,
                "goal": view.goal,
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
