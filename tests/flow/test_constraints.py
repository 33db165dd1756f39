"""The files of pinned versions fit pyproject.toml, so that neither can drift from it."""

import re
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[2]
FILES = ("constraints.txt", "constraints-lowest.txt")


def wanted(extra: str = "dependencies|dev") -> dict[str, Requirement]:
    """The dependencies in pyproject.toml, those of the tests among them; or those of an extra."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(rf"^(?:{extra}) = \[(.*?)\]$", text, re.MULTILINE | re.DOTALL)
    assert len(lists) == 1 + extra.count("|")
    found = map(Requirement, re.findall(r'"(.+)"', "\n".join(lists).replace(", ", "\n")))
    return {canonicalize_name(one.name): one for one in found}


def pins(file: str) -> dict[str, Requirement]:
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines()]
    return {canonicalize_name(one.name): one for one in map(Requirement, filter(None, lines))}


def version(pin: Requirement) -> Version:
    (only,) = pin.specifier
    assert only.operator == "==", f"{pin} is no pin"
    return Version(only.version)


@pytest.mark.parametrize("file", FILES)
def test_names_and_versions_only(file: str) -> None:
    for pin in pins(file).values():
        assert pin.url is None and not pin.extras and version(pin)


@pytest.mark.parametrize("file", FILES)
def test_every_dependency_is_pinned_within_its_bounds(file: str) -> None:
    pinned, dependencies = pins(file), wanted()
    assert not set(dependencies) - set(pinned)
    assert not [
        f"{pinned[name]} for {one}" for name, one in dependencies.items() if version(pinned[name]) not in one.specifier
    ]


def test_the_documentation_is_built_with_pins() -> None:
    pinned = pins("docs/constraints.txt")
    assert not set(pinned) & set(pins("constraints.txt"))
    for name, one in wanted("docs").items():
        assert version(pinned[name]) in one.specifier


def test_the_lowest_are_the_lower_bounds() -> None:
    pinned = pins("constraints-lowest.txt")
    for name, one in wanted().items():
        (lower,) = one.specifier
        assert lower.operator == ">="
        # Up to the digits that the bound has: 2.2.0.240218 of pandas-stubs for 2.2.
        bound, pin = Version(lower.version).release, version(pinned[name]).release
        assert pin[: len(bound)] == bound and not any(pin[len(bound) : 3]), f"{pinned[name]} for {one}"
