"""What wrappers ask of the attacks that they hold."""

from typing import Any

from brittle.catalog import label_of, traits_of
from brittle.errors import BrittleError


def check_norms(wrapper: object, *attacks: Any) -> None:
    """Refuses attacks that a wrapper would rank by their norm, while they keep something else small."""
    for one in attacks:
        if traits_of(one).kind == "faint":
            name = type(wrapper).__name__
            raise BrittleError(f"expected attacks that minimise a norm in {name}, got {label_of(one)}: visibility")
