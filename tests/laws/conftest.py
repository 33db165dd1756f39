import pytest

pytest.register_assert_rewrite("laws.contract")

from laws.worlds import World, trained_world  # noqa: E402


@pytest.fixture(scope="session")
def world() -> World:
    return trained_world()
