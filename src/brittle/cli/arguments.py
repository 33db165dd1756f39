"""What is typed on the command line, read; a mistake is answered with what was expected. torch waits."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brittle.errors import BrittleError, did_you_mean
from brittle.places import place_of

if TYPE_CHECKING:
    from brittle.run.spec import ModelSpec


def at_least(least: int) -> Callable[[Any], int]:
    """Reads a whole number, and says what was expected and what was got."""

    def read(value: Any) -> int:
        text = str(value)
        if not text.removeprefix("-").isdecimal() or int(text) < least:
            raise typer.BadParameter(f"expected a whole number of at least {least}, got {text!r}")
        return int(text)

    return read


def one_of(*words: str) -> Callable[[Any], str]:
    """Reads one of a few words, and says what was expected and what was got."""

    def read(value: Any) -> str:
        if str(value) not in words:
            hint = did_you_mean(str(value), words)
            raise typer.BadParameter(f"expected {' or '.join(words)}, got {str(value)!r}{hint}")
        return str(value)

    return read


def workers_or_cluster(value: Any) -> int | str:
    """Reads a number of processes, or what stands for a Ray cluster."""
    text = str(value)
    return text if text.partition(":")[0] == "ray" else at_least(1)(text)


Attacks = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="NAME[,field=value...], repeatable; eps=0.01:0.02 sweeps. See: brittle attacks"),
]
Ways = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="NAME[,field=value...], or a preset: notes-v1, notes-v2; several, or a sweep, are compared; default:"
        " craft",
    ),
]
Level = Annotated[
    str | None,
    typer.Option(
        metavar="LEVEL",
        help="attacks to begin with: quick, standard or thorough; default: standard, where no --attack is given",
    ),
]
Norms = Annotated[
    list[str] | None,
    typer.Option(metavar="NORM", help="of the level: linf, l2, l1 or l0; repeatable; default: linf and l2"),
]
Budgets = Annotated[
    list[str] | None,
    typer.Option(metavar="SIZE", help="budget of the level, one for each --norm; default: what papers report"),
]

Out = Annotated[
    Path, typer.Option(parser=place_of, metavar="DIR", help="run directory; the same command again resumes it")
]
OutUnlessDry = Annotated[
    Path | None,
    typer.Option(
        "--out",
        parser=place_of,
        metavar="DIR",
        help="run directory; the same command again resumes it. A --dry-run needs none",
    ),
]
Seed = Annotated[int, typer.Option(parser=at_least(0), metavar="N", help="seed of every random draw")]
Directory = Annotated[Path, typer.Argument(parser=place_of, metavar="DIR", help="run directory")]
Model = Annotated[str, typer.Option(metavar="SPEC", help="model spec. See: brittle models")]
Models = Annotated[
    list[str], typer.Option("--model", metavar="SPEC", help="[NAME=]model spec, repeatable. See: brittle models")
]
Data = Annotated[str, typer.Option(metavar="SPEC", help="data spec. See: brittle data")]
_OF_MODEL = "; of several models, NAME="
Weights = Annotated[
    list[str] | None,
    typer.Option(metavar="FILE", help=f"weights (.safetensors, or a plain state dict){_OF_MODEL}FILE for each"),
]
Mean = Annotated[
    list[str] | None,
    typer.Option(metavar="A,B,C", help=f"the network's normalisation, instead of the published one{_OF_MODEL}A,B,C"),
]
Std = Annotated[list[str] | None, typer.Option(metavar="A,B,C", help="see --mean")]
Defences = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="NAME[,field=value...] before each model, repeatable, in this order. See: brittle defences",
    ),
]
DefenceData = Annotated[
    str | None,
    typer.Option(metavar="SPEC", help="clean images for defences that are fitted on some; not those that are attacked"),
]
Reject = Annotated[
    str | None,
    typer.Option(metavar="CLASS", help="name or index of the class that means: no answer; reaching it is no success"),
]
TrainedOn = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME=SET",
        help="what the training images of a model are called, repeatable; a transfer is told apart by them",
    ),
]
Transfer = Annotated[
    bool, typer.Option("--transfer", help="grade what is made for each model on every other too, beside noise")
]
At = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NORM=SIZE",
        help="with --transfer: also scale changes to this size, such as linf=8/255; repeatable; default: what papers"
        " report",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(parser=at_least(1), metavar="N", help="this many examples, evenly spaced over the data"),
]
BatchSize = Annotated[str, typer.Option(metavar="N", help="images for one pass: a number, or auto")]
Device = Annotated[str, typer.Option(metavar="NAME", help="auto, cpu or cuda")]
Precision = Annotated[
    Any,
    typer.Option(
        parser=one_of("fp32", "bf16"),
        metavar="NAME",
        help="fp32, or bf16: attacks under a budget take less time where the processor multiplies it; what they"
        " find is graded in fp32 all the same",
    ),
]
Targets = Annotated[
    list[str] | None,
    typer.Option(
        metavar="CLASS",
        help="goal: a class, least-likely, next-best, random, or untargeted; repeatable; default: untargeted",
    ),
]
KeptImages = Annotated[
    str, typer.Option(metavar="KEPT", help="adversarial images to keep: all, fooled, 8bit (rounded) or none")
]
EightBit = Annotated[
    bool, typer.Option("--eight-bit", help="every attack ends on an image that a PNG can hold, and is graded by it")
]
Workers = Annotated[
    Any,
    typer.Option(
        parser=workers_or_cluster,
        metavar="N",
        help="processes to share the work, or ray[:ADDRESS], a Ray cluster; the records do not change",
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="print the spec, the plan and an estimate of the time; write nothing")
]


def batch_size_of(text: str) -> int | None:
    """A number, or None for auto."""
    if text == "auto":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise BrittleError(f"expected --batch-size as a number of at least 1, or auto, got {text!r}")
    return int(text)


def asked_of(
    models: Sequence[str],
    weights: Sequence[str] | None,
    mean: Sequence[str] | None,
    std: Sequence[str] | None,
    data: str,
    limit: int | None,
    seed: int,
    batch_size: str,
    device: str,
    **own: Any,
) -> dict[str, Any]:
    """What the spec of a study of models and data is asked. own: what only this study has."""
    return {
        "models": models_of(models, weights, mean, std),
        "data": data,
        "limit": limit,
        "seed": seed,
        "batch_size": batch_size_of(batch_size),
        "device": device,
        **own,
    }


def models_of(
    models: Sequence[str],
    weights: Sequence[str] | None = None,
    mean: Sequence[str] | None = None,
    std: Sequence[str] | None = None,
    reject: str | None = None,
    trained_on: Sequence[str] | None = None,
    defences: Sequence[str] | None = None,
    defence_data: str | None = None,
) -> "list[ModelSpec]":
    """``NAME=SPEC`` and what belongs to each, as specs; without names there may be one model only."""
    from brittle.run.spec import ModelSpec

    pairs = [named(text) for text in models]
    names = [spec if name is None else name for name, spec in pairs]
    given = {
        option: _by_model(option, texts or (), names)
        for option, texts in (("--weights", weights), ("--mean", mean), ("--std", std), ("--trained-on", trained_on))
    }
    return [
        ModelSpec(
            model=spec,
            name=name,
            weights=None if key not in given["--weights"] else Path(given["--weights"][key]),
            mean=_numbers("--mean", given["--mean"].get(key)),
            std=_numbers("--std", given["--std"].get(key)),
            reject=reject,
            trained_on=given["--trained-on"].get(key),
            defences=list(defences or []),
            defence_data=defence_data,
        )
        for key, (name, spec) in zip(names, pairs, strict=True)
    ]


def weights_of(texts: Sequence[str], names: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """Files of the models of these names, as they were typed; and all others by the name before the equals sign."""
    mine, others = [], {}
    for text in texts:
        name, value = named(text)
        if name is None or name in names:
            mine.append(text)
        else:
            others[name] = value
    return mine, others


def named(text: str) -> tuple[str | None, str]:
    """(name, spec) of ``NAME=SPEC``; an equals sign behind a colon, a comma or a slash belongs to the spec."""
    found = re.fullmatch(r"([^=:,/]+)=(.+)", text)
    return (found[1], found[2]) if found else (None, text)


def _by_model(option: str, texts: Sequence[str], names: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        name, value = named(text)
        if name is None or name not in names:
            if len(names) > 1:
                known = f"NAME=... of {', '.join(names)}"
                hint = did_you_mean(name, names) if name else ""
                raise BrittleError(f"expected {option} of several models as {known}, got {text!r}{hint}")
            name, value = names[0], text
        if name in found:
            raise BrittleError(f"expected one {option} for {name}, got {found[name]!r} and {value!r}")
        found[name] = value
    return found


def _numbers(option: str, text: str | None) -> list[float] | None:
    """``0.5,0.5,0.5``, or None where nothing was given."""
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise BrittleError(f"expected {option} as numbers such as 0.5,0.5,0.5, got {text!r}") from None
