"""The pytest plugin: a fixture, found by its entry point wherever brittle is installed. torch waits for its use."""

from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def assert_robust(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """``brittle.assert_robust``; what it measures also stands in the JUnit XML, as properties of the test."""
    from brittle.testing import assert_robust as asserted

    def asserting(*args: Any, **options: Any) -> Any:
        __tracebackhide__ = True
        measured = asserted(*args, **options)
        said = ((f"robust_accuracy.{key}", getattr(measured, key)) for key in ("value", "low", "high", "of"))
        request.node.user_properties.extend(said)
        return measured

    return asserting
