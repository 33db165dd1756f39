"""The offline demo: a small CNN trained on the spot on scikit-learn's digits, attacked in every norm."""

from brittle.run.spec import ModelSpec
from brittle.studies.audit import AuditSpec

ATTACKS = (
    "fgsm,eps=0.02:0.05:0.1:0.2:0.3",
    "pgd,eps=0.02:0.05:0.1:0.2:0.3",
    "deepfool",
    "deepfool,norm=linf",
    "minimal",
    "minimal,norm=linf",
    "minimal,norm=l1",
    "minimal,norm=l0",
)


def demo_spec(seed: int) -> AuditSpec:
    """Trains, attacks the held-out digits and reports; seconds on two cores."""
    return AuditSpec(models=[ModelSpec(model="digits-cnn")], data="digits", attacks=list(ATTACKS), seed=seed)
