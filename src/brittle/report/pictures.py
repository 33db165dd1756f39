"""The stored images of cases, as pairs to be shown."""

from collections.abc import Collection, Iterable
from pathlib import Path

from brittle.measure import Case
from brittle.pages.pictures import Pair
from brittle.records import View, image_place, read_images


def load(
    directory: Path, cases: Iterable[tuple[View, Case]], damaged: Collection[Path] = ()
) -> dict[tuple[str, int], Pair]:
    """The images of cases by (slug, position); those that are not there or in a damaged file are left out."""
    pairs = {}
    for view, case in cases:
        names = (
            image_place(directory, slug, case.position, view.manifest.shard_size)[0]
            for slug in (view.originals, case.slug)
        )
        if any(directory / name in damaged for name in names):
            continue
        try:
            clean = read_images(directory, view.originals, view, [case.position])
            adversarial = read_images(directory, case.slug, view, [case.position])
        except LookupError:
            continue  # a run can be kept without its images: the numbers stand without them
        pairs[case.slug, case.position] = Pair(clean[0], adversarial[0], f"{case.slug} {case.position}")
    return pairs
