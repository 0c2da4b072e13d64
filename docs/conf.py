"""How Sphinx builds the manual: `make docs` writes it to docs/_build."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from pathlib import Path

from sphinx.application import Sphinx

project = "asyncsock"
author = "the asyncsock authors"
copyright = author
version = release = installed_version("asyncsock")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build", "files"]
myst_heading_anchors = 4
myst_url_schemes = ["http", "https", "mailto", "path"]
html_theme = "furo"
html_title = f"asyncsock {release}"

HERE = Path(__file__).parent
LINK = re.compile(r"\]\(((?:\.\./)+[^)#\s]+)[^)\s]*\)")


def copy_what_is_outside(app: Sphinx, page: str, source: list[str]) -> None:
    """Have links to folders and Markdown files beside docs/ lead to copies, as links to other files do."""

    def link(found: re.Match[str]) -> str:
        target = (HERE / page).parent / found[1]
        inside = target.resolve().is_relative_to(HERE)
        if inside or not (target.is_dir() or target.suffix == ".md"):
            return found[0]
        return f"](path:{found[1]}{'/README.md' if target.is_dir() else ''})"

    source[0] = LINK.sub(link, source[0])


def setup(app: Sphinx) -> None:
    app.connect("source-read", copy_what_is_outside)
