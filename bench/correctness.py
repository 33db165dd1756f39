"""What the audit's records claim, checked again without brittle's own machinery."""

from pathlib import Path

import torch
from safetensors.torch import load_file

from bench.audit import LIMIT, audited
from bench.report import Check, Section, Table
from bench.setting import Normalised, resnet20
from brittle.run.engine import Run

GOAL = 0.999


def section(directory: Path) -> Section:
    run = audited(directory)[-1].run
    classifier = resnet20()
    net = Normalised(classifier.net.eval(), classifier)
    rows, rates = [], {}
    claims = refuted = outside = 0
    for spec in run.manifest.attacks:
        records = run.records.query("attack == @spec.label")
        low, high, away = _fresh(run, spec.slug, net, records["label"].tolist())
        claimed = torch.tensor(records["claimed"].to_numpy())
        fooled = torch.tensor(records["fooled"].to_numpy())
        right = torch.tensor((records["clean_prediction"] == records["label"]).to_numpy())
        wrong = int((claimed & ~(fooled & away)).sum())
        claims += int(claimed.sum())
        refuted += wrong
        outside += int(not (low >= 0 and high <= 1))
        rates[spec.label] = float((fooled & away & right).sum() / right.sum())
        pixels = f"{low:.6f} to {high:.6f}"
        rows.append((spec.label, str(int(claimed.sum())), str(wrong), f"{rates[spec.label]:.2%}", pixels))
    least = min(rate for label, rate in rates.items() if label.startswith("deepfool"))
    return Section(
        title="Correctness of the audit",
        checks=(
            Check("claimed successes confirmed", "all", f"{claims - refuted} of {claims}", refuted == 0),
            Check("attacks with a pixel outside [0, 1]", "0", str(outside), outside == 0),
            Check("DeepFool's fooling rate", f"≥ {GOAL:.1%}", f"{least:.2%}", least >= GOAL),
        ),
        tables=(Table(("attack", "claimed", "not confirmed", "fooling rate", "pixels"), tuple(rows)),),
        notes=(
            f"{LIMIT} images. Confirmed by the records and by a pass of the stored images through the plain network,"
            " built here. Rates are of the images classified correctly without attack.",
        ),
        facts={"fooling rates": rates},
    )


def _fresh(run: Run, slug: str, net: Normalised, labels: list[int]) -> tuple[float, float, torch.Tensor]:
    """(smallest pixel, largest pixel, bool [N]: the plain network does not see the label) of the stored images."""
    shards = sorted((run.directory / "images" / slug).glob("*.safetensors"))
    images = torch.cat([load_file(shard)["images"] for shard in shards])
    with torch.no_grad():
        predictions = torch.cat([net(part).argmax(1) for part in torch.split(images, 100)])
    return float(images.min()), float(images.max()), predictions != torch.tensor(labels)
