"""Studies of what a network makes of changes: of attacks, and of noise as large beside each."""

from collections.abc import Iterator, Sequence

from brittle.attacks import Attack
from brittle.catalog import attacks_from, label_of, traits_of
from brittle.explain.inside import network_of
from brittle.goals import Untargeted
from brittle.models.classifier import Classifier
from brittle.rng import Rng
from brittle.run.attack import Found, attack_graded
from brittle.run.sources import Shard
from brittle.studies.control import NOISE, noise_like
from brittle.studies.per_image import PerImage, PerImageSpec
from brittle.types import Images


class ChangedSpec(PerImageSpec):
    """Attacks, and noise beside each, layer by layer; a study says which attacks it takes by default."""

    attacks: list[str]

    def open(self) -> PerImage:
        """The study; BrittleError for what has no layers."""
        study = super().open()
        self.made()
        for one in study.sources.of.values():
            network_of(one.classifier)
        return study

    def made(self) -> list[Attack]:
        """The attacks, with sweeps spread out."""
        return [one for text in self.attacks for one in attacks_from(text)]

    def changed(self, classifier: Classifier, shard: Shard) -> dict[str, Images]:
        """By what is done, images as the shard has them."""
        found = dict[str, Images]()
        for label, attacked, noisy in beside_noise(classifier, shard, self.made(), self.seed):
            found |= {label: attacked.images, f"{NOISE}{label}": noisy}
        return found


def beside_noise(
    classifier: Classifier, shard: Shard, methods: Sequence[Attack], seed: int
) -> Iterator[tuple[str, Found, Images]]:
    """Of each attack its label, what it found, and noise of the same size."""
    goal, rng = Untargeted(shard.labels, classifier.reject), Rng(seed, shard.ids)
    for method in methods:
        found, norm = attack_graded(classifier, shard.images, goal, method, rng, shard.logits), traits_of(method).norm
        noisy, _ = noise_like(shard.images, norm.measure(found.images - shard.images), norm, rng)
        yield label_of(method), found, noisy
