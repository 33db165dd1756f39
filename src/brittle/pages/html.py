"""One HTML file that works without a network, runs no script but its own, and trusts nothing that came from outside."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from brittle.pages.pictures import Key, Pair, Trio, trios

HERE = Path(__file__).parent
LIMIT = 4_900_000
"""Bytes that a page may have; pictures shrink to keep it."""

_BREAK = re.compile(r"([(,])")  # where the name of an attack may go on in another line


def page(
    room: Path, template: str, context: Mapping[str, Any], *, styles: Sequence[str] = (), scripts: Sequence[str] = ()
) -> str:
    """A template of a room, or of this one, as text. styles: names of its style sheets. scripts: texts that may run.

    Templates extend ``base.html.j2``. Autoescape holds for everything; only the packages' own styles and scripts are
    marked as safe, and the page's policy lets nothing else run or load.
    """
    style = "\n".join((place / name).read_text(encoding="utf-8") for place, name in _sheets(room, styles))
    own = {
        "style": Markup(style),
        "scripts": [Markup(script) for script in scripts],
        "script_hashes": [policy_hash(script) for script in scripts],
    }
    return rendered(room, template, {"made_by": _made_by()} | dict(context) | own)


def rendered(room: Path, template: str, context: Mapping[str, Any]) -> str:
    """A template of a room, or of this one, as text, with autoescape for everything."""
    made = _environment(room).get_template(template).render(context)
    return made.encode("utf-8", "replace").decode("utf-8")  # a file's name may hold bytes that are no text


@cache
def _environment(room: Path) -> Environment:
    """Kept, as compiling a template takes longer than all the rest of a page."""
    environment = Environment(
        loader=FileSystemLoader([room, HERE]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["nbsp"] = lambda text: str(text).replace(" %", "\u00a0%")
    environment.filters["wbr"] = lambda text: Markup(_BREAK.sub(r"\1<wbr>", str(escape(text))))
    return environment


def within_limit(render: Callable[[dict[Key, Trio]], str], pairs: Mapping[Key, Pair], side: int) -> str:
    """The page with pictures as large as it has room for, at most ``side`` pixels a side."""
    around = 1_000 * len(pairs)  # what stands around each
    made = render(trios(pairs, side, LIMIT))
    if len(made.encode("utf-8")) <= LIMIT // 2 - around:
        return made  # as most pages: with that much to spare, pictures would be the same within the room there is
    return render(trios(pairs, side, LIMIT - len(render({}).encode("utf-8")) - around))


def policy_hash(script: str) -> str:
    """How a Content-Security-Policy names a script that may run: nothing else does, wherever it comes from."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode("utf-8")).digest()).decode("ascii")


def _sheets(room: Path, names: Sequence[str]) -> list[tuple[Path, str]]:
    return [(HERE, "base.css"), *((room, name) for name in names)]


def _made_by() -> str:
    try:
        return f"brittle {version('brittle')}"
    except PackageNotFoundError:
        return "brittle"
