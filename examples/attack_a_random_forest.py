"""Attack a model that has no gradients: `python examples/attack_a_random_forest.py [DIRECTORY]`."""

import sys

from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.svm import SVC

import brittle


def main(out: str = "runs/forest") -> brittle.Run:
    pixels, names = load_digits(return_X_y=True)  # 8 x 8 pixels from 0 to 16
    forest = RandomForestClassifier(50, random_state=0).fit(pixels[200:], names[200:])
    machine = SVC().fit(pixels[200:], names[200:])
    examples = brittle.load_data("digits", limit=20)
    images, labels = examples.images(0, 20), examples.labels
    assert labels is not None

    for estimator in (forest, machine):
        # Images are in [0, 1]; (images - mean) / std is what the estimator was fitted on.
        classifier = brittle.BlackBox(estimator, mean=(0,), std=(1 / 16,))
        found = brittle.attack(classifier, images, labels, brittle.HopSkipJump(queries=500))
        print(f"{classifier.name}: {found.fooled.float().mean():.0%} fooled", end=", ")
        print(f"median L2 distance {found.distance('l2').median():.2g}")

    try:
        brittle.attack(classifier, images, labels, brittle.PGD(eps=0.1))
    except brittle.Unsupported as refused:
        print(refused)

    classifier = brittle.BlackBox(forest, mean=(0,), std=(1 / 16,))
    return brittle.audit(classifier, examples, [brittle.HopSkipJump(norm="linf", queries=500)], out=out)


if __name__ == "__main__":
    main(*sys.argv[1:])
