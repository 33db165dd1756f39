"""Numbers and the headline in plain words. Every claim follows from counts and from thresholds that are stated."""

from brittle.measure.definitions import FAINT, INVISIBLE
from brittle.measure.models import Measured, Summary
from brittle.text import counted, percent

_AS_FILES = "by 8-bit images, which files hold as they are"

__all__ = ["FAINT", "INVISIBLE", "headline"]


def headline(summary: Summary) -> list[str]:
    """Two or three sentences that someone who has never heard of adversarial examples understands.

    The size of change that is named is the smallest class of size with which at least half of the correctly classified
    images are fooled, counted image by image over all attacks.
    """
    examples, right = _number(summary.overall["examples"]), _number(summary.overall["correct"])
    if not examples:
        return ["No image has been attacked yet."]
    if not right:
        return [
            f"This classifier {'is wrong on' if summary.labelled else 'refuses to answer'} {_all_of(examples)}.",
            "There is nothing left for an attack to break.",
        ]
    sentences = [_accuracy(summary, examples, right), _fooled(summary, right)]
    if summary.goal != "untargeted":
        sentences.append(_targeted(summary))
    return [sentence for sentence in sentences if sentence]


def _accuracy(summary: Summary, examples: int, right: int) -> str:
    if not summary.labelled:
        if examples == 1:
            return "This image has no label, so the classifier's own answer stands in for it."
        return f"These {examples:,} images have no labels, so the classifier's own answers stand in for them."
    if right == examples:
        return f"This classifier is right on {_all_of(examples)}."
    return f"This classifier is right on {percent(right / examples)} of {examples:,} images."


def _fooled(summary: Summary, right: int) -> str:
    overall = summary.overall
    any_size, invisible, faint = overall["fooling_rate"], overall["invisible"], overall["faint"]
    if any_size.count is None or not any_size.of:
        return ""
    does = "make it wrong on" if summary.labelled else "change its answer on"
    if any_size.count == 0:
        answers = "that one answer" if right == 1 else "any of those answers" if summary.labelled else "any answer"
        files = "" if summary.levels is None else " by an 8-bit image"
        return f"No attack of this run changed {answers}{files}, which does not prove that none can."
    for key, share, size in (
        ("invisible_8bit", invisible, "too small to see"),
        ("faint_8bit", faint, "that are barely visible"),
    ):
        if (share.value or 0.0) >= 0.5:
            saved = _survives(overall[key], share) if summary.levels is None else _AS_FILES
            text = f"Changes {size} {does} {_share(share, summary)} ({saved})"
            if any_size.count - (share.count or 0) >= 0.05 * any_size.of:
                return f"{text}, and larger changes on {_portion(any_size)}."
            return f"{text}."
    text = f"The attacks of this run {does} {_share(any_size, summary)}"
    text += "" if summary.levels is None else f" ({_AS_FILES})"
    return f"{text}; on {_portion(invisible)} with changes too small to see." if invisible.count else f"{text}."


def _targeted(summary: Summary) -> str:
    rates = [attack.measures["attack_success_rate"] for attack in summary.attacks]
    tried = [one for one in rates if one.of]
    if not tried:
        return "The chosen answer is the one that it gives by itself: there was nothing to attack."
    best = max(tried, key=lambda one: one.value or 0.0)
    return (
        f"Told to get one chosen answer from it, the most successful attack does so on {percent(best.value or 0.0)} of"
        f" the {counted(best.of or 0, 'image')} for which it was not the answer anyway."
    )


def _share(share: Measured, summary: Summary) -> str:
    """Which images, as in "every image it got right"; without labels there is no right, only "them"."""
    suffix = " it got right" if summary.labelled else ""
    if share.of == 1:
        return f"the one image{suffix}" if suffix else "it"
    if share.count == share.of:
        return f"every image{suffix}" if suffix else "every one of them"
    return f"{_portion(share)} of the images{suffix}" if suffix else f"{_portion(share)} of them"


def _survives(saved: Measured, share: Measured) -> str:
    """How many of them are left when the images are files, whose pixels have 256 levels."""
    if saved.count == share.count:
        return "saved in 8 bits, too"
    return f"{_portion(saved) if saved.count else 'none'} once saved in 8 bits"


def _portion(share: Measured) -> str:
    return "all" if share.count == share.of else percent(share.value or 0.0)


def _all_of(examples: int) -> str:
    return "the only image" if examples == 1 else f"all {examples:,} images"


def _number(measured: Measured) -> int:
    return int(measured.value or 0)
