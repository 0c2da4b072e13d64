"""Pieces of Python in the manual run. Whole programs, named in their first lines, have tests of theirs."""

from __future__ import annotations

import asyncio
import builtins
import dis
import os
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import CodeType
from typing import Any, NamedTuple

import flask
import pytest

import asyncsock
from tests.support.server_process import ROOT

PAGES = [page for page in sorted(ROOT.glob("docs/**/*.md")) if "_build" not in page.parts]
BLOCK = re.compile(r"^( *)```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
PROGRAM = re.compile(r"# \S+\.py\b")
# Pieces that would change this process, or need more than is here, by their first lines: what runs them.
ELSEWHERE = {
    '"""Log lines in JSON, one object in a line."""': "observing/test_json_logs.py",
    "from asyncsock import SocketIO, emit": "test_docs.py",  # of examples/migrated
    "from flask_socketio import SocketIO, emit": "test_docs.py",
    "from opentelemetry import trace": "observing/test_traces_guide.py",
    "import asyncsock": "test_drop_in.py",
    "from asyncsock import SocketIO": "queues/test_emitters.py",
    'sentry_sdk.init(dsn="...")': "observing/test_sentry.py",
}


class Piece(NamedTuple):
    page: Path
    line: int
    code: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def pieces() -> Iterator[Piece]:
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            code = textwrap.dedent(block[2])
            first = code.splitlines()[0]
            if not PROGRAM.match(first) and first not in ELSEWHERE:
                yield Piece(page, text[: block.start()].count("\n") + 2, code)


def surroundings(code: str) -> dict[str, Any]:
    """What a reader has around a piece."""
    app = flask.Flask("page")
    names = {name: getattr(asyncsock, name) for name in asyncsock.__all__}
    names |= {
        name: getattr(flask, name)
        for name in ("Flask", "Response", "request", "send_from_directory", "session")
    }
    names |= {
        "asyncio": asyncio,
        "os": os,
        "copy_current_request_context": flask.copy_current_request_context,
    }
    names |= {"app": app, "create_app": lambda: app, "login_required": lambda view: view}
    names |= dict.fromkeys(("current_user", "members", "next_news", "read_rows"))
    return names if "SocketIO(" in code else names | {"socketio": asyncsock.SocketIO(app)}


def names_in(code: CodeType) -> set[str]:
    """The global names that code and the functions in it read."""
    found = {
        each.argval for each in dis.get_instructions(code) if each.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    }
    return found.union(*[names_in(const) for const in code.co_consts if isinstance(const, CodeType)])


@pytest.mark.parametrize("piece", list(pieces()), ids=str)
def test_a_piece_of_a_page_runs(piece: Piece, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_PASSWORD", "secret")
    names = surroundings(piece.code)
    code = compile(piece.code, str(piece.page), "exec")
    exec(code, names)
    known = {*names, *vars(builtins), "__annotations__"}  # the last is where a class keeps those of its body
    assert names_in(code) - known == set()


def test_what_runs_elsewhere_is_in_a_page_and_has_its_test() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    for first_line, test in ELSEWHERE.items():
        assert first_line in text
        assert (ROOT / "tests" / test).is_file()


def test_every_program_of_a_page_is_run_by_a_test() -> None:
    tests = "\n".join(file.read_text() for file in (ROOT / "tests").rglob("test_*.py"))
    for page in PAGES:
        if any(PROGRAM.match(block[2]) for block in BLOCK.finditer(page.read_text())):
            whose = "tutorial" if page.parent.name == "tutorial" else page.name
            assert f'"{whose}"' in tests, page


def test_the_program_of_the_first_page_chats() -> None:
    block = BLOCK.search((ROOT / "docs" / "index.md").read_text())
    assert block is not None
    names: dict[str, Any] = {"__name__": "app"}
    exec(block[2], names)
    one, two = (names["socketio"].test_client(names["app"]) for _ in range(2))
    one.emit("chat", "hello")
    assert two.get_received()[-1]["args"] == [{"user": None, "text": "hello"}]


def test_the_program_that_is_deployed_serves() -> None:
    block = BLOCK.search((ROOT / "docs" / "howto" / "deploy.md").read_text())
    assert block is not None
    names: dict[str, Any] = {"__name__": "app"}
    exec(block[2], names)
    assert names["asgi"].other_asgi_app is not None
