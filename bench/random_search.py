"""Square beside torchattacks' and ART's, and Sparse-RS beside its authors', with as many queries."""

import contextlib
import importlib
import io
import math
import os
import sys
from collections.abc import Callable
from typing import Any

import torch

from bench.bare import forward
from bench.clock import interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import Outcome, SparseRS, Square
from brittle.geometry.norms import norm_named
from brittle.goals import Untargeted
from brittle.types import Images

COUNT, ART_COUNT, ROUNDS, TIMES = 64, 8, 1, 2  # ART is timed on fewer images; the goal: so many times faster
BUDGETS = {"linf": 0.004, "l2": 0.2, "l1": 3.0}
PIXELS = 2
BRITTLE, TORCHATTACKS, ART, REFERENCE = "brittle", "torchattacks", "ART", "the authors' code"

Calls = dict[str, Callable[[], Images]]


def section_square(norm: str, queries: int) -> Section:
    case, eps = setting(COUNT), BUDGETS[norm]
    case.plain.eval()  # torchattacks puts back the mode it finds, and would leave batch norms learning
    torchattacks: Any = importlib.import_module("torchattacks")
    peer = torchattacks.Square(
        case.plain,
        norm={"linf": "Linf", "l2": "L2"}[norm],
        eps=eps,
        n_queries=queries,
        n_restarts=1,
        seed=0,
        loss="margin",
    )
    ours = Square(norm=norm, eps=eps, queries=queries)
    calls: Calls = {
        BRITTLE: lambda: _ours(case, ours),
        TORCHATTACKS: lambda: peer(case.images, case.labels).detach(),
        ART: _art(case, norm, eps, queries),
    }
    return _section(case, f"Square {norm}, {queries} queries", calls, norm, eps, f"eps = {eps:g}.")


def section_square_l1(queries: int) -> Section:
    case, eps = setting(COUNT), BUDGETS["l1"]
    case.plain.eval()
    ours = Square(norm="l1", eps=eps, queries=queries)
    calls: Calls = {BRITTLE: lambda: _ours(case, ours)}
    folder = os.environ.get("AUTO_ATTACK_REFERENCE")
    if folder:
        sys.path.insert(0, folder)
        reference: Any = importlib.import_module("autoattack.square")
        method = reference.SquareAttack(
            # It writes into the logits.
            lambda images: case.plain(images).clone(),
            norm="L1",
            n_queries=queries,
            eps=eps,
            seed=0,
            loss="margin",
            device="cpu",
        )
        calls[REFERENCE] = lambda: method.perturb(case.images, case.labels)
    return _section(
        case,
        f"Square l1, {queries} queries",
        calls,
        "l1",
        eps,
        f"eps = {eps:g}. Neither torchattacks nor ART has Square in L1; its authors' code is measured where"
        " AUTO_ATTACK_REFERENCE names the folder that holds it.",
    )


def section_sparse_rs(queries: int) -> Section:
    case = setting(COUNT)
    case.plain.eval()
    ours = SparseRS(eps=PIXELS, queries=queries)
    calls: Calls = {BRITTLE: lambda: _ours(case, ours)}
    folder = os.environ.get("SPARSE_RS_REFERENCE")
    if folder:
        calls[REFERENCE] = reference(case, folder, PIXELS, queries)
    return _section(
        case,
        f"Sparse-RS, {queries} queries",
        calls,
        "l0",
        PIXELS,
        f"{PIXELS} pixels. No library has Sparse-RS; its authors' code is measured where SPARSE_RS_REFERENCE names the"
        " folder that holds it.",
    )


def _section(case: Setting, title: str, calls: Calls, norm: str, eps: float, note: str) -> Section:
    before = case.classifier.forwards
    timed = interleaved(calls, ROUNDS)
    asked = (case.classifier.forwards - before) / (ROUNDS + 1)
    bare = forward(case.classifier, case.images) * asked / COUNT
    counts = {name: len(one.result) for name, one in timed.items()}
    fooled = {name: _fooled(case, one.result, norm, eps) for name, one in timed.items()}
    checks = []
    for peer in timed:
        if peer == BRITTLE:
            continue
        ours = int(fooled[BRITTLE][: counts[peer]].sum())
        theirs = int(fooled[peer].sum())
        faster = (timed[peer].median / counts[peer]) / (timed[BRITTLE].median / counts[BRITTLE])
        checks += [
            Check(f"fooled, beside {peer}", f"≥ {theirs} of {counts[peer]}", str(ours), ours >= theirs),
            Check(f"faster than {peer}", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES),
        ]
    rows = tuple(
        (name, one.ms(counts[name]), f"{int(fooled[name].sum())} of {counts[name]}") for name, one in timed.items()
    )
    return Section(
        title=title,
        checks=tuple(checks),
        tables=(Table(("call", "ms an image (range)", "fooled"), rows),),
        notes=(
            f"The first {COUNT} CIFAR-10 test images that ResNet-20 gets right (ART: the first {ART_COUNT}); {ROUNDS}"
            f" run after a warm-up. {note} A fresh pass of the plain network judges, box and budget too.",
            f"{bare / timed[BRITTLE].median:.0%} of brittle's time are its {asked / COUNT:.0f} passes an image through"
            " the folded network, bare and in full batches; with nothing around them it would be "
            + ", ".join(
                f"{timed[peer].median / counts[peer] * COUNT / bare:.1f} times as fast as {peer}"
                for peer in timed
                if peer != BRITTLE
            )
            + ".",
        ),
        facts={name: {"seconds": one.seconds, "fooled": int(fooled[name].sum())} for name, one in timed.items()},
    )


def _fooled(case: Setting, images: Images, norm: str, eps: float) -> torch.Tensor:
    count = len(images)
    with torch.no_grad():
        away = case.plain(images).argmax(1) != case.labels[:count]
    size = norm_named(norm).measure(images - case.images[:count])
    inside: torch.Tensor = (size <= eps * (1 + 1e-5) + 1e-6) & ((images >= 0) & (images <= 1)).flatten(1).all(1)
    fooled: torch.Tensor = away & inside
    return fooled


def _ours(case: Setting, attack: Any) -> Images:
    outcome: Outcome = attack(case.classifier, case.images, Untargeted(case.labels), rng=case.rng)
    return outcome.images


def _art(case: Setting, norm: str, eps: float, queries: int) -> Callable[[], Images]:
    estimators: Any = importlib.import_module("art.estimators.classification")
    evasion: Any = importlib.import_module("art.attacks.evasion")
    estimator = estimators.PyTorchClassifier(
        case.plain, torch.nn.CrossEntropyLoss(), tuple(case.images.shape[1:]), 10, clip_values=(0, 1), device_type="cpu"
    )
    order = 2 if norm == "l2" else math.inf
    method = evasion.SquareAttack(
        estimator, norm=order, eps=eps, max_iter=queries, nb_restarts=1, batch_size=ART_COUNT, verbose=False
    )
    images, labels = case.images[:ART_COUNT].numpy(), case.labels[:ART_COUNT].numpy()
    return lambda: torch.from_numpy(method.generate(images, y=labels))


def reference(case: Setting, folder: str, pixels: int, queries: int) -> Callable[[], Images]:
    """Sparse-RS by its authors' code, which a folder holds."""
    sys.path.insert(0, folder)
    theirs: Any = importlib.import_module("rs_attacks")

    def call() -> Images:
        with contextlib.redirect_stdout(io.StringIO()):
            method = theirs.RSAttack(case.plain, norm="L0", eps=pixels, n_queries=queries, seed=0, verbose=False)
            images: Images = method.perturb(case.images, case.labels)[1]
        return images

    return call
