"""How Sphinx builds the documentation: `make docs`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # for what these pages draw

project = "brittle"
copyright = "the authors of brittle"
version = release = version_of("brittle")

extensions = ["myst_parser", "sphinx.ext.autodoc", "drawn.extension"]
myst_enable_extensions = ["dollarmath", "amsmath", "colon_fence"]
myst_heading_anchors = 4
suppress_warnings = ["myst.header"]  # pages that are written from registries have their sections below a title

html_theme = "furo"
html_title = "brittle"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["drawn.css"]
html_js_files = [("drawn.js", {"defer": "defer"})]
html_copy_source = False
html_show_sphinx = False
html_theme_options = {"navigation_with_keys": True}
