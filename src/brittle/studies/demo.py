"""The offline demo: a small CNN trained on the spot on drawn traffic signs, attacked in every norm."""

from brittle.run.spec import ModelSpec
from brittle.studies.audit import AuditSpec

ATTACKS = (
    "fgsm,eps=1/255:2/255:4/255:8/255",
    "pgd,eps=1/255:2/255:4/255",
    "minimal",
    "minimal,norm=linf",
    "minimal,norm=l1",
    "minimal,norm=l0",
)


def demo_spec(seed: int) -> AuditSpec:
    """Draws, trains, attacks signs that were not trained on, and reports; a minute on two cores."""
    return AuditSpec(models=[ModelSpec(model="signs-cnn")], data="signs", attacks=list(ATTACKS), seed=seed)
