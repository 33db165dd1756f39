"""What more there is with more installed: the extras of the package, and how to get one."""

from dataclasses import dataclass
from importlib.util import find_spec
from typing import final

from brittle.errors import BrittleError


@final
@dataclass(frozen=True, slots=True)
class Extra:
    """What ``pip install 'brittle[NAME]'`` brings. modules: by which it is known to be there. gives: for whom it is."""

    name: str
    modules: tuple[str, ...]
    gives: str
    instead: str = ""  # of the command, where an extra cannot say it

    @property
    def command(self) -> str:
        """What to type to get it."""
        return self.instead or f"pip install 'brittle[{self.name}]'"

    @property
    def missing(self) -> list[str]:
        """The modules that are not there."""
        return [one for one in self.modules if find_spec(one) is None]


EXTRAS = {
    one.name: one
    for one in (
        Extra("advlib", ("adv_lib",), "attacks called advlib:NAME"),
        Extra("art", ("art",), "attacks called art:NAME"),
        Extra("foolbox", ("foolbox",), "attacks called foolbox:NAME"),
        Extra("lpips", ("lpips",), "LPIPS among the measures of what is crafted"),
        Extra("onnx", ("onnxruntime",), "models called onnx:FILE"),
        Extra("ray", ("ray",), "units on a cluster, --workers ray"),
        Extra("remote", ("upath",), "run directories in a storage, --out s3://..."),
        Extra("robustbench", ("robustbench",), "models called robustbench:NAME"),
        Extra("timm", ("timm",), "models called timm:NAME"),
        Extra(
            "torchattacks",
            ("torchattacks",),
            "attacks called torchattacks:NAME",
            # It pins a version of requests that others here cannot work with, and does not need it to attack.
            "pip install --no-deps torchattacks",
        ),
        Extra("train", ("lightning_fabric",), "brittle train, and recipes that train"),
        Extra("transformers", ("transformers",), "models called hf:REPO"),
        Extra("view", ("starlette", "uvicorn", "duckdb"), "brittle view, the explorer in the browser"),
    )
}


def needed(name: str, what: str) -> None:
    """BrittleError, with the command, where what an extra brings is not there; what: asks for it."""
    extra = EXTRAS[name]
    if extra.missing:
        raise BrittleError(f"{what}, and {extra.missing[0]} is not installed: {extra.command}")
