"""The programs and commands of a document."""

from __future__ import annotations

import re
from pathlib import Path

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
NAME = re.compile(r"(?:#|//|/\*|<!--) (\S+\.\w+)")


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, in order."""
    return [code for named, code in BLOCK.findall(text) if named == language]


def files(text: str) -> dict[str, str]:
    """The files that a document gives: their names are in the first lines of the blocks.

    The first line may say more after some spaces, such as how to start the program.
    """
    found = {}
    for _, code in BLOCK.findall(text):
        if name := NAME.match(code):
            found[name[1]] = code
    return found


def write_files(text: str, folder: Path) -> None:
    """Write the files of a document into a folder."""
    for name, code in files(text).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(code)


def commands(text: str) -> list[str]:
    """The lines of all blocks of shell commands."""
    return [line for code in blocks(text, "sh") for line in code.splitlines()]
