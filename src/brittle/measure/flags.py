"""What each flag means and what to do about it: the one table behind the report and docs/flags.md."""

from dataclasses import dataclass
from typing import Literal

Weight = Literal["doubt", "note"]
"""doubt: a number of this run may be wrong. note: the numbers are right, and easily misread."""


@dataclass(frozen=True, slots=True)
class Meaning:
    """One flag code explained."""

    weight: Weight
    sentence: str
    raised: str
    remedy: str


FLAGS: dict[str, Meaning] = {
    "probabilities": Meaning(
        "doubt",
        "The classifier seems to return probabilities where logits are expected.",
        "on a sample of the data its outputs sum to 1, or are single values in [0, 1], or are log-probabilities",
        "return the scores from before the softmax: on probabilities gradients vanish where the classifier is"
        " confident, and attacks look weaker than they are",
    ),
    "batch-dependent": Meaning(
        "doubt",
        "The answer for one image depends on the other images in its batch.",
        "an image's logits change in another batch, alone or in reversed order, by more than rounding can explain",
        "look for batch norm in training mode or for statistics taken over the batch; results change with the batch"
        " size until this is mended",
    ),
    "random": Meaning(
        "doubt",
        "The same image gets different answers.",
        "two passes over the same batch give different logits",
        "turn dropout, noise and random resizing off, or attack the expectation over them; a lucky draw counts as"
        " fooled otherwise",
    ),
    "zero-gradient": Meaning(
        "doubt",
        "The gradient is zero for some images, so gradient attacks have no direction to go.",
        "the input gradient of the attack's loss is zero or nearly so on at least one image of a sample",
        "look for rounding, thresholds, detached tensors or saturated activations; use an attack without gradients to"
        " see how robust the classifier really is",
    ),
    "non-finite-gradient": Meaning(
        "doubt",
        "The gradient is infinite or not a number for some images.",
        "the input gradient of the attack's loss has a NaN or an infinity on at least one image of a sample",
        "look for divisions by zero, square roots at zero and overflows; attacks cannot use such a gradient",
    ),
    "suspect-input-range": Meaning(
        "doubt",
        "The classifier seems to expect other pixel values than it is given.",
        "on a sample of the data another usual normalisation is far more accurate, or none of them beats guessing",
        "give the mean and standard deviation of its training to the classifier; images themselves stay in [0, 1]",
    ),
    "near-chance": Meaning(
        "doubt",
        "Before any attack, the classifier is hardly better than guessing.",
        "the 95 % interval of clean accuracy reaches down to 1 / number of classes, or lies below it",
        "check weights, normalisation, image size and the order of the class names before reading anything else",
    ),
    "lost-8bit": Meaning(
        "note",
        "Many adversarial images stop working when they are saved as ordinary 8-bit images.",
        "more than 10 % of an attack's fooled images no longer meet the goal after every pixel is rounded to one of"
        " 256 levels",
        "for attacks that seek the smallest perturbation nothing needs mending: they stop just across the boundary,"
        " often by less than one grey level, and such images exist only as floats. Quote the rate after rounding when"
        " the images are to be files",
    ),
    "unconfirmed": Meaning(
        "doubt",
        "An attack claims successes that a fresh check does not confirm.",
        "an attack reports success on an image, and a new forward pass, the pixel range or the budget contradicts it",
        "read the rates as they are, since unconfirmed images do not count as fooled, and look for a random classifier"
        " or a mistake in the attack",
    ),
    "not-monotone": Meaning(
        "doubt",
        "A larger budget fools fewer images.",
        "in a sweep of one attack, images are more often still right at a larger budget beyond chance (sign test, 1 %)",
        "give the attack more steps, a smaller step or restarts: what works at the small budget is also allowed at the"
        " large one, so the attack, not the classifier, is the limit. Single-step attacks often do this",
    ),
    "unbounded-below-100": Meaning(
        "doubt",
        "An attack that may change an image as much as it needs did not succeed on every image.",
        "a minimal attack, which has no budget, has a success rate below 100 %",
        "read it as a failure of the attack, not as robustness: with enough change every image can be made to fail."
        " More steps usually help",
    ),
    "incomplete": Meaning(
        "doubt",
        "The run is not finished.",
        "fewer records are present than the run asks for",
        "run the same command again: it goes on where it stopped",
    ),
    "few-examples": Meaning(
        "note",
        "There are few images, so every rate has a wide interval.",
        "fewer than 100 images are classified correctly",
        "read the intervals instead of the rates, or use more images",
    ),
    "outside-box": Meaning(
        "doubt",
        "An attack returned pixels outside [0, 1].",
        "a stored image has a pixel below 0 or above 1; it does not count as fooled",
        "mend the attack: it must keep to the pixel range itself, since clipping afterwards can undo the perturbation",
    ),
    "over-budget": Meaning(
        "doubt",
        "An attack returned a perturbation larger than its budget.",
        "the distance of a stored image, in the attack's norm, exceeds eps; it does not count as fooled",
        "mend the attack: it must project onto its budget after every step",
    ),
    "damaged-images": Meaning(
        "doubt",
        "Stored images are missing or are not those that were graded.",
        "an image file has another size than its record says, or, for images that the report shows, another content",
        "run the same audit again: it makes damaged files anew and keeps the rest; to keep no images on purpose, say"
        " --images none",
    ),
    "non-finite-logits": Meaning(
        "doubt",
        "The classifier's answer to some attacked images is no answer: NaN or infinity.",
        "the plain network's logits are not all finite on a stored image; it does not count as fooled",
        "do not read the robust accuracy as robustness: such an image counts as withstood only because nothing can be"
        " said of it. Look for divisions by zero, square roots and logarithms at zero, and overflows in half precision",
    ),
    "miscounted-passes": Meaning(
        "doubt",
        "An attack reports other numbers of passes than were counted.",
        "the forward or backward passes that an attack reports differ from those that the classifier counted",
        "do not compare costs until the attack's accounting is mended; all other measures stand",
    ),
}


def flags_markdown() -> str:
    """The text of docs/flags.md."""
    parts = [
        "# Flags\n\n"
        "brittle says when its own results could be wrong or misread. Each flag has a code, which stands in\n"
        "the manifest, the records, the summary and the report. A *doubt* means that a number may be wrong, a *note*\n"
        "that the numbers are right and easily misread. `brittle.measure.flags_markdown()` writes this page.\n"
    ]
    for code, meaning in FLAGS.items():
        parts.append(
            f"## {code}\n\n{meaning.sentence} ({meaning.weight.capitalize()}.)\n\n"
            f"- **Raised when** {meaning.raised}.\n- **What to do:** {meaning.remedy}.\n"
        )
    return "\n".join(parts)
