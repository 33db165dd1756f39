"""Universal perturbations beside ART's: fooling rates on the images fitted to and on others, and time."""

import importlib
import random
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from bench.clock import Timed, interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import DeepFool, Universal, UniversalSGD
from brittle.data import examples_of
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, LINF, Norm
from brittle.types import Images

COUNT, UNSEEN, ROUNDS, TIMES = 100, 1000, 2, 30
EPS, EPS_LINF = 1.0, 8 / 255
OURS, PAPER, LETTER = "universal, 1 pass", "universal, 1 pass, attack=deepfool", "universal, 1 pass, batch=1"
ART_STEPS = 10  # of its DeepFool
ART, ART_SHORT, CHANCE = "ART, 1 pass", f"ART, 1 pass, {ART_STEPS} steps of DeepFool", "random, of size eps"
FULL, SHORT, MIDDLE, LONG = "universal", "universal-sgd, 1 epoch", "universal-sgd, 3 epochs", "universal-sgd"


class Row(NamedTuple):
    """A perturbation and what it does: the parts of the images fitted to, and of the others, that are fooled."""

    name: str
    norm: Norm
    eps: float
    timed: Timed[Tensor]
    own: float
    unseen: float

    def cells(self) -> tuple[str, ...]:
        size = float(self.norm.measure(self.timed.result.unsqueeze(0))[0])
        shown = self.timed.ms(COUNT) if self.timed.seconds else ""
        rates = f"{self.own:.1%}", f"{self.unseen:.1%}"
        return self.name, f"{self.norm.name}, {self.eps:.4g}", shown, f"{size:.4g}", *rates


def section() -> Section:
    case = setting(COUNT + UNSEEN)
    timed = interleaved({**_ours(case, L2, EPS), ART_SHORT: _art(case, max_iter=ART_STEPS)}, ROUNDS)
    l2 = _judged(case, L2, EPS, {**timed, ART: _once(_art(case)), CHANCE: _by_chance(L2, EPS, case.images)})
    linf = interleaved(_ours(case, LINF, EPS_LINF), 1)
    rest = _judged(case, LINF, EPS_LINF, {**linf, CHANCE: _by_chance(LINF, EPS_LINF, case.images)})
    headings = ("call", "norm, eps", "ms an image (range)", "size", "fooled, those fitted to", "fooled, unseen")
    return Section(
        title="Universal perturbations",
        checks=_checks(l2),
        tables=(Table(headings, tuple(row.cells() for row in (*l2.values(), *rest.values()))),),
        notes=(
            f"Fitted to the first {COUNT} CIFAR-10 test images that ResNet-20 gets right, tried on the next {UNSEEN};"
            f" {ROUNDS} interleaved rounds after a warm-up. Fooled is what a fresh pass of the plain network says of"
            " image plus perturbation, clipped. ART has its DeepFool inside, and max_iter=1, which is one pass. As it"
            " comes that DeepFool creeps up to most boundaries until its 100 steps are used up: this is timed once,"
            f" without a warm-up, and our time is held against ART's with {ART_STEPS} steps. The random perturbation is"
            " a normal draw in L2, random signs in L-infinity: of the full size eps, which not every fitted one has.",
        ),
        facts={row.name: {"seconds": row.timed.seconds, "own": row.own, "unseen": row.unseen} for row in l2.values()},
    )


def _checks(rows: Mapping[str, Row]) -> tuple[Check, ...]:
    ours, art = rows[OURS], max(rows[ART].own, rows[ART_SHORT].own)
    faster = rows[ART_SHORT].timed.times(ours.timed)
    checks = [
        Check("fooled among those fitted to", f"≥ {art:.1%}, ART's", f"{ours.own:.1%}", ours.own >= art),
        Check(f"faster than ART with {ART_STEPS} steps", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES),
    ]
    for gradients, of_2017 in ((rows[SHORT], ours), (rows[MIDDLE], rows[FULL])):
        more, share = gradients.unseen > of_2017.unseen, gradients.timed.times(of_2017.timed)
        goal = f"> {of_2017.unseen:.1%}, {of_2017.name}"
        checks += [
            Check(f"{gradients.name}: fooled, unseen", goal, f"{gradients.unseen:.1%}", more),
            Check(f"{gradients.name}: time beside {of_2017.name}", "< 1", f"{share:.2f}", share < 1),
        ]
    return tuple(checks)


def _judged(case: Setting, norm: Norm, eps: float, timed: Mapping[str, Timed[Tensor]]) -> dict[str, Row]:
    """By fresh passes of the plain network."""

    def fooled(values: Tensor, start: int, stop: int) -> float:
        parts = [slice(at, min(at + 100, stop)) for at in range(start, stop, 100)]
        with torch.no_grad():
            away = [case.plain(clip(case.images[part] + values)).argmax(1) != case.labels[part] for part in parts]
        return float(torch.cat(away).float().mean())

    def row(name: str, one: Timed[Tensor]) -> Row:
        return Row(name, norm, eps, one, fooled(one.result, 0, COUNT), fooled(one.result, COUNT, COUNT + UNSEEN))

    return {name: row(name, one) for name, one in timed.items()}


def _once(call: Callable[[], Tensor]) -> Timed[Tensor]:
    """Of a call so long that warming up makes no difference."""
    started = time.perf_counter()
    result = call()
    return Timed((time.perf_counter() - started,), result)


def _ours(case: Setting, norm: Norm, eps: float) -> dict[str, Callable[[], Tensor]]:
    examples = examples_of(case.images[:COUNT], case.labels[:COUNT])
    methods: dict[str, Any] = {
        OURS: Universal(norm=norm, eps=eps, passes=1),
        PAPER: Universal(norm=norm, eps=eps, passes=1, attack=DeepFool()),
        LETTER: Universal(norm=norm, eps=eps, passes=1, batch=1, attack=DeepFool()),
        FULL: Universal(norm=norm, eps=eps),
        SHORT: UniversalSGD(norm=norm, eps=eps, epochs=1),
        MIDDLE: UniversalSGD(norm=norm, eps=eps, epochs=3),
        LONG: UniversalSGD(norm=norm, eps=eps),
    }

    def call(method: Any) -> Callable[[], Tensor]:
        return lambda: method.fit(case.classifier, examples).values

    return {name: call(method) for name, method in methods.items()}


def _art(case: Setting, **deepfool: int) -> Callable[[], Tensor]:
    """As its documentation says: a PyTorchClassifier of pixels in [0, 1], then ``generate``."""
    evasion: Any = importlib.import_module("art.attacks.evasion")
    classification: Any = importlib.import_module("art.estimators.classification")
    wrapped = classification.PyTorchClassifier(
        model=case.plain.eval(),
        loss=torch.nn.CrossEntropyLoss(),
        input_shape=tuple(case.images.shape[1:]),
        nb_classes=10,
        clip_values=(0, 1),
        device_type="cpu",
    )
    x, labels = case.images[:COUNT].numpy(), case.labels[:COUNT].numpy()

    def call() -> Tensor:
        random.seed(0)  # its order of the images
        method = evasion.UniversalPerturbation(
            wrapped,
            attacker="deepfool",
            attacker_params={"verbose": False, **deepfool},
            max_iter=1,
            eps=EPS,
            norm=2,
            verbose=False,
        )
        method.generate(x, labels)
        return torch.from_numpy(method.noise)[0]

    return call


def _by_chance(norm: Norm, eps: float, images: Images) -> Timed[Tensor]:
    draws = torch.randn(images[:1].shape, generator=torch.Generator().manual_seed(0))
    draws = draws.sign() if norm == LINF else draws
    return Timed((), (draws * (eps / norm.measure(draws)))[0])
