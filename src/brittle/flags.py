"""Every flag there is: what it means and what to do about it. Whoever raises one names it from here."""

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
        "on a sample of the data its outputs sum to 1, or are single values in [0, 1]",
        "return the scores from before the softmax: on probabilities gradients vanish where the classifier is"
        " confident, and attacks look weaker than they are",
    ),
    "log-probabilities": Meaning(
        "note",
        "The classifier returns log-probabilities instead of logits.",
        "on a sample of the data the exponentials of its outputs sum to 1",
        "nothing: attacks look at differences between classes, which are those of the logits. Single outputs are not",
    ),
    "small-logits": Meaning(
        "doubt",
        "The logits of all classes are nearly the same.",
        "on a sample of the data an image's logits differ by less than 0.5",
        "a high temperature? Multiply the logits so that the classifier is as sure as it is right: predictions stay the"
        " same, and attacks on cross-entropy make for the nearest class again",
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
        "among eight passes over the same images, two at a time and with the others in between, logits differ by more"
        " than an attack allows for",
        "turn dropout, noise and random resizing off, or attack the expectation over them; a lucky draw counts as"
        " fooled otherwise",
    ),
    "nearly-repeats": Meaning(
        "note",
        "The same image gets answers that differ by next to nothing.",
        "passes over the same images differ by more than arithmetic does, and by less than an attack allows for before"
        " it claims success",
        "nothing: no result here hangs on it, but runs will not repeat to the bit",
    ),
    "discontinuous": Meaning(
        "doubt",
        "The answer jumps when the image changes by next to nothing.",
        "logits jump when every pixel moves by a millionth, and a move 16 times as wide changes them hardly more",
        "look for noise that is drawn from the image's content, or hashing: gradients cannot see it. Average over it,"
        " or use attacks without gradients; what counts as fooled is what one draw gives",
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
    "gradient-is-wrong": Meaning(
        "doubt",
        "The gradient is not the slope of the loss, and does not lead uphill either.",
        "on more than a quarter of 16 images differences of the loss over small moves contradict its gradient, and for"
        " most a step of 0.01 along the gradient's sign does not raise the loss as it should",
        "look for a backward pass of one's own (BPDA), a detached tensor, or a gradient that belongs to something else;"
        " what gradient attacks find is no measure of robustness here. Use attacks without gradients",
    ),
    "rough-gradient": Meaning(
        "doubt",
        "The gradient is not the slope of the loss, though it may lead the right way.",
        "on more than a quarter of 16 images differences of the loss over small moves contradict its gradient, or the"
        " loss rises more than half as much again as it foretells, while a step of 0.01 along its sign does raise the"
        " loss; so at the boundary, on the way to where a descent leads; a gradient nearby leads half as far as the"
        " image's own, or five times; or pixels without a gradient change the loss",
        "expected of a straight-through rounding, of activations that switch (k-WTA), of saturation, and where another"
        " model decides unsure cases. Gradient"
        " attacks may be weaker than they should be: compare them with `square`",
    ),
    "optimises-inside": Meaning(
        "doubt",
        "The classifier computes gradients while it answers.",
        "a gradient is computed within the forward pass of two images",
        "a defence that purifies its input or adapts itself: see that its steps are part of the gradient, or attack it"
        " without gradients. Every pass also costs several",
    ),
    "unbroken-at-eps-1": Meaning(
        "doubt",
        "Gradients cannot fool the classifier even where any change is allowed.",
        "more than a tenth of 16 images withstand 20 signed gradient steps of 0.1 with no budget at all",
        "read gradient attacks as failures of the attack: at that size every image can be made into any other. Look for"
        " saturation, rounding and gradients that lead astray; use attacks without gradients",
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
        " the images are to be files, or let attacks end on such images: `--eight-bit`",
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
    "stronger-elsewhere": Meaning(
        "doubt",
        "Another kind of attack fools images that the best attack by gradients leaves alone, within the same budget.",
        "a minimal attack, or one that asks for scores or decisions, fools more images within eps than the best budget"
        " attack by gradients in that norm: by 5 % of the images, and beyond chance (sign test, 1 %)",
        "the gradients mislead, or the attack has too few steps: read the stronger attack's rate, and quote no robust"
        " accuracy that the weaker one gives",
    ),
    "no-headway": Meaning(
        "doubt",
        "An attack by gradients ends no nearer to its goal than it began.",
        "on more than 10 % of the images a budget attack of several steps fails, and the margin it leaves is no smaller"
        " than that of the original",
        "the gradient is zero, wrong or far too steep there: the attack has done nothing, which is no robustness",
    ),
    "longer-is-smaller": Meaning(
        "doubt",
        "A longer run finds clearly smaller perturbations.",
        "on 8 to 16 of the first images, three times the effort (for `minimal`: a longer attack of the same norm)"
        " leaves less than 95 % of the distance, by the median. Runs of fewer than 96 images are not tried",
        "read the distances as upper bounds; give the attack more steps, or use a stronger one, until it stops",
    ),
    "longer-fools-more": Meaning(
        "doubt",
        "Against a defence, an attack with more effort fools images that the attack itself leaves alone.",
        "on every fourth of the first 240 images of a defended model, three times the steps, three times the draws and"
        " another start fool 5 % more of the images, and two at the least",
        "read the robust accuracy as an upper bound: the attack is the limit, not the defence. Give it more steps, and"
        " the defence more `draws` for its attacker, until it stops",
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
        "the plain network's logits are not all finite on a stored image; it counts as neither fooled nor robust",
        "do not read a low fooling rate as robustness: of such an image nothing can be said. Look for divisions by"
        " zero, square roots and logarithms at zero, and overflows in half precision",
    ),
    "changed-answers": Meaning(
        "doubt",
        "The network answers otherwise than it did before the attack.",
        "after an attack four of its images get logits that differ by more than a tenth of their spread from those that"
        " the attack began with",
        "look for a counter of questions, a limit, a cache, or weights that something else changes meanwhile; results"
        " of before and after the change are those of two networks",
    ),
    "miscounted-passes": Meaning(
        "doubt",
        "An attack reports other numbers of passes than were counted.",
        "the forward or backward passes that an attack reports differ from those that the classifier counted",
        "do not compare costs until the attack's accounting is mended; all other measures stand",
    ),
}

STUCK = 0.1
"""The share of images above which a gradient attack that made no headway raises its flag."""


def is_doubt(code: str) -> bool:
    """Whether a number may be wrong where this was raised; a code of another version counts as a doubt."""
    return code not in FLAGS or FLAGS[code].weight == "doubt"


def flags_markdown() -> str:
    """The text of docs/flags.md."""
    parts = [
        "# Flags\n\n"
        "brittle says when its own results could be wrong or misread. Each flag has a code, which stands in\n"
        "the manifest, the records, the summary and the report. A *doubt* means that a number may be wrong, a *note*\n"
        "that the numbers are right and easily misread. `brittle.flags.flags_markdown()` writes this page.\n"
    ]
    for code, meaning in FLAGS.items():
        parts.append(
            f"## {code}\n\n{meaning.sentence} ({meaning.weight.capitalize()}.)\n\n"
            f"- **Raised when** {meaning.raised}.\n- **What to do:** {meaning.remedy}.\n"
        )
    return "\n".join(parts)
