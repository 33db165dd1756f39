"""Audit a network of your own: `python examples/audit_your_network.py [DIRECTORY]`."""

import sys

import torch
from torch import nn

import brittle


def main(out: str = "runs/mine") -> brittle.Run:
    torch.manual_seed(0)
    names = ["ant", "bee", "cat", "dog"]
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, len(names)))
    classifier = brittle.Network(net, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), class_names=names)

    images = torch.rand(64, 3, 16, 16)
    labels = classifier.logits(images).argmax(1)

    found = brittle.attack(classifier, images, labels, brittle.DeepFool(norm="linf"), seed=0)
    print(f"{found.fooled.float().mean():.0%} fooled, median L∞ distance {found.distance('linf').median():.2g}")

    examples = brittle.examples_of(images, labels)
    run = brittle.audit(classifier, examples, [brittle.FGSM(eps=8 / 255), brittle.DeepFool()], out=out)
    print(run.records.groupby("attack")["fooled"].mean())
    return run


if __name__ == "__main__":
    main(*sys.argv[1:])
