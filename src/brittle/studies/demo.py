"""The offline demo: a small CNN trained on the spot on drawn traffic signs, fooled by changes that nobody sees."""

from brittle.run.spec import ModelSpec
from brittle.studies.audit import AuditSpec

ATTACKS = (
    "fgsm,eps=1/255:2/255:4/255:8/255",
    "pgd,eps=1/255:2/255:4/255",
    "minimal",
    "minimal,norm=linf",
)
IMAGES = 160


def demo_spec(seed: int) -> AuditSpec:
    """Draws, trains, attacks signs that were not trained on, and reports; a minute on two cores.

    In 8 bits: half a grey level of rounding is much beside what fools this network.
    """
    return AuditSpec(
        models=[ModelSpec(model="signs-cnn")],
        data="signs",
        limit=IMAGES,
        attacks=list(ATTACKS),
        levels=256,
        seed=seed,
    )
