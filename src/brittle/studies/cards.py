"""What a finished training is written down as: its card, its records, and the same as CSV."""

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
import torch
from torch.utils.flop_counter import FlopCounterMode

from brittle.catalog import label_of
from brittle.data.examples import Examples
from brittle.measure import rate
from brittle.models.card import Accuracy, Card, Makings, weights_digest
from brittle.models.network import Network
from brittle.records import TRAINED
from brittle.run.plan import versions
from brittle.train.classifier import Setting, Trained

_AT_ONCE = 1_000
JUDGED = 2_000
"""Test images that a network is judged by after each epoch but the last one, which is followed by all."""


def judged(network: Network, test: Examples) -> Accuracy:
    """How many of the test images are classified correctly, in float32 by the plain network, as an audit grades."""
    right = 0
    for start in range(0, len(test), _AT_ONCE):
        images = test.images(start, start + _AT_ONCE).to(network.device)
        predicted = network.logits(images, plain=True).argmax(1).cpu()
        right += int((predicted == test.labels[start : start + _AT_ONCE]).sum())  # type: ignore[index]
    found = rate(right, len(test))
    return Accuracy(value=right / len(test), right=right, of=len(test), low=found.low or 0.0, high=found.high or 1.0)


def card_of(
    architecture: str, on: str, network: Network, made: Trained, setting: Setting, train: Examples, test: Examples
) -> Card:
    """The card of a network that was trained on some examples, judged by the test examples now."""
    image = test.images(0, 1)
    channels, height, width = image.shape[1:]
    gflops = _gflops(network, image)
    normalised = setting.normalised
    return Card(
        makings=Makings(
            architecture=architecture,
            class_names=list(network.class_names or ()),
            channels=channels,
            height=height,
            width=width,
            mean=list(normalised.mean),
            std=list(normalised.std),
        ),
        weights=weights_digest(made.state),
        parameters=sum(one.numel() for one in network.net.parameters() if one.requires_grad),
        accuracy=judged(network, test),
        recipe=label_of(setting.recipe),
        seed=setting.seed,
        data=train.source,
        on=on,
        images=len(train),
        data_fingerprint=train.fingerprint,
        test_data=test.source,
        test_fingerprint=test.fingerprint,
        epochs=setting.recipe.epochs,
        stopped=made.stopped,
        precision=setting.precision,
        device=setting.device,
        gflops=gflops,
        training_gflops=3 * gflops * len(train) * setting.recipe.epochs,
        seconds=made.seconds,
        versions=versions(),
    )


def _gflops(network: Network, image: torch.Tensor) -> float:
    was = network.net.training
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network.net.eval()(network.normalisation.applied(image.to(network.device)))
    network.net.train(was)
    return float(counter.get_total_flops()) / 1e9


def table_of(key: str, card: Card, made: Trained, held_out: int) -> pa.Table:
    """A row for each epoch; the last one has the card's accuracy."""
    counts = [(round(row["held_out"] * held_out), held_out) for row in made.rows]
    counts[-1] = (card.accuracy.right, card.accuracy.of)
    rows: list[Mapping[str, Any]] = [
        {
            "network": key,
            "architecture": card.makings.architecture,
            "on": card.on,
            "seed": card.seed,
            "parameters": card.parameters,
            "gflops": card.gflops,
            "epoch": int(row["epoch"]),
            "rate": row["rate"],
            "loss": row["loss"],
            "accuracy": row["accuracy"],
            "robust": row.get("robust"),
            "held_out_right": right,
            "held_out": of,
            "seconds": row["seconds"],
            "stopped": made.stopped if row is made.rows[-1] else None,
        }
        for row, (right, of) in zip(made.rows, counts, strict=True)
    ]
    return pa.Table.from_pylist(rows, schema=TRAINED)


def csv_of(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Rows of numbers as a file that any program reads."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()
