"""A classifier that a generator plays against: ACGAN, with Wasserstein's distance as the critic's score."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from brittle.catalog import option, register_in
from brittle.errors import BrittleError
from brittle.models.architectures.acgan import NOISE, Discriminator
from brittle.train.batches import Augmentation, Batch, Normalised, Pixels, keyed
from brittle.train.recipe import RECIPES, Move, Networks
from brittle.types import Images, Labels

_NET, _CRITIC, _GENERATOR = "classifier", "critic", "generator"
_EACH = 10  # images of each class in a frame
_AT_ONCE = 500


@register_in(RECIPES, "acgan", paper="arXiv:1610.09585")
@final
@dataclass(frozen=True, slots=True)
class Acgan:
    """A classifier that also tells real images from generated ones, and a generator of images of a class asked for.

    By Wasserstein's distance with a gradient penalty (arXiv:1704.00028), or with clipped weights (arXiv:1701.07875).
    Without a generator the same network learns from images alone.
    """

    epochs: int = option(20, "times that each image is seen", at_least=1)
    batch: int = option(128, "images of a step, at most", at_least=2)
    rate: float = option(2e-4, "learning rate, which falls to 0 in the second half", above=0)
    generator: bool = option(True, "play against a generator; otherwise only learn to classify")
    penalty: float = option(10.0, "weight of the gradient penalty; 0 for none", at_least=0)
    clip: float = option(0.0, "bound of the critic's weights, as the first Wasserstein GAN had; 0 for none", at_least=0)
    critic_moves: int = option(1, "moves of the critic for one of the generator", at_least=1)
    smoothing: float = option(0.0, "share of a real image's label that all classes have", at_least=0, below=1)
    flip: bool = option(False, "mirror half of the images; not for what has a left and a right, as digits")
    shift: int = option(0, "pixels by which an image is moved at most, each way", at_least=0)
    frames: int = option(100, "pictures of what is generated, at equal distances", at_least=1)

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(self.flip, self.shift)

    def normalised(self, pixels: Pixels) -> Normalised:
        """To [-1, 1], which is what a generator's last layer gives."""
        channels = pixels.values.shape[-1]
        return Normalised((0.5,) * channels, (0.5,) * channels)

    def task(self, net: nn.Module) -> "Alone | Playing":
        """Adam for each of the networks, without momentum where two play."""
        if not isinstance(net, Discriminator):
            raise BrittleError(
                f"expected a discriminator for the recipe acgan, such as acgan-mnist-slim, got {type(net).__name__}"
            )
        return Playing(self, net) if self.generator else Alone(self, net)


def _falling(progress: float, rate: float) -> float:
    return rate * min(1.0, 2 * (1 - progress))


@final
class Alone:
    """The classifier by itself, as it would be without a generator."""

    def __init__(self, recipe: Acgan, net: Discriminator) -> None:
        self.recipe = recipe
        self.networks: Networks = {_NET: net}
        self.optimisers: Mapping[str, Optimizer] = {_NET: Adam(net.parameters(), lr=recipe.rate)}

    def rate(self, progress: float) -> float:
        return _falling(progress, self.recipe.rate)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """The cross-entropy of the batch."""
        logits = networks[_NET](batch.images)
        loss = functional.cross_entropy(logits, batch.labels, label_smoothing=self.recipe.smoothing)
        right = (logits.detach().argmax(1) == batch.labels).sum()
        yield Move(_NET, loss, {"loss": loss.detach() * len(batch.labels), "accuracy": right})


@final
class Playing:
    """The critic's moves, then the generator's answer; and what the generator can show."""

    def __init__(self, recipe: Acgan, net: Discriminator) -> None:
        self.recipe, self.frames, self.classes = recipe, recipe.frames, net.classes
        self.generator = net.generator()
        critic = Critic(net)
        self.networks: Networks = {_NET: net, _CRITIC: critic, _GENERATOR: self.generator}
        self.optimisers: Mapping[str, Optimizer] = {
            _CRITIC: Adam(critic.parameters(), lr=recipe.rate, betas=(0.0, 0.9)),
            _GENERATOR: Adam(self.generator.parameters(), lr=recipe.rate, betas=(0.0, 0.9)),
        }
        self.shown = torch.randn(net.classes * _EACH, NOISE)  # the same noise in every frame

    def rate(self, progress: float) -> float:
        return _falling(progress, self.recipe.rate)

    def moves(self, networks: Networks, batch: Batch) -> Iterator[Move]:
        """Scores of real images up and of made ones down, with their classes; then the contrary for the generator."""
        recipe, critic, count = self.recipe, networks[_CRITIC], len(batch.labels)
        for _ in range(recipe.critic_moves):
            if recipe.clip:
                clipped(critic, recipe.clip)
            with torch.no_grad():
                made, wanted = self._made(networks, batch)
            of_real, real_logits = critic(batch.images)
            of_made, made_logits = critic(made)
            loss = functional.cross_entropy(real_logits, batch.labels, label_smoothing=recipe.smoothing)
            distance = of_real.mean() - of_made.mean()
            every = loss + functional.cross_entropy(made_logits, wanted) - distance
            if recipe.penalty:
                # Of the network itself: what the loop runs refuses a gradient that is not the loop's.
                every = every + recipe.penalty * gradient_penalty(self.networks[_CRITIC], batch.images, made)
            right = (real_logits.detach().argmax(1) == batch.labels).sum()
            told = {"loss": loss.detach() * count, "accuracy": right, "distance": distance.detach() * count}
            yield Move(_CRITIC, every, {name: value / recipe.critic_moves for name, value in told.items()})
        made, wanted = self._made(networks, batch)
        of_made, made_logits = critic(made)
        yield Move(_GENERATOR, functional.cross_entropy(made_logits, wanted) - of_made.mean(), {})

    def frame(self) -> Tensor:
        """What the generator makes now of the same noise: uint8 ``[rows, columns, H, W, C]``, a column for a class."""
        labels = torch.arange(self.classes).repeat(_EACH)
        pixels = self._pixels(self.shown, labels)
        return pixels.view(_EACH, self.classes, *pixels.shape[1:])

    def generated(self, count: int, seed: int) -> Pixels:
        """So many images, classes in turn, of noise that belongs to the seed."""
        labels = torch.arange(count) % self.classes
        noise = torch.randn(count, NOISE, generator=keyed(seed, "generated", count))
        parts = [
            self._pixels(*part)
            for part in zip(torch.split(noise, _AT_ONCE), torch.split(labels, _AT_ONCE), strict=True)
        ]
        return Pixels(torch.cat(parts), labels)

    def _made(self, networks: Networks, batch: Batch) -> tuple[Images, Labels]:
        labels = torch.randint(self.classes, batch.labels.shape, device=batch.labels.device)
        noise = torch.randn(len(labels), NOISE, device=labels.device)
        return networks[_GENERATOR](noise, labels), labels

    def _pixels(self, noise: Tensor, labels: Labels) -> Tensor:
        place = next(self.generator.parameters()).device
        was = self.generator.training
        with torch.no_grad():
            images = self.generator.eval()(noise.to(place), labels.to(place))
        self.generator.train(was)
        levels: Tensor = (127.5 * (images + 1)).round().clamp(0, 255).byte()
        return levels.permute(0, 2, 3, 1).cpu()


@final
class Critic(nn.Module):
    """A discriminator with a score for how real an image looks: ``[B]``, beside the logits ``[B, classes]``."""

    def __init__(self, net: Discriminator) -> None:
        super().__init__()
        self.net = net
        self.score = nn.Linear(net.width, 1)

    def forward(self, images: Images) -> tuple[Tensor, Tensor]:
        features = self.net.features(images)
        return self.score(features).squeeze(1), self.net.head(features)


def gradient_penalty(critic: nn.Module, real: Images, made: Images) -> Tensor:
    """How far the norm of the score's gradient is from 1, squared, between real and made images; on average.

    Source: Gulrajani et al. 2017, arXiv:1704.00028, equation 3.
    """
    share = torch.rand(len(real), 1, 1, 1, device=real.device)
    between = (share * real + (1 - share) * made).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between)[0].sum(), between, create_graph=True)
    penalty: Tensor = (torch.linalg.vector_norm(gradient.flatten(1), dim=1) - 1).square().mean()
    return penalty


@torch.no_grad()
def clipped(critic: nn.Module, bound: float) -> None:
    """All weights within ``[-bound, bound]``, in place (Arjovsky et al. 2017, arXiv:1701.07875)."""
    for one in critic.parameters():
        one.clamp_(-bound, bound)
