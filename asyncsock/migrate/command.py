"""The command: shows the changes to a project or makes them, and lists what a person has to look at."""

from __future__ import annotations

import difflib
import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .tree import SourceFile

LINE = re.compile(r"[^\n]*\n|[^\n]+")
MISSING = "moving a project needs LibCST: pip install 'asyncsock[migrate]'"
DONE = 0
FAILED = 1


def migrate(path: Path, write: bool, say: Callable[[str], object]) -> int:
    """Show what moving a project takes, or do it.

    Args:
        path: a folder, or one Python file.
        write: whether to make the changes instead of showing them.
        say: what gets the output, in pieces that end with a newline.

    Returns:
        The exit status: 0, whether or not there is something to change; 1 if the project could not be read or
        written, or LibCST is missing.
    """
    if importlib.util.find_spec("libcst") is None:
        print(f"error: {MISSING}", file=sys.stderr)
        return FAILED
    from .mover import move

    try:
        files, unread = move(path)
        changed = [file for file in files if file.changed() != file.content]
        for file in changed:
            if write:
                file.write()
                say(f"changed {file.name}\n")
            else:
                say(_diff(file))
    except OSError as error:
        print(f"error: {error}", file=sys.stderr)
        return FAILED
    if not changed:
        say("Nothing to change.\n")
    remarks = _remarks(files, unread, write)
    if remarks:
        say(f"\nPlease look at these yourself:\n{remarks}")
    if changed and not write:
        say("\nNothing is written yet: --write makes these changes.\n")
    return DONE


def _remarks(files: list[SourceFile], unread: list[str], written: bool) -> str:
    lines = [
        f"{file.name}:{line}: {text}\n"
        for file in files
        for line, text in file.lines_to_look_at(written=written)
    ]
    lines += [
        f"{name}:1: This file is too large, or no text in its encoding, and was not looked at.\n"
        for name in unread
    ]
    return "".join(lines)


def _diff(file: SourceFile) -> str:
    before, after = (LINE.findall(text) for text in (file.content, file.changed()))
    lines = difflib.unified_diff(before, after, f"a/{file.name}", f"b/{file.name}")
    return "".join(
        line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines
    )
