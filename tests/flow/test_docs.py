"""The documentation: every page can be reached, every link leads somewhere, and its code does what it says."""

import ast
import doctest
import re
import shlex
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import pytest
import typer
from markdown_it import MarkdownIt
from markdown_it.token import Token

import brittle.attacks
from brittle.catalog import ATTACKS, FITTERS
from brittle.cli.app import app

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.rglob("*.md"))
TUTORIALS = [page for page in PAGES if page.parent.name in ("tutorials", "how-to")]

_ = brittle.attacks  # imported for its registrations


class Block(NamedTuple):
    """A code block: what is said of it, and its text."""

    info: str
    text: str


def flat(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from flat(token.children or [])


@cache
def tokens(text: str) -> list[Token]:
    """Of a page, with what stands below the pictures in it."""
    found = list(flat(MarkdownIt("commonmark").enable("table").parse(text)))
    captions = [one.content for one in found if one.type == "fence" and re.match(r"\{(plane|digits)\}", one.info)]
    return found + [token for one in captions for token in tokens(re.sub(r"^:\w+:.*\n", "", one))]


@cache
def read(page: Path) -> str:
    """A page, with what it includes in its place."""

    def included(match: re.Match[str]) -> str:
        text = (page.parent / match[1]).read_text()
        options = dict(re.findall(r'^:(start-after|end-before): "(.*)"$', match[2], re.MULTILINE))
        for key, mark in options.items():
            assert text.count(mark), f"{page}: {mark!r} is not in {match[1]}"
            text = text.partition(mark)[2 if key == "start-after" else 0]
        return text

    return re.sub(r"^```\{include\} (\S+)\n((?:.*\n)*?)```$", included, page.read_text(), flags=re.MULTILINE)


def blocks(page: Path) -> list[Block]:
    return [Block(one.info.strip(), one.content) for one in tokens(read(page)) if one.type in ("fence", "code_block")]


def headings(page: Path) -> list[list[Token]]:
    found = tokens(read(page))
    return [list(flat([after])) for one, after in pairwise(found) if one.type == "heading_open"]


@cache
def anchors(page: Path) -> set[str]:
    """As MyST makes them."""
    titles = ("".join(one.content for one in title if not one.children) for title in headings(page))
    return {re.sub(r"[^\w\- ]", "", title.strip().lower().replace(" ", "-")) for title in titles}


def objection(page: Path, target: str) -> str:
    """What is wrong with a link, or nothing."""
    if re.match(r"(https?|mailto):", target):
        return ""
    path, _, fragment = target.partition("#")
    there = (page.parent / path).resolve() if path else page
    if not there.is_file():
        return f"{page.relative_to(ROOT)}: there is no {path}"
    if fragment and fragment not in anchors(there):
        return f"{page.relative_to(ROOT)}: {there.name} has no #{fragment}"
    return ""


def test_every_link_leads_somewhere() -> None:
    targets = [
        (page, str(one.attrs.get("href", one.attrs.get("src", ""))))
        for page in PAGES
        for one in tokens(read(page))
        if one.type in ("link_open", "image")
    ]
    assert len(targets) > 100
    assert not list(filter(None, (objection(*one) for one in targets)))


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    page = DOCS / "explanation" / "pgd.md"
    assert objection(page, "nowhere.md") and objection(page, "fgsm.md#nowhere")
    assert not objection(page, "fgsm.md#fgsm") and not objection(page, "#pgd")


def test_every_page_is_in_a_table_of_contents() -> None:
    reached, waiting = set[Path](), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        reached.add(page)
        entries = (one.text for one in blocks(page) if one.info == "{toctree}")
        lines = [line for text in entries for line in text.splitlines() if line and not line.startswith(":")]
        waiting += [(page.parent / f"{line}.md").resolve() for line in lines]
    assert reached == set(PAGES)


def test_every_attack_is_explained() -> None:
    titles = [one.content for page in (DOCS / "explanation").glob("*.md") for title in headings(page) for one in title
              if one.type == "code_inline"]  # fmt: skip
    assert sorted(titles) == sorted([*ATTACKS, *FITTERS])


def test_every_picture_is_drawn_and_shown() -> None:
    infos = [one.info for page in PAGES for one in blocks(page)]
    shown = {info.removeprefix("{plane} ") for info in infos if info.startswith("{plane} ")}
    functions = (
        node
        for file in (DOCS / "drawn" / "scenes").glob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.FunctionDef)
    )
    drawn = {one.name.replace("_", "-") for one in functions if "scene" in map(ast.unparse, one.decorator_list)}
    assert shown == drawn
    for info in infos:
        if info.startswith("{digits} "):
            ATTACKS.one(info.removeprefix("{digits} "))


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_python_in_tutorials_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scope: dict[str, object] = {}
    for info, text in blocks(page):
        if info == "python":
            exec(text, scope)
        elif info == "pycon":
            example = doctest.DocTestParser().get_doctest(text, scope, page.stem, str(page), 0)
            runner = doctest.DocTestRunner(verbose=False)
            runner.run(example, clear_globs=False)
            scope = example.globs
            assert runner.summarize(verbose=False).failed == 0


def commands() -> Iterator[tuple[str, list[str]]]:
    """Command lines of code blocks, as they stand and in words."""
    for page in [*PAGES, ROOT / "README.md"]:
        if page.parent.name != "project":
            for one in blocks(page):
                for line in one.text.replace("\\\n", " ").splitlines():
                    if re.match(r"brittle [a-z]", line):
                        yield f"{page.name}: {line}", shlex.split(line, comments=True)[1:]


def test_options_in_command_lines_exist() -> None:
    seen, wrong = 0, list[str]()
    for line, words in commands():
        command = typer.main.get_command(app)
        while isinstance(subcommands := getattr(command, "commands", None), dict):
            if words[0] not in subcommands:
                break
            command = subcommands[words.pop(0)]
        options = {option for parameter in command.params for option in parameter.opts}
        wrong += [f"{word} in {line}" for word in words if word.startswith("--") and word not in options]
        wrong += [line] if command.name is None or hasattr(command, "commands") else []
        seen += 1
    assert seen > 40
    assert not wrong
