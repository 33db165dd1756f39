"""What ``brittle doctor`` looks at: a line for each thing, with what to do about it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import torch
from rich.console import Console
from rich.text import Text

from brittle.extras import EXTRAS
from brittle.models.bfloat16 import quick_precision
from brittle.run.plan import versions
from brittle.studies.cached import cache_folder
from brittle.text import counted

GOOD, NOTE, BAD = "ok", "note", "bad"
_STYLES = {GOOD: "green", NOTE: "yellow", BAD: "bold red"}
_ENOUGH = 2 * 2**30  # bytes that a run of photographs may take


class Examined(NamedTuple):
    """One thing. state: bad is what keeps brittle from working. advice: nothing where nothing is to be done."""

    state: str
    what: str
    found: str
    advice: str = ""


def examined() -> Iterator[Examined]:
    """All of them, in the order in which a reader asks."""
    yield Examined(GOOD, "versions", ", ".join(f"{name} {number}" for name, number in versions().items()))
    yield _threads()
    yield from _devices()
    for extra in EXTRAS.values():
        if extra.missing:
            yield Examined(NOTE, f"extra {extra.name}", f"not installed: {extra.gives}", extra.command)
        else:
            yield Examined(GOOD, f"extra {extra.name}", extra.gives)
    yield _folder("cache", cache_folder(), "set BRITTLE_CACHE to a folder that is")
    yield _folder("temporary files", Path(tempfile.gettempdir()), "set TMPDIR to a folder that is")
    hub = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    yield _folder("data of the hub", hub, "set HF_HOME to a folder that is; only hf:REPO needs it", needed=False)


def _threads() -> Examined:
    cores, threads = len(os.sched_getaffinity(0)), torch.get_num_threads()
    found = f"{counted(threads, 'thread')} on {counted(cores, 'core')}"
    if threads < cores:
        named = next((name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ), None)
        advice = f"{named} says so; without it torch takes all" if named else f"--workers {cores} shares the work"
        return Examined(NOTE, "threads", found, advice)
    if threads > cores:
        return Examined(NOTE, "threads", found, f"more than cores wait for one another: OMP_NUM_THREADS={cores}")
    return Examined(GOOD, "threads", found)


def _devices() -> Iterator[Examined]:
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(index)
            yield Examined(GOOD, f"device cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB")
    else:
        built = torch.version.cuda or torch.version.hip
        why = "none that torch can use" if built else "this torch is built without"
        yield Examined(NOTE, "GPU", why, "everything runs on the CPU; `nvidia-smi` says whether there is one")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if quick_precision(device) == "bf16":
        yield Examined(
            GOOD, "bf16", f"multiplied by the {device} itself: trainings take it, audits with --precision bf16"
        )
    else:
        yield Examined(
            NOTE, "bf16", f"not multiplied by the {device} itself", "nothing: trainings and audits take float32"
        )


def _folder(what: str, place: Path, advice: str, *, needed: bool = True) -> Examined:
    """Whether a folder, or the nearest one above it that there is, can be written to, and what it has room for."""
    there = next(one for one in (place, *place.parents) if one.exists())
    try:
        with tempfile.TemporaryFile(dir=there):
            free = shutil.disk_usage(there).free
    except OSError as error:
        return Examined(BAD if needed else NOTE, what, f"{place} is not writable ({error.strerror})", advice)
    found = f"{place}, {free / 2**30:.0f} GiB free"
    return Examined(GOOD, what, found) if free >= _ENOUGH else Examined(NOTE, what, found, "little for photographs")


def print_examined(found: list[Examined]) -> None:
    """A line each; what is to be done stands at its end."""
    console = Console()
    width = max(len(one.what) for one in found)
    for one in found:
        line = Text.assemble((f"{one.state:<5}", _STYLES[one.state]), f"{one.what:<{width}}  {one.found}")
        if one.advice:
            line.append(f"; {one.advice}", style="bold")
        console.print(line, soft_wrap=True)
