"""Classifiers fitted on the spot, data of fewer classes, smaller images, and rubbish."""

from pathlib import Path

import pytest
import torch
from torch import nn

from brittle.data import load_data
from brittle.errors import BrittleError
from brittle.measure.told import Told
from brittle.models import load_model
from brittle.models.architectures import ARCHITECTURES
from brittle.models.architectures.mlp import Maxout
from brittle.models.fitted import KINDS
from brittle.models.trainable import trainable
from brittle.records import read_manifest, read_records
from brittle.studies.rubbish import tell
from conftest import Cli


@pytest.mark.parametrize("kind", KINDS)
def test_a_control_is_fitted_to_named_data_and_is_the_same_again(kind: str) -> None:
    made = load_model(f"sklearn:{kind},limit=300:digits")
    data = load_data("digits")
    assert data.labels is not None
    right = made.logits(data.images(0, 500)).argmax(1) == data.labels
    assert float(right.float().mean()) > 0.7
    assert made.access in ("score", "decision") and made.class_names == tuple("0123456789")
    assert made.fit is not None and (made.fit.channels, made.fit.height, made.fit.width) == (1, 8, 8)
    assert load_model(f"sklearn:{kind},limit=300:digits").fingerprint == made.fingerprint


def test_a_control_of_some_classes_has_these() -> None:
    made = load_model("sklearn:tree:few:3:digits")
    assert made.class_names == ("0", "1", "2")
    assert made.logits(load_data("few:3:digits").images(0, 4)).shape == (4, 3)


def test_data_of_fewer_classes_are_those_of_the_first(tmp_path: Path) -> None:
    whole, few = load_data("digits"), load_data("few:3:digits")
    assert whole.labels is not None and few.labels is not None
    rows = (whole.labels < 3).nonzero().squeeze(1).tolist()
    assert few.ids == tuple(whole.ids[row] for row in rows)
    assert torch.equal(few.images(5, 9), torch.stack([whole.images(row, row + 1)[0] for row in rows[5:9]]))
    assert few.class_names == ("0", "1", "2") and few.fingerprint != whole.fingerprint
    some = load_data("few:3:digits", limit=12)
    assert some.ids == load_data("few:3:digits", limit=30).ids[:12]
    assert some.labels is not None and set(some.labels.tolist()) == {0, 1, 2}


@pytest.mark.parametrize(
    ("load", "spec", "said"),
    [
        (load_data, "few:digits", "expected few:N:SPEC with at least 2 classes of other data, as few:2:digits"),
        (load_data, "few:1:digits", "expected few:N:SPEC"),
        (load_data, "few:11:digits", "expected data of at least 11 classes with names, got 10"),
        (load_data, "few:2:digist", "did you mean 'digits'"),
        (load_model, "sklearn:svn:digits", "unknown classifier 'svn' in 'sklearn:svn:digits'; did you mean 'svm'?"),
        (load_model, "sklearn:svm", "expected a classifier of scikit-learn as sklearn:KIND[,limit=N]:DATA"),
        (load_model, "sklearn:svm:digist", "did you mean 'digits'"),
    ],
)
def test_bad_names_are_one_line(load: object, spec: str, said: str) -> None:
    with pytest.raises(BrittleError) as error:
        load(spec)  # type: ignore[operator]
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("side", [7, 14, 21])
def test_smaller_networks_take_the_same_data_resized(side: int) -> None:
    one = ARCHITECTURES[f"fc100-100-10-at-{side}"]
    assert one.parameters == (side * side + 1) * 100 + 101 * 100 + 101 * 10
    assert one.fit.resized(28, 28, "it") == (side, side)


def test_a_maxout_unit_is_the_largest_of_its_pieces() -> None:
    torch.manual_seed(0)
    net, images = Maxout(9, [4], 3, 2), torch.rand(5, 1, 3, 3)
    layer = net.hidden[0]
    assert isinstance(layer, nn.Linear)
    every = images.flatten(1) @ layer.weight.T + layer.bias
    largest = torch.stack([every[:, 3 * unit : 3 * unit + 3].max(1).values for unit in range(4)], 1)
    torch.testing.assert_close(net(images), largest @ net.last.weight.T + net.last.bias)
    assert trainable("maxout240-240-10").parameters == 785 * 1200 + 241 * 1200 + 241 * 10


def test_rubbish_is_normal_noise_and_what_is_sure_is_counted(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text(
        'study = "rubbish"\ndata = "digits"\nlimit = 60\nmodels = [{ model = "digits-cnn" }]\n'
    )
    ran = cli("run", tmp_path / "run.toml", "--out", tmp_path / "run")
    assert ran.code == 0, ran.err
    records = read_records(tmp_path / "run")
    told: Told = tell(read_manifest(tmp_path / "run"), records)
    name, kind, sure_of, confidence, *_ = told.rows[0]
    records = records[records["kind"] == kind]
    sure = records[records["confidence"] > 0.5]
    assert (name, sure_of.count, sure_of.of) == ("digits-cnn", len(sure), 60)  # type: ignore[union-attr]
    assert confidence.value == pytest.approx(sure["confidence"].mean())  # type: ignore[union-attr]
    network = load_model("digits-cnn")
    seen = load_data("digits", limit=60).images(0, 60)
    own = network.logits(seen).softmax(1).amax(1)
    assert not torch.allclose(own, torch.tensor(records["confidence"].to_numpy()).float(), atol=0.05)
