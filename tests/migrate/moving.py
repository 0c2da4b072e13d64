"""Moves small projects that tests write down."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from asyncsock.migrate.mover import move

FLASK_APP = """\
from flask import Flask
from flask_socketio import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
"""
MOVED_APP = """\
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app
"""


@dataclass
class Moved:
    """A project after the move.

    Args:
        files: the texts of its files by their names.
        remarks: what a person is told to look at, as ``app.py:3: text``, in the files as they are then.
        changed: the names of the files that were changed.
    """

    files: dict[str, str]
    remarks: list[str]
    changed: list[str]

    def __getitem__(self, name: str) -> str:
        return self.files[name]

    def only_remark(self) -> str:
        assert len(self.remarks) == 1, self.remarks
        return self.remarks[0]


def project(folder: Path, files: Mapping[str, str | bytes]) -> None:
    """Write a project down. Texts lose the indentation that all their lines share."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else textwrap.dedent(content).encode())


def moved(folder: Path, files: Mapping[str, str | bytes]) -> Moved:
    """Write a project down, and move it. A second move must find nothing to change."""
    project(folder, files)
    read, unread = move(folder)
    assert unread == []
    remarks = [
        f"{file.name}:{line}: {text}" for file in read for line, text in file.lines_to_look_at(written=True)
    ]
    changed = [file for file in read if file.changed() != file.content]
    for file in changed:
        file.write()
    assert [file.name for file in move(folder)[0] if file.changed() != file.content] == []
    texts = {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8", "replace")
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    return Moved(texts, remarks, [file.name for file in changed])


def moved_file(folder: Path, source: str) -> Moved:
    """Move a project of one module, app.py."""
    return moved(folder, {"app.py": source})
