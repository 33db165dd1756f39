"""Who does the work, from what users say."""

from brittle import checks
from brittle.errors import BrittleError
from brittle.run.on_ray import Ray
from brittle.run.workers import Executor, Local

RAY = "ray"

Workers = int | str | Executor
"""So many processes of this machine; "ray", or "ray:ADDRESS" of a cluster; or what else does units."""


def executor_of(workers: Workers) -> Executor:
    """BrittleError for what is none."""
    if not isinstance(workers, (int, str)) and hasattr(workers, "do"):
        return workers
    if not isinstance(workers, str):
        return Local(checks.whole("workers", workers, least=1))
    name, _, address = workers.partition(":")
    if name != RAY:
        raise BrittleError(f"expected a number of workers, ray or ray:ADDRESS, got {workers!r}")
    return Ray(address or None)
