"""How long it takes to open a folder of very many images."""

import io
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench.report import Check, Section, Table
from brittle.data import load_data

FILES, CLASSES, SIDE, LIMIT, ROUNDS = 100_000, 100, 32, 50, 3
GOAL = 3.0


def section() -> Section:
    rows, facts, whole = [], {}, {}
    with tempfile.TemporaryDirectory() as folder:
        for layout in ("class folders", "loose", "loose links"):
            place = _made(Path(folder), layout)
            for limit in (None, LIMIT):
                cpu, wall = _timed(place, limit)
                name = f"{layout}, {f'--limit {limit}' if limit else 'all'}"
                rows.append((name, f"{min(cpu):.2f} to {max(cpu):.2f}", f"{min(wall):.2f} to {max(wall):.2f}"))
                facts[name] = {"process seconds": cpu, "wall seconds": wall}
                if limit is None:
                    whole[layout] = sorted(cpu)[ROUNDS // 2]
    return Section(
        title="Opening a folder",
        checks=tuple(
            Check(f"{FILES:,} files, {layout}", f"≤ {GOAL:g} s", f"{seconds:.2f} s", seconds <= GOAL)
            for layout, seconds in whole.items()
        ),
        tables=(Table((f"{FILES:,} JPEG files of {SIDE} x {SIDE}", "process time, s", "wall time, s"), tuple(rows)),),
        notes=(
            f"Every file is read, hashed and its header looked at; {ROUNDS} rounds each, after a first that warms the"
            " cache of the disk. The goal is held against the median of the process time.",
        ),
        facts=facts,
    )


def _made(folder: Path, layout: str) -> Path:
    contents = [_jpeg(seed) for seed in range(50)]
    place = folder / layout.replace(" ", "-")
    for k in range(CLASSES if layout == "class folders" else 1):
        (place / f"{k:03d}" if layout == "class folders" else place).mkdir(parents=True)
    (folder / "one.jpg").write_bytes(contents[0])
    for k in range(FILES):
        file = place / (f"{k % CLASSES:03d}/{k:06d}.jpg" if layout == "class folders" else f"{k:06d}.jpg")
        if layout == "loose links":
            file.symlink_to(folder / "one.jpg")
        else:
            file.write_bytes(contents[k % len(contents)])
    return place


def _jpeg(seed: int) -> bytes:
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG")
    return buffer.getvalue()


def _timed(place: Path, limit: int | None) -> tuple[list[float], list[float]]:
    cpu, wall = [], []
    for _ in range(ROUNDS + 1):
        started = time.process_time(), time.perf_counter()
        load_data(str(place), limit=limit)
        cpu.append(time.process_time() - started[0])
        wall.append(time.perf_counter() - started[1])
    return cpu[1:], wall[1:]
