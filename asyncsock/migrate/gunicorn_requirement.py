"""uvicorn's worker for gunicorn: a package of its own, which is required where gunicorn is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from .edits import Edit
from .requirements import COMPILED, LINES, NO_COMMANDS
from .tree import SourceFile


def add_worker(files: Iterable[SourceFile]) -> bool:
    """Require uvicorn-worker where gunicorn is required; returns whether it is anywhere."""
    added = [_add(file) for file in files]
    return any(added)


def _add(file: SourceFile) -> bool:
    """Put uvicorn-worker behind gunicorn, where that is a requirement; returns whether it is one."""
    found = False
    for offset, end, form in _places_of_gunicorn(file):
        found = True
        text = file.text
        if form == "line":
            line_end = text.line_end(offset)
            indentation = file.content[text.line_start(offset) : offset]
            newline = "" if file.content[:line_end].endswith(("\n", "\r")) else text.newline
            behind = text.newline if not newline else ""
            file.edits.append(Edit(line_end, line_end, f"{newline}{indentation}uvicorn-worker{behind}"))
        elif form == "key":
            line_end = text.line_end(offset)
            file.edits.append(Edit(line_end, line_end, f'uvicorn-worker = "*"{text.newline}'))
        elif form == "word":
            file.edits.append(Edit(end, end, " uvicorn-worker"))
        else:
            start = text.line_start(offset)
            own = not file.content[start : offset - 1].strip()
            gap = text.newline + file.content[start : offset - 1] if own else " "
            quote = file.content[offset - 1]
            file.edits.append(Edit(end + 1, end + 1, f",{gap}{quote}uvicorn-worker{quote}"))
    return found


def _places_of_gunicorn(file: SourceFile) -> Iterator[tuple[int, int, str]]:
    name = file.name.rpartition("/")[2].lower()
    if LINES.search(file.name.lower()) or name == "setup.cfg":
        pattern, form = r"(?im)^[ \t]*(gunicorn\b(?![\w.-])[^#\r\n;]*)", "line"
        if COMPILED.search(file.content) or (name == "setup.cfg" and "install_requires" not in file.content):
            return
    elif name in ("pyproject.toml", "setup.py"):
        for found in re.finditer(
            r"(?i)(?<=[\"'])(gunicorn(?:\[[^\]]*\])?\s*(?:[<>=!~][^\"']*)?)(?=[\"']\s*[,\]\r\n])",
            file.content,
        ):
            yield found.start(1), found.end(1), "quoted"
        pattern, form = r"(?im)^(gunicorn\s*=\s*[^\r\n]*)", "key"
    elif name == "pipfile":
        pattern, form = r"(?im)^(gunicorn\s*=\s*[^\r\n]*)", "key"
    elif file.name.endswith(NO_COMMANDS):
        return
    else:
        pattern = (
            r"(?im)\b(?:pip3?|uv)[ \t]+(?:install|add|pip install)\b[^\r\n;&|#]*?(?<=[ "
            r"\t])([\"']?gunicorn(?:\[[^\]\s]*\])?(?:[<>=~!]=?[\w.*]+)?[\"']?)(?=\s|$)"
        )
        form = "word"
    for found in re.finditer(pattern, file.content):
        yield found.start(1), found.end(1), form
