"""What a run keeps of its adversarial images changes what is stored, and nothing else."""

from pathlib import Path
from typing import get_args

import killable
import pandas as pd
import pytest
import tomli_w
import torch
from safetensors.torch import load_file
from test_resume import assert_same_run, attacked

import brittle
from brittle.errors import BrittleError
from brittle.geometry.levels import to_8bit
from brittle.records import Kept, read_images, read_manifest, read_records, slugs_of
from brittle.report import write_report
from conftest import Cli

SOME = [kept for kept in get_args(Kept) if kept != "all"]
SHARDS = range(killable.COUNT // killable.SHARD)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One run for each way of keeping."""
    folder = tmp_path_factory.mktemp("kept")
    for kept in get_args(Kept):
        killable.small_run(folder / kept, images=kept)
    return {kept: folder / kept for kept in get_args(Kept)}


def stored(run: Path, slug: str, shard: int) -> dict[str, torch.Tensor]:
    folder = run / "images" / "digitscnn" / (slug if slug == "clean" else f"untargeted/{slug}")
    return load_file(folder / f"{shard:05d}.safetensors")


@pytest.mark.parametrize("kept", SOME)
def test_the_records_do_not_depend_on_it(kept: str, runs: dict[str, Path]) -> None:
    ours, whole = (read_records(runs[one]).drop(columns="seconds") for one in (kept, "all"))
    pd.testing.assert_frame_equal(ours, whole, check_exact=True)


def test_what_is_stored(runs: dict[str, Path]) -> None:
    records, classifier = read_records(runs["all"]), killable.classifier()
    some = 0
    for spec in read_manifest(runs["all"]).attacks:
        for shard in SHARDS:
            rows = records[records["attack"] == spec.label].iloc[shard * killable.SHARD :][: killable.SHARD]
            fooled = torch.tensor(rows["fooled"].to_numpy())
            every = stored(runs["all"], spec.slug, shard)["images"]
            few = stored(runs["fooled"], spec.slug, shard)
            assert few["rows"].tolist() == fooled.nonzero().squeeze(1).tolist()
            assert torch.equal(few["images"], every[fooled])
            some += int((~fooled).sum())
            rounded = stored(runs["8bit"], spec.slug, shard)["images"]
            assert rounded.dtype == torch.uint8
            assert torch.equal(rounded.float() / 255, to_8bit(every))
            # What the files show is what the records say of 8 bits.
            answers = classifier.logits(rounded.float() / 255, plain=True).argmax(1)
            assert (answers != torch.tensor(rows["label"].to_numpy())).tolist() == rows["fooled_8bit"].tolist()
    assert some
    assert not (runs["none"] / "images").exists()
    for kept in ("fooled", "8bit"):
        assert torch.equal(stored(runs[kept], "clean", 0)["images"], stored(runs["all"], "clean", 0)["images"])


def test_an_image_is_found_by_its_place(runs: dict[str, Path]) -> None:
    records, manifest = read_records(runs["fooled"]), read_manifest(runs["fooled"])
    spec, view = manifest.attacks[1], next(manifest.views())
    mine = records[records["attack"] == spec.label]
    fooled, not_fooled = (mine[mine["fooled"] == wanted]["position"].tolist() for wanted in (True, False))
    found, every = (read_images(runs[kept], view.slug(spec), view, fooled) for kept in ("fooled", "all"))
    assert torch.equal(found, every)
    with pytest.raises(LookupError):
        read_images(runs["fooled"], view.slug(spec), view, not_fooled[:1])


@pytest.mark.parametrize("kept", SOME)
def test_an_interrupted_run_is_resumed(
    kept: str, runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its data may be mended meanwhile, which is told without any stored image."""
    images, labels = killable.examples().images(0, 24), killable.examples().labels
    ids = [f"example-{k}" for k in range(24)]

    def changed(position: int) -> brittle.Examples:
        other = images.clone()
        other[position] = 0.5
        return brittle.examples_of(other, labels, ids=ids)

    killable.stopped_after(tmp_path, 4, images=kept, examples=changed(20))
    for position in (3, 12):
        with pytest.raises(BrittleError, match="data: there memory"):
            killable.small_run(tmp_path, images=kept, examples=changed(position))
    seen = attacked(monkeypatch)
    killable.small_run(tmp_path, images=kept)
    assert len(seen) == 5
    assert_same_run(tmp_path, runs[kept])


@pytest.mark.parametrize(("there", "now"), [("all", "none"), ("none", "all"), ("fooled", "8bit")])
def test_another_way_of_keeping_is_another_run(there: str, now: str, runs: dict[str, Path]) -> None:
    with pytest.raises(BrittleError, match=rf"holds a different run \(images: there {there}; now {now}\); choose"):
        killable.small_run(runs[there], images=now)


def test_a_way_that_there_is_not(tmp_path: Path) -> None:
    with pytest.raises(BrittleError, match="as all, fooled, 8bit or none, got 'fool'; did you mean 'fooled'"):
        killable.small_run(tmp_path / "run", images="fool")
    assert not (tmp_path / "run").exists()


def test_the_report_says_what_is_kept(runs: dict[str, Path]) -> None:
    pages = {kept: write_report(run).read_text() for kept, run in runs.items()}
    pictures = {kept: page.count('src="data:image/png') for kept, page in pages.items()}
    assert pictures["none"] == 0 < pictures["fooled"] < pictures["all"] == pictures["8bit"]  # failures are shown, too
    assert "This run keeps no images" in pages["none"] and 'href="#gallery"' not in pages["none"]
    assert [kept for kept, page in pages.items() if "The stored images are rounded to 8 bits" in page] == ["8bit"]
    assert "those that fooled the classifier, as they were graded" in pages["fooled"]
    assert not [kept for kept, page in pages.items() if "damaged-images" in page]


def test_different_labels_have_different_folders_of_a_length_that_file_systems_take() -> None:
    labels = ["fgsm", "fgsm(eps=0.01)", "a(x=-1)", "a(x=1)", "a(x=1, y=2)", "a(x=1.0)", "b" * 300, "b" * 301, "Fgsm"]
    slugs = slugs_of(labels)
    assert len(set(slugs)) == len(labels)
    assert slugs[1] == "fgsm-eps-0.01"
    assert slugs[2].startswith("a-x-1-") and slugs[5] == "a-x-1.0"
    assert max(map(len, slugs)) <= 120 and slugs[6].startswith("b" * 90)
    assert slugs_of(labels[::-1]) == slugs[::-1]


def test_who_is_called_as_a_file_of_records_has_a_folder_all_the_same(tmp_path: Path, cli: Cli) -> None:
    models = [{"name": "mine.parquet", "model": "digits-cnn"}]
    spec = {"study": "noise", "data": "digits", "limit": 4, "norm": "l2", "sizes": [1.0], "models": models}
    (tmp_path / "noise.toml").write_bytes(tomli_w.dumps(spec).encode())
    ran = cli("run", tmp_path / "noise.toml", "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    assert set(read_records(tmp_path / "run")["model"]) == {"mine.parquet"}


def test_an_attack_of_many_attacks_has_a_place_to_be_stored(tmp_path: Path) -> None:
    many = tuple(
        brittle.Restarts(attack=brittle.PGD(eps=0.1, steps=k, momentum=0.123456 * k, random_start=True), times=2)
        for k in range(1, 5)
    )
    done = killable.small_run(tmp_path, attacks=[brittle.BestOf(attacks=many)], examples=killable.examples(8))
    (spec,) = done.manifest.attacks
    assert len(spec.label) > 255 > len(spec.slug)
    assert len(done.records) == 8
