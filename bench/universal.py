"""Universal perturbations beside ART's: fooling rates on the images fitted to and on others, and time."""

import importlib
import random
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench.clock import Timed, interleaved
from bench.report import Check, Section, Table
from bench.setting import Setting, setting
from brittle.attacks import DeepFool, Universal, UniversalSGD
from brittle.data import examples_of
from brittle.geometry.box import clip
from brittle.geometry.norms import L2, LINF, Norm
from brittle.types import Images, Labels

COUNT, UNSEEN, ROUNDS, TIMES = 100, 1000, 3, 30
EPS, EPS_LINF = 1.0, 8 / 255
OURS, PAPER, LETTER = "universal, 1 pass", "universal, 1 pass, attack=deepfool", "universal, 1 pass, batch=1"
ART, CHANCE = "ART, 1 pass", "random, of size eps"
FULL, SHORT, MIDDLE, LONG = "universal", "universal-sgd, 1 epoch", "universal-sgd, 3 epochs", "universal-sgd"


def section() -> Section:
    case = setting(COUNT + UNSEEN)
    x, labels = case.images[:COUNT], case.labels[:COUNT]
    timed = interleaved({**_ours(case, L2, EPS), ART: _art(case)}, ROUNDS)
    linf = interleaved(_ours(case, LINF, EPS_LINF), 1)
    chance = _by_chance(L2, EPS, x), _by_chance(LINF, EPS_LINF, x)
    own = {name: _fooled(case, x, labels, one.result) for name, one in timed.items()}
    other = {name: _fooled(case, case.images[COUNT:], case.labels[COUNT:], one.result) for name, one in timed.items()}
    faster = timed[ART].times(timed[OURS])
    checks = [
        Check("fooled among those fitted to", f"≥ {own[ART]:.1%}, ART's", f"{own[OURS]:.1%}", own[OURS] >= own[ART]),
        Check("faster than ART", f"≥ {TIMES}×", f"{faster:.1f}×", faster >= TIMES),
    ]
    for gradients, of_2017 in ((SHORT, OURS), (MIDDLE, FULL)):
        more, time = other[gradients] > other[of_2017], timed[gradients].times(timed[of_2017])
        goal = f"> {other[of_2017]:.1%}, {of_2017}"
        checks += [
            Check(f"{gradients}: fooled, unseen", goal, f"{other[gradients]:.1%}", more),
            Check(f"{gradients}: time beside {of_2017}", "< 1", f"{time:.2f}", time < 1),
        ]
    rows = [
        *(_row(case, L2, EPS, name, one.result, one) for name, one in timed.items()),
        _row(case, L2, EPS, CHANCE, chance[0]),
        *(_row(case, LINF, EPS_LINF, name, one.result, one) for name, one in linf.items()),
        _row(case, LINF, EPS_LINF, CHANCE, chance[1]),
    ]
    headings = ("call", "norm, eps", "ms an image (range)", "size", "fooled, those fitted to", "fooled, unseen")
    return Section(
        title="Universal perturbations",
        checks=tuple(checks),
        tables=(Table(headings, tuple(rows)),),
        notes=(
            f"Fitted to the first {COUNT} CIFAR-10 test images that ResNet-20 gets right, tried on the next {UNSEEN};"
            f" {ROUNDS} interleaved rounds after a warm-up. Fooled is what a fresh pass of the plain network says of"
            " image plus perturbation, clipped. ART has its DeepFool inside as it comes, and max_iter=1, which is one"
            " pass. The random perturbation is a normal draw in L2, random signs in L-infinity: of the full size eps,"
            " which not every fitted one reaches.",
        ),
        facts={name: {"seconds": one.seconds, "own": own[name], "unseen": other[name]} for name, one in timed.items()},
    )


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


def _art(case: Setting) -> Callable[[], Tensor]:
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
            attacker_params={"verbose": False},
            max_iter=1,
            eps=EPS,
            norm=2,
            verbose=False,
        )
        method.generate(x, labels)
        return torch.from_numpy(method.noise)[0]

    return call


def _by_chance(norm: Norm, eps: float, x: Images) -> Tensor:
    draws = torch.randn(x[:1].shape, generator=torch.Generator().manual_seed(0))
    draws = draws.sign() if norm == LINF else draws
    return (draws * (eps / norm.measure(draws)))[0]


def _fooled(case: Setting, images: Images, labels: Labels, values: Tensor) -> float:
    parts = [slice(start, start + 100) for start in range(0, len(images), 100)]
    with torch.no_grad():
        away = [case.plain(clip(images[part] + values)).argmax(1) != labels[part] for part in parts]
    return float(torch.cat(away).float().mean())


def _row(
    case: Setting, norm: Norm, eps: float, name: str, values: Tensor, timed: Timed[Tensor] | None = None
) -> tuple[str, ...]:
    rates = [_fooled(case, case.images[part], case.labels[part], values) for part in (slice(COUNT), slice(COUNT, None))]
    size = float(norm.measure(values.unsqueeze(0))[0])
    return (
        name,
        f"{norm.name}, {eps:.4g}",
        timed.ms(COUNT) if timed else "",
        f"{size:.4g}",
        *(f"{one:.1%}" for one in rates),
    )
