"""The pytest plugin: a fixture, found by its entry point wherever brittle is installed. torch waits for its use."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_robust(record_property: Callable[[str, object], None]) -> Callable[..., Any]:
    """``brittle.assert_robust``; what it measures also stands in the JUnit XML, as properties of the test."""
    from brittle.testing import assert_robust as asserted

    def asserting(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        measured = asserted(*args, **options)
        for key in ("value", "low", "high", "of"):
            record_property(f"robust_accuracy.{key}", getattr(measured, key))
        return measured

    return asserting
