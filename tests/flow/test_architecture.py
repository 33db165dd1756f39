"""The shape of the code, kept by a walk over its syntax trees: imports point one way, and pieces stay small."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import brittle
from brittle.catalog import ATTACKS
from brittle.docs import attacks_markdown, defences_markdown, names_markdown
from brittle.flags import FLAGS, flags_markdown

SOURCE = Path(brittle.__file__).parent
DOCS = SOURCE.parents[1] / "docs"
MODULES = sorted(SOURCE.rglob("*.py"))

# Each room may import the rooms to its left.
ORDER = [
    "errors",
    "extras",
    "display",
    "loggers",
    "places",
    "checks",
    "text",
    "flags",
    "types",
    "devices",
    "heap",
    "goals",
    "rng",
    "pages",
    "geometry",
    "catalog",
    "visibility",
    "data",
    "corruption",
    "models",
    "defend",
    "attacks",
    "explain",
    "train",
    "records",
    "crafting",
    "run",
    "measure",
    "studies",
    "recipes",
    "report",
    "web",
]
# These see less than all that stands to their left; what joins the rooms stands on top, in the order of TOP.
SEES = {
    "errors": set(),
    "extras": {"errors"},
    "display": set(),
    "loggers": {"errors"},
    "places": {"errors"},
    "checks": {"errors", "places"},
    "text": set(),
    "flags": set(),
    "pages": {"errors", "places", "text"},
    "records": {"errors", "places", "types"},
    "measure": {"errors", "types", "display", "text", "flags", "geometry", "records"},
    "report": {"errors", "places", "types", "text", "flags", "measure", "records", "pages"},
}
TOP = ["api", "repeat", "testing", "pytest_plugin", "docs", "notebook", "view", "cli", "__main__"]

LINES_OF_A_FILE = 300
LINES_OF_A_FUNCTION = 60
PARAMETERS = 28  # `brittle audit` has as many options


def name_of(path: Path) -> str:
    """``run.engine`` for src/brittle/run/engine.py, ``run`` for src/brittle/run/__init__.py."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def room_of(module: str) -> str:
    return module.partition(".")[0]


def imports(path: Path) -> Iterator[str]:
    """The modules of brittle that a file imports, anywhere in it, without the leading ``brittle.``."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == 0 and room_of(node.module or "") == "brittle":
            inside = (node.module or "").removeprefix("brittle").lstrip(".")
            for alias in node.names:
                full = f"{inside}.{alias.name}".lstrip(".")
                is_module = (SOURCE / full.replace(".", "/")).with_suffix(".py").exists()
                yield full if is_module or not inside else inside
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("brittle").lstrip(".")
                for alias in node.names
                if room_of(alias.name) == "brittle"
            )
        elif isinstance(node, ast.ImportFrom) and node.level:
            raise AssertionError(f"{path} has a relative import")


def may_import(module: str, imported: str) -> bool:
    room, other = room_of(module), room_of(imported)
    if room == other:
        return True
    if room in SEES:
        return other in SEES[room]
    if room in ORDER:
        return other in ORDER and ORDER.index(other) < ORDER.index(room)
    if room in TOP:
        return other not in TOP or TOP.index(other) < TOP.index(room)
    return False


def test_every_room_has_its_place() -> None:
    rooms = {room_of(name_of(path)) for path in MODULES} - {""}
    assert rooms == {*ORDER, *TOP}


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path)], ids=name_of)
def test_imports_point_one_way(path: Path) -> None:
    wrong = [other for other in imports(path) if not may_import(name_of(path), other)]
    assert wrong == []


@pytest.mark.parametrize("path", [path for path in MODULES if name_of(path)], ids=name_of)
def test_rooms_keep_their_private_modules(path: Path) -> None:
    """A module or name with an underscore belongs to its folder."""
    folder = name_of(path).rpartition(".")[0]
    private = [
        other
        for other in imports(path)
        if any(part.startswith("_") for part in other.split(".")) and other.rpartition("._")[0] != folder
    ]
    assert private == []


@pytest.mark.parametrize(
    ("module", "imported", "allowed"),
    [
        ("geometry.norms", "models.classifier", False),
        ("models.zoo", "data.fit", True),
        ("data.parquet", "models.zoo", False),
        ("attacks.pgd", "run.engine", False),
        ("visibility.colour", "models.classifier", False),
        ("attacks.pgd", "visibility.colour", True),
        ("measure.summary", "records", True),
        ("measure.summary", "run.engine", False),
        ("measure.summary", "models.classifier", False),
        ("report.page", "geometry.norms", False),
        ("report.page", "measure", True),
        ("records.reading", "run.engine", False),
        ("errors", "types", False),
        ("run.engine", "measure", False),
        ("api", "cli", False),
        ("cli", "run", True),
        ("studies.audit", "report.page", False),
        ("studies.fit", "measure", True),
        ("elsewhere", "types", False),
    ],
)
def test_the_rule_itself(module: str, imported: str, allowed: bool) -> None:
    assert may_import(module, imported) is allowed


@pytest.mark.parametrize("path", MODULES, ids=lambda path: name_of(path) or "brittle")
def test_pieces_stay_small(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= LINES_OF_A_FILE
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{node.name} in {path.name}"
            assert (node.end_lineno or 0) - node.lineno < LINES_OF_A_FUNCTION, where
            given = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            assert len([one for one in given if one.arg not in ("self", "cls")]) <= PARAMETERS, where


def test_only_what_a_user_runs_by_hand_prints_to_the_terminal() -> None:
    for path in MODULES:
        if room_of(name_of(path)) != "cli":
            calls = [
                node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, ast.Call)
            ]
            assert not [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "print"], path


def test_every_flag_that_is_raised_is_explained() -> None:
    """``Flag("code", ...)`` and ``FlagRecord(code="code", ...)`` anywhere, with codes that stand in flags.py."""
    raised = set()
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id in ("Flag", "FlagRecord")
            ):
                codes = [*node.args[:1], *(keyword.value for keyword in node.keywords if keyword.arg == "code")]
                raised |= {one.value for one in codes if isinstance(one, ast.Constant)}
    assert len(raised) >= 15
    assert raised <= set(FLAGS)


def test_nothing_is_tied_to_the_place_where_it_was_written() -> None:
    for path in SOURCE.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            text = path.read_text(encoding="utf-8")
            assert "/work" + "/" not in text, path
            assert "shared" + "/data" not in text, path
            assert "/home/" not in text, path


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ("flags.md", flags_markdown()),
        ("attacks.md", attacks_markdown()),
        ("names.md", names_markdown()),
        ("defences.md", defences_markdown()),
    ],
)
def test_generated_pages_are_up_to_date(page: str, text: str) -> None:
    assert (DOCS / page).read_text(encoding="utf-8") == text, f"write docs/{page} again: its first lines say how"


@pytest.mark.parametrize("entry", ATTACKS.values(), ids=list(ATTACKS))
def test_every_attack_says_what_it_is(entry: brittle.catalog.AttackEntry) -> None:
    # A wrapper may be a matter of course; it has the norms and the kind of what it holds.
    wraps = entry.kind == "wrapper"
    assert entry.paper.startswith(("arXiv:", "doi:", "https://")) or (wraps and entry.paper == "-")
    assert 20 <= len(entry.summary) <= 120
    assert entry.summary.endswith(".")
    assert bool(entry.norms) == (entry.kind in ("budget", "minimal"))
    assert set(entry.goals) <= {"untargeted", "targeted"}
    for name, one in entry.fields().items():
        assert one.help, f"option {name} has no help"
    assert f"## {entry.name}\n" in attacks_markdown()
    assert hasattr(brittle.attacks, entry.type.__name__)
