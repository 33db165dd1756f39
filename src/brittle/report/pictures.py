"""The stored images of cases, as pairs to be shown."""

from collections.abc import Collection, Sequence
from pathlib import Path

from brittle.measure import Case
from brittle.pages.pictures import Pair
from brittle.records import Manifest, read_images, shard_path


def load(
    directory: Path, manifest: Manifest, cases: Sequence[Case], damaged: Collection[Path] = ()
) -> dict[tuple[str, int], Pair]:
    """The images of cases by (slug, position); those that are not there or in a damaged file are left out."""
    pairs = {}
    for case in cases:
        shard = case.position // manifest.shard_size
        if any(shard_path(directory, "images", slug, shard) in damaged for slug in ("clean", case.slug)):
            continue
        try:
            clean = read_images(directory, "clean", manifest, [case.position])
            adversarial = read_images(directory, case.slug, manifest, [case.position])
        except LookupError:
            continue  # a run can be kept without its images: the numbers stand without them
        pairs[case.slug, case.position] = Pair(clean[0], adversarial[0], f"{case.slug} {case.position}")
    return pairs
