"""How Sphinx builds the manual: `make docs` writes it to docs/_build."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from docutils.nodes import TextElement
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.ext.napoleon import Config, GoogleDocstring

from asyncsock import __version__

project = "asyncsock"
author = "the asyncsock authors"
copyright = author
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "files"]
html_theme = "furo"
html_title = f"asyncsock {release}"
html_theme_options = {"top_of_page_buttons": []}
html_static_path = ["files/static"]
html_css_files = ["manual.css"]
html_copy_source = False

myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "path"]

default_role = "py:obj"  # `name` in a docstring is a link, and a broken one is an error
nitpick_ignore_regex = [("py:class", ".*"), ("py:exc", ".*")]  # the types of signatures, which may be private
python_maximum_signature_line_length = 80
autodoc_mock_imports = ["opentelemetry"]  # which is no part of the extra for the manual
toc_object_entries_show_parents = "hide"

HERE = Path(__file__).parent
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)[^)\s]*\)")


class Docstring(GoogleDocstring):
    """A docstring in whose "Returns:" no type is before a colon, and whose "Example:" is a program."""

    def _consume_returns_section(self, preprocess_types: bool = False) -> list[tuple[str, str, list[str]]]:
        return [("", "", self._dedent(self._consume_to_next_section()))]

    def _parse_examples_section(self, section: str) -> list[str]:
        lines = self._dedent(self._consume_to_next_section())
        return ["Example::", "", *self._indent(lines, 4), ""]


def read_sections(app: Sphinx, what: str, name: str, thing: Any, options: Any, lines: list[str]) -> None:
    """Turn "Args:", "Returns:" and their kin into what Sphinx reads."""
    kind = "method" if what == "property" else what  # as above: in a property, too, a colon is just that
    config = Config(napoleon_use_ivar=True, napoleon_attr_annotations=False)
    lines[:] = Docstring(lines, config, app, kind, name, thing, options).lines()


def copy_what_is_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Have links to folders and Markdown files beside docs/ lead to copies, as links to other files do."""

    def link(found: re.Match[str]) -> str:
        target = (HERE / page).parent / found[1]
        inside = target.resolve().is_relative_to(HERE)
        if inside or not (target.is_dir() or target.suffix == ".md"):
            return found[0]
        return f"](path:{found[1]}{'/README.md' if target.is_dir() else ''})"

    source[0] = LINK.sub(link, source[0])


def find_in_package(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: TextElement) -> Any:
    """What a docstring of any module means by a public name without its module."""
    if node["reftype"] != "obj":
        return None
    names = [f"{module}.{node['reftarget']}" for module in ("asyncsock", "asyncsock.engine")]
    domain, page = env.domains["py"], node["refdoc"]
    found = (domain.resolve_xref(env, page, app.builder, "obj", name, node, text) for name in names)
    return next((link for link in found if link is not None), None)


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-docstring", read_sections)
    app.connect("missing-reference", find_in_package)
    app.connect("source-read", copy_what_is_outside)
