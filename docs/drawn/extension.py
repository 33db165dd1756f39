"""What the documentation adds to Sphinx: formulas as MathML, pictures of planes and of digits, and whole HTML pages."""

import html
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from shutil import copy
from typing import Any, ClassVar, final

from docutils import nodes
from docutils.parsers.rst import directives
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.addnodes import download_reference
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from drawn import digits, scenes
from drawn.scene import SCENES

_ = scenes  # imported for its pictures


@final
class PlaneDirective(SphinxDirective):
    """``{plane} NAME``: a picture of ``drawn.scenes``, with the text below it as its caption."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0]
        if name not in SCENES:
            raise self.error(f"expected a picture, got {name!r}; there are {', '.join(sorted(SCENES))}")
        canvas = SCENES[name]()
        steps = "".join(f"<li>{html.escape(one)}</li>" for one in canvas.captions)
        told = f'<ol class="steps" hidden>{steps}</ol>' if len(canvas.captions) > 1 else ""
        return _figure(self, f'<div class="drawing">{canvas.svg()}{told}</div>', "plane")


@final
class DigitsDirective(SphinxDirective):
    """``{digits} ATTACK``: what an attack makes of four digits, with the text below it as the caption."""

    required_arguments = 1
    final_argument_whitespace = True
    has_content = True
    option_spec: ClassVar[dict[str, Any]] = {"film": directives.flag}

    def run(self) -> list[nodes.Node]:
        draw = digits.film if "film" in self.options else digits.before_and_after
        return _figure(self, draw(self.arguments[0]), "digits")


def _figure(directive: SphinxDirective, drawn: str, kind: str) -> list[nodes.Node]:
    """A drawing with its caption. Without a script or a style it is a picture and a paragraph."""
    for file in Path(__file__).parent.rglob("*.py"):  # what draws it has changed: so has the page
        directive.env.note_dependency(str(file))
    start = nodes.raw("", f'<figure class="{kind}">{drawn}<figcaption>', format="html")
    end = nodes.raw("", "</figcaption></figure>", format="html")
    return [start, *directive.parse_content_to_nodes(), end]


def _inline(self: Any, node: nodes.math) -> None:
    self.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def _block(self: Any, node: nodes.math_block) -> None:
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({node["number"]})</span>')
    self.body.append(tex2mathml(node.astext(), as_block=True) + "</div>\n")
    raise nodes.SkipNode


def _open_pages(app: Sphinx, document: nodes.document, name: str) -> None:
    """A link to one of the HTML pages that studies are kept as opens it, where Sphinx would offer to download it."""
    for node in list(document.findall(download_reference)):
        if node["reftarget"].endswith(".html"):
            page = nodes.reference("", "", *node.children, refuri=node["reftarget"].rpartition("/")[2], internal=True)
            node.replace_self(page)


def _in_points(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings say ``name: what it is. other: ...`` in a row; here each has a line of its own."""
    if what not in ("class", "function", "method"):
        return
    called = "|".join(inspect.signature(thing).parameters)  # type: ignore[arg-type]
    if not called:
        return
    start = rf"(?:(?<=^)|(?<=[.;)] ))(?=(?:{called})(?:, (?:{called}))*: )"
    paragraphs = [" ".join(part.split()) for part in "\n".join(lines).split("\n\n")]
    lines[:] = [line for text in paragraphs for line in _points(re.split(start, text))]


def _points(parts: list[str]) -> Iterator[str]:
    first, *others = parts
    if first:
        yield from (first, "")
    for part in others:
        names, _, text = part.partition(": ")
        text, _, raises = text.partition(" Raises ")
        yield f"- **{names}**: {text}"
        if raises:
            yield from ("", f"Raises {raises}")
    yield ""


def _kept_pages(app: Sphinx, failure: Exception | None) -> None:
    """Those pages, beside the page that lists them."""
    if failure is None:
        for page in (Path(app.srcdir) / "studies").glob("*.html"):
            copy(page, Path(app.outdir) / "studies")


def setup(app: Sphinx) -> dict[str, bool]:
    """For Sphinx."""
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.add_directive("plane", PlaneDirective)
    app.add_directive("digits", DigitsDirective)
    app.connect("doctree-read", lambda app, document: _open_pages(app, document, app.env.docname))
    app.connect("autodoc-process-docstring", _in_points)
    app.connect("build-finished", _kept_pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
