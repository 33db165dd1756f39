"""A step towards an alternate label on a linear network, where it is known in closed form."""

import pandas as pd
import torch
from torch import Tensor, nn

from brittle.measure.intervals import mcnemar
from brittle.models import Network
from brittle.records import Manifest, ModelRecord
from brittle.run.sources import Shard
from brittle.studies.alternate import AlternateSpec, tell, work


class Linear(nn.Module):
    """Class 0 where the left half is brighter."""

    def forward(self, images: Tensor) -> Tensor:
        left, right = images[..., :2].sum((1, 2, 3)), images[..., 2:].sum((1, 2, 3))
        return torch.stack([left - right, right - left], 1)


def test_the_step_and_the_noise_are_as_large_as_they_should_be() -> None:
    """Margins of 0.5, 1 and 3.5 against a step that takes 1.6 at most off: two of three fall."""
    network = Network(Linear(), class_names=["left", "right"])
    images = torch.full((3, 1, 4, 4), 0.5)
    images[:, :, 0, 0] += torch.tensor([0.5, 0.5, 0.5]).view(3, 1)
    images[1, :, 1, 0] += 0.5
    images[2, :, 1:, :2] += 0.5
    labels = torch.tensor([0, 0, 0])
    shard = Shard(("a", "b", "c"), 0, images, labels, network.logits(images))
    eps = 0.1
    made = work(AlternateSpec(models=[], data="", eps=eps, pictures=1), network, shard)
    margins = images[..., :2].sum((1, 2, 3)) - images[..., 2:].sum((1, 2, 3))
    falls = (margins - 16 * eps < 0).long()  # no pixel of those that grow is at the edge of the box
    assert made.columns["alternate"] == [1, 1, 1]
    assert made.columns["after"] == falls.tolist() == [1, 1, 0]
    assert torch.allclose(torch.tensor(made.columns["distance"]), torch.full((3,), 4 * eps), rtol=1e-3)
    assert set(made.files) == {f"000000-{kind}.png" for kind in ("image", "gradient", "after", "noise")}


def test_networks_are_paired_image_by_image() -> None:
    """One is right on 8 that the other misses, and never the other way round."""
    one = pd.DataFrame({"example": [str(k) for k in range(10)], "label": 0, "before": 0, "after": 1, "noise": 0})
    one = one.assign(model="one", alternate=1, position=range(10), shown=False)
    other = one.assign(model="two", before=[1] * 8 + [0] * 2)
    models = [ModelRecord.model_construct(name=name, slug=name, class_names=["a", "b"]) for name in ("one", "two")]
    plan = Manifest.model_construct(models=models, settings={"eps": 0.1})
    told = tell(plan, pd.concat([one, other]))
    found = next(row for row in told.rows if row[:2] == ("one beside two", "as they are"))
    assert str(found[3]).startswith("right by one alone 8, by two alone 0;")
    assert mcnemar(8, 0) == 2 / 2**8
    assert str(found[3]).endswith("p 0.00781")
