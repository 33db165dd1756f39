"""The gradient of the margin, for attacks that look at logits' differences instead of the loss."""

import torch

from brittle.goals import Goal
from brittle.models.classifier import Classifier
from brittle.types import Images, Logits


def margin_descent(classifier: Classifier, images: Images, goal: Goal) -> tuple[Logits, Images]:
    """Logits, and the gradient along which ``goal.margin`` falls; one forward and one backward pass for each row.

    The gradient is that of the difference between the goal's own logit and the largest other one.
    """
    logits, gradients = [images.new_zeros(0, 0)], [images[:0]]
    for rows in classifier.chunks(len(images)):
        part, pullback = classifier.linearize(images[rows])
        _, cotangents = goal[rows].towards(part, goal[rows].others(part).argmax(1))
        gradients.append(pullback(cotangents))
        logits.append(part)
    return torch.cat(logits[1:] or logits), torch.cat(gradients)
