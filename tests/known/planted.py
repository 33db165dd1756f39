"""Faults planted around a sound network: what makes it look more robust than it is, or its answers unreliable."""

import hashlib
import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from brittle.data import digits_split
from laws.worlds import MEAN, STD, trained_world


class InPixels(nn.Module):
    """A network with the mean and std of its world, as seen from the pixels."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net((images - MEAN[0]) / STD[0])
        return logits


def sound_cnn() -> nn.Module:
    return InPixels(trained_world().net).eval()


class Planted(nn.Module):
    """A sound network of pixels in [0, 1], with ``front(images)`` before it and ``back(logits)`` after it."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def front(self, images: Tensor) -> Tensor:
        return images

    def back(self, logits: Tensor) -> Tensor:
        return logits

    def forward(self, images: Tensor) -> Tensor:
        return self.back(self.net(self.front(images)))


def _with_gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """``value`` going forward, ``other`` going back."""
    return value.detach() + other - other.detach()


class Rounding(Planted):
    def front(self, images: Tensor) -> Tensor:
        return (images * 7).round() / 7


class StraightThrough(Planted):
    """Rounding that pretends to be the identity."""

    def front(self, images: Tensor) -> Tensor:
        return _with_gradient_of((images * 7).round() / 7, images)


class Leak(Planted):
    """Rounding with a thousandth of the image's gradient."""

    def front(self, images: Tensor) -> Tensor:
        return _with_gradient_of((images * 7).round() / 7, 1e-3 * images)


class WrongJpeg(Planted):
    """Coarse steps of the cosine transform of 4 x 4 blocks, with the gradient of a copy that is shifted."""

    def front(self, images: Tensor) -> Tensor:
        k = torch.arange(4.0)
        basis = torch.cos(math.pi * (2 * k + 1) * k.unsqueeze(1) / 8) / 2**0.5
        basis[0] /= 2**0.5
        blocks = images.unfold(2, 4, 4).unfold(3, 4, 4)
        rounded = ((basis @ blocks @ basis.T) * 10).round() / 10
        back = (basis.T @ rounded @ basis).permute(0, 1, 2, 4, 3, 5).reshape(images.shape)
        return _with_gradient_of(back, images.roll((3, 3), (2, 3)))


class Saturated(Planted):
    """Pixels nearly black or white, by a slope so steep that it is flat nearly everywhere."""

    def front(self, images: Tensor) -> Tensor:
        return torch.sigmoid(200 * (images - 0.5))


class Thermometer(Planted):
    """Each pixel the mean of eight thresholds."""

    def front(self, images: Tensor) -> Tensor:
        levels = (torch.arange(8.0) + 0.5) / 8
        return (images.unsqueeze(-1) > levels).to(images.dtype).mean(-1)


class MedianFilter(Planted):
    """Cut off from its gradient."""

    def front(self, images: Tensor) -> Tensor:
        patches = functional.unfold(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3)
        by_channel = patches.view(len(images), images.shape[1], 9, -1)
        return by_channel.median(2).values.view(images.shape).detach()


class SeededNoise(Planted):
    """Noise that is the same for the same image, and another for any other."""

    def front(self, images: Tensor) -> Tensor:
        noise = torch.empty_like(images)
        for row, image in zip(noise, images, strict=True):
            digest = hashlib.sha256(image.detach().cpu().numpy().tobytes()).digest()
            row.normal_(generator=torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True)))
        return images + 0.3 * noise


class RareNoise(Planted):
    """Noise in one pass of twenty."""

    def front(self, images: Tensor) -> Tensor:
        return images + 0.3 * torch.randn_like(images) if float(torch.rand(())) < 0.05 else images


class SmallNoise(Planted):
    """Too small to change an answer."""

    def back(self, logits: Tensor) -> Tensor:
        return logits + 1e-5 * torch.randn_like(logits)


class Dropout(Planted):
    """Left on at test time."""

    def front(self, images: Tensor) -> Tensor:
        return functional.dropout(images, 0.3, training=True)


class RandomResize(Planted):
    """To a random size, and back."""

    def front(self, images: Tensor) -> Tensor:
        side = images.shape[-1] - int(torch.randint(0, 3, ()))
        small = functional.interpolate(images, size=(side, side), mode="bilinear", align_corners=False)
        return functional.interpolate(small, size=images.shape[-2:], mode="bilinear", align_corners=False)


class BatchStatistics(Planted):
    """Logits relative to those of the company."""

    def back(self, logits: Tensor) -> Tensor:
        return logits - 0.5 * logits.mean(0)


class Memory(Planted):
    """Each answer is mixed with the one before."""

    def back(self, logits: Tensor) -> Tensor:
        before = getattr(self, "before", logits.detach().mean(0))
        self.before = logits.detach().mean(0)
        return logits + 0.5 * before


class Limiter(Planted):
    """After so many questions it only names the class."""

    def back(self, logits: Tensor) -> Tensor:
        self.asked = getattr(self, "asked", 0) + len(logits)
        votes = 10.0 * functional.one_hot(logits.argmax(1), logits.shape[1])
        return _with_gradient_of(votes, 0 * logits) if self.asked > 2000 else logits


class Ripple(Planted):
    """A tone curve with waves, which is as good as straight a little farther."""

    def front(self, images: Tensor) -> Tensor:
        return images + 0.02 * torch.sin(2 * torch.pi * images / 0.02)


class CutOff(Planted):
    """The pixels in the middle are seen, and have no gradient."""

    def front(self, images: Tensor) -> Tensor:
        outside = torch.ones_like(images)
        outside[:, :, 2:6, 3:5] = 0
        return _with_gradient_of(images, images * outside)


class SecondOpinion(Planted):
    """Where it is not sure, the nearest mean of a class decides, behind the network's own gradient."""

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(images)
        train, _ = digits_split()
        assert train.labels is not None
        every = train.images(0, len(train))
        means = torch.stack([every[train.labels == one].mean(0) for one in range(10)])
        nearest = torch.cdist(images.detach().flatten(1), means.flatten(1)).argmin(1)
        votes = 10.0 * functional.one_hot(nearest, 10)
        sure = logits.softmax(1).amax(1, keepdim=True) > 0.9
        return torch.where(sure, logits, _with_gradient_of(votes, logits))


class Offset(Planted):
    """Logits so far from zero that float32 does not hold their last digits."""

    def back(self, logits: Tensor) -> Tensor:
        return logits + 1e7


class Softmax(Planted):
    def back(self, logits: Tensor) -> Tensor:
        return logits.softmax(1)


class LogSoftmax(Planted):
    def back(self, logits: Tensor) -> Tensor:
        return logits.log_softmax(1)


class Hot(Planted):
    """A temperature: harmless."""

    def back(self, logits: Tensor) -> Tensor:
        return logits * 1e-3


class Cold(Planted):
    """A temperature: harmless."""

    def back(self, logits: Tensor) -> Tensor:
        return logits * 1e3


class Staircase(Planted):
    def back(self, logits: Tensor) -> Tensor:
        return (logits * 2).round() / 2


class Clipped(Planted):
    """No logit beyond 1: where the classifier is sure, it is flat."""

    def back(self, logits: Tensor) -> Tensor:
        return logits.clamp(-1, 1)


class Detached(Planted):
    def back(self, logits: Tensor) -> Tensor:
        return logits.detach()


class InfiniteGradient(Planted):
    """The square root of 0 has an infinite slope, and infinity times 0 is not a number."""

    def front(self, images: Tensor) -> Tensor:
        return images + (images * 0).sqrt()


class Reject(Planted):
    """An eleventh class for images that are rougher than a digit is."""

    def forward(self, images: Tensor) -> Tensor:
        logits = self.net(images)
        rough = (images.diff(dim=-1).diff(dim=-1)).square().flatten(1).mean(1, keepdim=True)
        return torch.cat([logits, logits.amax(1, keepdim=True) + 100 * (rough - 0.5)], 1)


class Purifying(Planted):
    """Each image first goes some steps to where the classifier is surer of its answer."""

    def front(self, images: Tensor) -> Tensor:
        with torch.enable_grad():
            moved = images.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.net(moved).softmax(1).amax(1).log().sum(), moved)
        return images + 0.05 * slope.sign()


class WinnersOnly(nn.Module):
    """k-WTA (Xiao et al. 2020): of each image's activations only the largest tenth go on."""

    def forward(self, activations: Tensor) -> Tensor:
        flat = activations.flatten(1)
        least = flat.topk(max(1, flat.shape[1] // 10), dim=1).values[:, -1:]
        kept: Tensor = (flat * (flat >= least)).view_as(activations)
        return kept
