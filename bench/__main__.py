"""Runs the rows and writes ``bench/out/bench.md`` and ``bench/out/bench.json``: ``python -m bench [NAME ...]``."""

import argparse
import fnmatch
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import (
    activation,
    audit,
    batches,
    budget,
    correctness,
    craft,
    craft_networks,
    decision,
    deepfool,
    eight_bit,
    explorer,
    folder,
    gpu,
    gradient,
    lbfgs,
    memory,
    minimal,
    one_image,
    one_pixel,
    optimality,
    precision,
    random_search,
    records,
    robust,
    scale,
    sparse_minimal,
    sparsefool,
    start_up,
    train,
    universal,
    workers,
)
from bench.kept import keep
from bench.machine import machine
from bench.report import Section, as_json, as_markdown
from bench.setting import Skipped

OUT = Path(__file__).parent / "out"

ROWS: dict[str, Callable[[], Section]] = {
    "deepfool-l2": partial(deepfool.section, "l2"),
    "deepfool-linf": partial(deepfool.section, "linf"),
    "gradient": gradient.section,
    "gpu": gpu.section,
    "one-image": one_image.section,
    "batches": batches.section,
    "audit": partial(audit.section, OUT / "audit"),
    "correctness": partial(correctness.section, OUT / "audit"),
    "start-up": start_up.section,
    "train": train.section,
    "minimal-l0": sparse_minimal.section,
    "minimal-l1": partial(minimal.section, "l1"),
    "minimal-l2": partial(minimal.section, "l2"),
    "minimal-linf": partial(minimal.section, "linf"),
    **{
        f"eight-bit-{network}": partial(eight_bit.section, network)
        for network in (*eight_bit.COUNTS, eight_bit.PHOTOGRAPHS)
    },
    "sparsefool": sparsefool.section,
    "lbfgs": lbfgs.section,
    "universal": universal.section,
    "apgd-ce": partial(budget.section_apgd, "ce"),
    "apgd-t": partial(budget.section_apgd, "t"),
    "standard": budget.section_standard,
    **{
        f"standard-{network}-{norm}": partial(robust.section, network, norm)
        for network, budgets in robust.BUDGETS.items()
        for norm in budgets
    },
    **{
        f"bf16-{network}-{norm}": partial(precision.section, network, norm)
        for network, budgets in precision.BUDGETS.items()
        for norm in budgets
    },
    "hopskipjump-l2-1000": partial(decision.section, "l2", 5),
    "hopskipjump-l2-5000": partial(decision.section, "l2", 17),
    "hopskipjump-linf-1000": partial(decision.section, "linf", 5),
    "square-linf": partial(random_search.section_square, "linf", 5000),
    "square-l2": partial(random_search.section_square, "l2", 1000),
    "square-l1": partial(random_search.section_square_l1, 1000),
    "sparse-rs": partial(random_search.section_sparse_rs, 1000),
    "one-pixel": one_pixel.section,
    **{f"activation-{name}": partial(activation.section, name) for name in activation.PAIRS},
    "memory": memory.section,
    "workers": workers.section,
    "scale": scale.section,
    "records": records.section,
    "folder": folder.section,
    "explorer": explorer.section,
    "craft": craft.section,
    "craft-peers": craft.section_peers,
    "craft-assembled": craft.section_assembled,
    "craft-cifar": craft_networks.section_cifar,
    "craft-bare": craft_networks.section_inception,
}
"""What runs by default."""

HOURS: dict[str, Callable[[], Section]] = {
    **optimality.ROWS,
    "records-4m": partial(records.section, 4 * records.IMAGES),
}
"""Hours of work, most of it the peers'; only by name."""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Timings and quality against peers.")
    known = ROWS | HOURS
    parser.add_argument(
        "rows",
        nargs="*",
        metavar="NAME",
        help=f"{', '.join(known)}; * and ? match; default: all but optimality-*",
    )
    parser.add_argument("--keep", type=Path, metavar="FILE", help="also write what was measured into docs/bench.md")
    asked = parser.parse_args()
    patterns = asked.rows
    if unknown := [pattern for pattern in patterns if not fnmatch.filter(known, pattern)]:
        parser.error(f"unknown row {unknown[0]!r}; known: {', '.join(known)}")
    names = [name for pattern in patterns for name in fnmatch.filter(known, pattern)] or list(ROWS)
    facts, sections = machine(), []
    for name in names:
        print(f"running {name} ...", file=sys.stderr, flush=True)
        try:
            sections.append(known[name]())
        except Skipped as reason:
            sections.append(Section(title=name, notes=(f"Skipped: {reason}.",)))
    text = as_markdown(facts, sections)
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.md").write_text(text, encoding="utf-8")
    (OUT / "bench.json").write_text(as_json(facts, sections), encoding="utf-8")
    if asked.keep is not None:
        keep(asked.keep, facts, sections)
    print(text)


if __name__ == "__main__":
    main()
