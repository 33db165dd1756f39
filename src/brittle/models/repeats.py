"""Whether an image's answer is its own: the same again, in other company, and for an image that is all but equal."""

import torch
from torch import Tensor

from brittle.errors import Flag
from brittle.models.classifier import Classifier, Settings
from brittle.text import counted
from brittle.types import Images, Logits

_IMAGES, _TOGETHER = 16, 2  # many small passes: what is random once a pass has as many chances to show
_ALONE = 4  # examples also passed through the network one by one
_REPEATS = 1e-6, 1e-5  # of the logits' scale: what repeated float32 passes may differ by, and on a GPU
_MATTERS = 1e-5  # of the logits' scale: attacks claim no success that noise below it can undo
_COMPANY = 1e-3  # of the logits' scale: far above what other kernels for other batch sizes round differently
_SHIFT, _WIDER = 1e-6, 16.0  # of the full range, for every pixel; and a shift that a smooth change would be 16 times at
_JUMP = 1e-4  # of the logits' scale: a hundred times what float32 rounds to
_ROUNDINGS = 200.0  # in units of the rounding of the weights' type


def random_flag(classifier: Classifier, images: Images, *, times: int = 8) -> Flag | None:
    """A flag where the same images get other logits: 16 of them, two at a time, so many times over.

    By the plain network: the fast copy keeps what a coin decided when it was made. Between two passes over the same
    images come all others, so that a network which remembers what it was asked is seen, too.
    """
    by_twos = classifier.adjusted(Settings(steady=False))  # without the company that small batches get
    first, *others = (_two_at_a_time(by_twos, images[:_IMAGES]) for _ in range(times))
    changes = torch.stack([(one - first).abs().amax(1) for one in others])
    bound, largest = _REPEATS[classifier.device.type == "cuda"], float(changes.amax() / scale_of(first))
    if largest <= bound:
        return None
    odd = int((changes > bound * scale_of(first)).sum())
    figures = f"{odd} of {changes.numel()} repeated answers differ, by up to {largest:.2g} of the largest logit"
    if largest <= _MATTERS:
        return Flag("nearly-repeats", f"{figures}: too little to undo what an attack claims")
    turned = sum(int((one.argmax(1) != first.argmax(1)).sum()) for one in others)
    return Flag(
        "random",
        f"{figures} and in {turned} predictions: the network is random, or remembers what it was asked; an attack may"
        " report luck, and its results will not repeat",
    )


def company_flag(
    classifier: Classifier, images: Images, logits: Logits, turned: Logits, *, alone: int = _ALONE
) -> Flag | None:
    """A flag where an image gets other logits alone, which so many are tried for, or in a batch of another order.

    turned: the images' logits, of a pass in reversed order.
    """
    some = images[:alone]
    apart = torch.cat([classifier.logits(image.unsqueeze(0)) for image in some])
    scale = scale_of(logits)
    by_company = float((apart - logits[: len(some)]).abs().amax() / scale)
    by_order = float((turned - logits).abs().amax() / scale)
    if max(by_company, by_order) <= _COMPANY:
        return None
    return Flag(
        "batch-dependent",
        f"logits change with the rest of the batch, by {by_company:.2g} of the largest logit for an image alone and by"
        f" {by_order:.2g} in reversed order: the network mixes examples (batch statistics in eval mode?), so that"
        " results depend on the batch size",
    )


def jump_flag(classifier: Classifier, images: Images, resolution: float) -> Flag | None:
    """A flag where logits jump for a shift of a millionth of every pixel: noise keyed by the image's content, say.

    A continuous network changes 16 times as much for a shift 16 times as wide; a jump does not grow. resolution: the
    relative rounding of the network's arithmetic.
    """
    points = off_grid(images[:_IMAGES])
    here = classifier.logits(points)
    scale = scale_of(here)
    near = (classifier.logits(points + _SHIFT) - here).abs().amax(1)
    jumps = near > max(_JUMP, _ROUNDINGS * resolution) * scale
    if jumps.any():
        far = (classifier.logits(points + _WIDER * _SHIFT) - here).abs().amax(1)
        jumps &= near > 0.5 * far
    if not jumps.any():
        return None
    return Flag(
        "discontinuous",
        f"on {int(jumps.sum())} of {counted(len(points), 'image')} logits jump by up to"
        f" {float(near[jumps].amax() / scale):.2g} of"
        " the largest when every pixel moves by a millionth, and a wider move changes them no more: it seems to add"
        " noise that depends on the image, and gradients say nothing of such jumps",
    )


def scale_of(logits: Logits) -> Tensor:
    """The largest logit of all, in size; never zero."""
    return logits.abs().amax().clamp_min(torch.finfo(logits.dtype).tiny)


def resolution_of(classifier: Classifier, images: Images, logits: Logits) -> float:
    """The relative rounding of the network's arithmetic: of the coarsest type in it, or of TF32 where a GPU may use it.

    images: at least one. logits: of them.
    """
    with classifier.settled(images, logits) as rounding:
        unit = max(classifier.unit, rounding.eps)
    coarse = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    return max(unit, 2.0**-10) if classifier.device.type == "cuda" and coarse else unit


def off_grid(images: Images) -> Images:
    """Points of the box near the images, away from its faces and from 8-bit values.

    Pixels that are exactly 0, as most of a drawing's are, sit on the kinks of networks without biases, and values of
    few bits on the thresholds of those that round.
    """
    noise = torch.rand(images.shape, generator=torch.Generator().manual_seed(0)).to(images)
    return 0.06 + 0.84 * images + 0.04 * noise


def _two_at_a_time(classifier: Classifier, images: Images) -> Logits:
    return torch.cat([classifier.logits(pair, plain=True) for pair in torch.split(images, _TOGETHER)])
