"""What a notebook shows of results: true to them, escaped, from what is there."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from fake_run import DEEPFOOL, FGSM, HOSTILE, make_run
from killable import STUDIES, ran
from test_report import EVENT, Page
from torch import nn

import brittle
import brittle.studies
from brittle.measure import Measured, Told, summaries
from brittle.records import read_manifest, read_records
from brittle.run.tally import Tally
from brittle.studies.craft import Crafting
from brittle.text import percent, significant

TINY = torch.rand(6, 3, 4, 4, generator=torch.Generator().manual_seed(0))


class Net(nn.Module):
    """Two classes by the mean of the pixels."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        mean = images.flatten(1).mean(1) - 0.5
        return torch.stack([mean, -mean], 1)


def words_of(result: object) -> str:
    made = result._repr_html_()  # type: ignore[attr-defined]
    page = Page(made)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not [key for _, found in page.tags for key in found if EVENT.match(key) or key in ("href", "action")]
    assert all(link.startswith("data:image/") for link in page.values("img", "src"))
    return page.words


def test_found_says_counts_distances_passes_and_flags() -> None:
    classifier = brittle.Network(Net(), class_names=("light", HOSTILE))
    labels = classifier.logits(TINY).argmax(1)
    labels[0] = 1 - labels[0]  # wrong to begin with
    found = brittle.attack(classifier, TINY, labels, brittle.DeepFool())
    forwards = classifier.forwards
    words = words_of(found)
    assert classifier.forwards == forwards, "nothing is run for it"
    fooled = found.fooled & (found.distance("l2") > 0)
    assert f"{int(found.fooled.sum())} of 6" in words
    assert "of them without a change 1" in words
    assert f"median L2 distance {significant(float(found.distance('l2')[fooled].median()))}" in words
    assert f"forward passes {significant(float(found.forwards.double().mean()))}" in words
    assert all(flag.code in words for flag in found.flags)
    assert f"taken for {HOSTILE}" in words or "taken for light" in words
    assert len(Page(found._repr_html_()).values("img", "src")) == 3 * min(3, int(fooled.sum()))


def test_found_of_no_images() -> None:
    classifier = brittle.Network(Net())
    found = brittle.attack(classifier, TINY[:0], torch.zeros(0, dtype=torch.long), brittle.FGSM())
    assert "0 images" in words_of(found)


def test_an_audit_says_its_headline_and_a_row_for_each_attack(tmp_path: Path) -> None:
    make_run(tmp_path, n=20, shape=(3, 4, 4), attacks=(FGSM, DEEPFOOL), models=("one", HOSTILE), data=HOSTILE)
    words = words_of(brittle.Run.open(tmp_path))
    for summary in summaries(read_manifest(tmp_path), read_records(tmp_path)):
        assert f"{summary.model}, {summary.goal}: {' '.join(summary.headline)}" in words
        for attack in summary.attacks:
            rate = attack.measures["fooling_rate"]
            assert re.search(rf"{re.escape(attack.label)} .* {rate.count} of {rate.of}", words)
        assert all(flag.message in words for flag in summary.flags)
    assert str(tmp_path) in words


def test_a_comparison_shows_each_pair(tmp_path: Path) -> None:
    for name in ("a", "b", "c"):
        make_run(tmp_path / name, n=8, shape=(3, 4, 4), attacks=(FGSM,))
    compared = brittle.compare(*(tmp_path / name for name in "abc"))
    words = words_of(compared)
    for told in compared:
        assert words_of(told) in words
        assert " ".join(told.sentences[0].split()) in words
    assert words.count("attack measure in a") == 2


def test_long_tables_are_cut_and_say_so() -> None:
    rows = tuple((f"{HOSTILE}{number}", Measured(value=0.5, count=1, of=2)) for number in range(23))
    words = words_of(Told(("Many.",), heads=("what", "rate"), rows=rows))
    assert f"{HOSTILE}19 50.0 % 1 of 2" in words
    assert f"{HOSTILE}20" not in words
    assert "and 3 more" in words


@pytest.mark.parametrize("kind", ["craft", "fit", "noise"])
def test_other_studies_show_what_they_tell(tmp_path: Path, kind: str) -> None:
    study = STUDIES[kind]()
    if isinstance(study, Crafting):
        study = replace(study, photographs=study.photographs[:1], wishes=["random"])
    run = ran(study, tmp_path)
    words = words_of(run)
    assert words.startswith(f"{kind} of ")
    if kind == "craft":
        first = run.records.iloc[0]
        assert f"{first['photograph']} {first['target_name']} craft {percent(first['confidence'])}" in words
    else:
        tell = brittle.studies.STUDIES[kind].tell
        assert tell is not None
        assert all(sentence in words for sentence in tell(run.manifest, run.records).sentences)


def test_progress_is_shown_where_it_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    classifier = brittle.Network(Net())
    asked = (classifier, (TINY, classifier.logits(TINY).argmax(1)), [brittle.FGSM(eps=0.3)])
    brittle.audit(*asked, out=tmp_path / "quiet")
    assert capsys.readouterr().err == ""
    brittle.audit(*asked, out=tmp_path / "told", progress=True)
    assert "fgsm(eps=0.3)  6/6" in capsys.readouterr().err
    with pytest.raises(brittle.BrittleError, match="expected progress=True or watch="):
        brittle.audit(*asked, out=tmp_path / "both", progress=True, watch=Tally())
    assert not (tmp_path / "both").exists()
