"""The stored images of cases, as pairs to be shown."""

from collections.abc import Collection, Sequence
from pathlib import Path

from brittle.measure import Case
from brittle.pages.pictures import Pair
from brittle.records import View, image_file, read_images


def load(
    directory: Path, manifest: View, cases: Sequence[Case], damaged: Collection[Path] = ()
) -> dict[tuple[str, int], Pair]:
    """The images of cases by (slug, position); those that are not there or in a damaged file are left out."""
    pairs = {}
    for case in cases:
        shard = case.position // manifest.manifest.shard_size
        if any(directory / image_file(slug, shard) in damaged for slug in (manifest.originals, case.slug)):
            continue
        try:
            clean = read_images(directory, manifest.originals, manifest, [case.position])
            adversarial = read_images(directory, case.slug, manifest, [case.position])
        except LookupError:
            continue  # a run can be kept without its images: the numbers stand without them
        pairs[case.slug, case.position] = Pair(clean[0], adversarial[0], f"{case.slug} {case.position}")
    return pairs
