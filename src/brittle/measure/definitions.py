"""What each measure means: the one table that JSON, terminal and report all read."""

from brittle.measure.models import Definition

INVISIBLE = (2.0, 8.0)
"""Too small to see: (root mean square, largest) change in grey levels of 255. A judgement, stricter than custom:
8 of 255 for every value is the usual bound for "imperceptible", which allows a root mean square of 8."""

FAINT = (8.0, 32.0)
"""Barely visible: the same two bounds, four times as large."""

ACCURATE = "How accurate"
FOOLED = "How easily fooled"
LITTLE = "By how little"
COST = "At what cost"

MEASURES: dict[str, Definition] = {
    key: Definition(name=name, unit=unit, group=group, description=description)
    for key, name, unit, group, description in [
        ("examples", "Examples", "images", ACCURATE, "Images with a record."),
        ("completeness", "Completeness", "fraction", ACCURATE, "Records present, of those that the run asks for."),
        (
            "correct",
            "Correctly classified",
            "images",
            ACCURATE,
            "Images that the classifier gets right before any attack.",
        ),
        (
            "clean_accuracy",
            "Clean accuracy",
            "fraction",
            ACCURATE,
            "Images classified correctly before any attack, of all images. Not defined for data without labels.",
        ),
        (
            "fooling_rate",
            "Fooling rate",
            "fraction",
            FOOLED,
            "Images whose predicted class a confirmed perturbation changes, of the correctly classified images.",
        ),
        (
            "attack_success_rate",
            "Attack success rate",
            "fraction",
            FOOLED,
            "Images on which the attack reaches its goal, of those where the goal was not met to begin with. The goal"
            " is a wrong class, or the chosen class in a targeted run.",
        ),
        (
            "robust_accuracy",
            "Robust accuracy",
            "fraction",
            FOOLED,
            "Images classified correctly before and still after the attack, of all images; with a reject class also"
            " those that are rejected after it, and without those of which the network gives NaN or infinity. An upper"
            " bound: a stronger attack can only lower it.",
        ),
        (
            "fooling_rate_8bit",
            "Fooling rate after 8-bit rounding",
            "fraction",
            FOOLED,
            "Images that meet the attack's goal when every pixel is rounded to one of 256 levels, as an ordinary"
            " image file does, of the correctly classified images.",
        ),
        (
            "invisible",
            "Fooled by changes too small to see",
            "fraction",
            FOOLED,
            "Correctly classified images that some perturbation fools whose root mean square is at most"
            f" {INVISIBLE[0]:g} and whose largest change is at most {INVISIBLE[1]:g} grey levels of 255.",
        ),
        (
            "faint",
            "Fooled by changes at most barely visible",
            "fraction",
            FOOLED,
            "The same with a root mean square of at most"
            f" {FAINT[0]:g} and a largest change of at most {FAINT[1]:g} grey levels of 255.",
        ),
        (
            "invisible_8bit",
            "The same, saved in 8 bits",
            "fraction",
            FOOLED,
            "Those that a change too small to see still fools when every pixel is rounded to one of 256 levels.",
        ),
        (
            "faint_8bit",
            "Barely visible, saved in 8 bits",
            "fraction",
            FOOLED,
            "Those that an at most barely visible change still fools when every pixel is rounded to one of 256 levels.",
        ),
        (
            "unconfirmed",
            "Claimed but not confirmed",
            "images",
            FOOLED,
            "Images on which the attack reports success and a fresh check of the stored image disagrees. Never counted"
            " as fooled.",
        ),
        (
            "confidence",
            "Confidence when fooled",
            "fraction",
            FOOLED,
            "Mean probability that the classifier gives to its answer on fooled images.",
        ),
        (
            "mean_distance",
            "Mean distance (empirical robustness \u0394\u0302)",
            "distance",
            LITTLE,
            "Mean size of the perturbation in the attack's norm, over correctly classified images that were fooled.",
        ),
        (
            "median_distance",
            "Median distance",
            "distance",
            LITTLE,
            "Half of the fooled images need no more than this. The interval comes from order statistics and assumes no"
            " distribution.",
        ),
        ("quartile_low", "Lower quartile", "distance", LITTLE, "A quarter of the fooled images need no more."),
        ("quartile_high", "Upper quartile", "distance", LITTLE, "Three quarters of the fooled images need no more."),
        ("max_distance", "Largest distance", "distance", LITTLE, "The largest perturbation among the fooled images."),
        (
            "relative_distance",
            "Mean relative distance \u03c1\u0302adv (L2)",
            "ratio",
            LITTLE,
            "Mean of the perturbation's L2 norm divided by the image's, over fooled images (entirely black images are"
            " left out).",
        ),
        (
            "typical_change",
            "Typical change of a value",
            "grey levels",
            LITTLE,
            "Root mean square change over all pixels and channels, in grey levels of 255: median over fooled images.",
        ),
        (
            "largest_change",
            "Largest change of a value",
            "grey levels",
            LITTLE,
            "The most that any one value changes, in grey levels of 255: median over fooled images.",
        ),
        (
            "changed_pixels",
            "Changed pixels",
            "fraction",
            LITTLE,
            "Pixels that differ at all, of the image's pixels: median over fooled images.",
        ),
        ("steps", "Steps", "steps", COST, "Mean number of iterations, over images that were attacked."),
        ("forwards", "Forward passes", "passes", COST, "Mean number of times an attacked image is classified."),
        ("backwards", "Backward passes", "passes", COST, "Mean number of gradients taken for an attacked image."),
        (
            "seconds",
            "Time per image",
            "seconds",
            COST,
            "Mean time for an attacked image, on the device of the run; without loading, grading and writing.",
        ),
        (
            "seconds_low",
            "Lower quartile of the time",
            "seconds",
            COST,
            "A quarter of the attacked images take no longer.",
        ),
        (
            "seconds_high",
            "Upper quartile of the time",
            "seconds",
            COST,
            "Three quarters of the attacked images take no longer.",
        ),
        ("total_seconds", "Time in total", "seconds", COST, "Time that the attack took for all images together."),
    ]
}
