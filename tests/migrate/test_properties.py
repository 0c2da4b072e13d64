"""What holds for any source: what has nothing to move stays, and what has been moved is moved."""

from __future__ import annotations

import ast
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from asyncsock.migrate.edits import Span, Text, without_items
from asyncsock.migrate.edits import apply as changed
from asyncsock.migrate.mover import move
from tests.migrate.moving import FLASK_APP

# Pieces that mean something to the mover, in orders that nobody would write.
LINES = st.sampled_from(
    [
        "import flask_socketio",
        "import flask_socketio as fs, os",
        "from flask_socketio import SocketIO, emit",
        "from flask_socketio import *",
        "from flask import Flask",
        "import eventlet, sys",
        "import eventlet; eventlet.monkey_patch()",
        "from gevent import monkey",
        "import gevent.monkey",
        "monkey.patch_all()  # first",
        "gevent.monkey.patch_all()",
        "gevent.spawn(f)",
        "app = Flask(__name__)",
        "socketio = SocketIO(app, async_mode='eventlet')",
        "socketio = flask_socketio.SocketIO(app)",
        "socketio = SocketIO()",
        "socketio.init_app(app, async_mode=None, path='x',)",
        "socketio.run(app, log=None, port=1, allow_unsafe_werkzeug=True, spawn=2)",
        "asgi = socketio.asgi_app",
        "flask_socketio.emit('x')",
        "x = 'flask_socketio'",
        "del flask_socketio",
        "# a comment",
        "",
    ]
)
BLOCKS = st.sampled_from(["if x:", "def f():", "try:", "with a:", "class A:", "for x in y:"])


def block(start: str, body: list[str]) -> str:
    lines = textwrap.indent("\n".join([*body, "pass"]), "    ")
    return f"{start}\n{lines}\n" + ("except ImportError:\n    pass\n" if start == "try:" else "")


SOURCES = st.lists(
    LINES.map(lambda line: f"{line}\n") | st.builds(block, BLOCKS, st.lists(LINES, max_size=3)), max_size=12
).map("".join)
CALM = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def write(path: Path, raw: bytes) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(raw)


@CALM
@given(source=SOURCES, newline=st.sampled_from(["\n", "\r\n"]))
def test_what_is_moved_is_python_and_has_nothing_left_to_move(
    source: str, newline: str, tmp_path: Path
) -> None:
    write(tmp_path / "app.py", source.replace("\n", newline).encode())
    (file,) = move(tmp_path)[0]
    once = file.changed()
    ast.parse(once)
    write(tmp_path / "app.py", once.encode())
    (file,) = move(tmp_path)[0]
    assert file.changed() == once


WORDS = st.sampled_from(
    [
        *(
            "gunicorn",
            "-k",
            "eventlet",
            "--threads",
            "4",
            "--threads=4",
            "app:app",
            "'app:app'",
            '"gunicorn"',
        ),
        *("app:create_app()", "-c", "gunicorn.conf.py", "--worker-class=gevent", "&&", ";", "$X", "#", ">"),
        *(
            "command:",
            "- ",
            "CMD",
            "[",
            "]",
            ",",
            '"',
            "'",
            "pip install",
            "flask-socketio",
            "gevent==1",
            "=",
        ),
        *("gunicorn[gevent]", "[project]\n", "dependencies", '"gevent",', '"flask-socketio>=5"', "{x=1}"),
        *("\\\n", "\n", "\n  ", "\r\n"),
    ]
)
NAMES = st.sampled_from(
    [
        *(
            "Dockerfile",
            "Procfile",
            "compose.yml",
            "start.sh",
            "web.service",
            "requirements.txt",
            "pyproject.toml",
        ),
        *(
            "setup.cfg",
            "Pipfile",
            "environment.yml",
            "setup.ps1",
            "fly.toml",
            "package.json",
            "templates/a.html",
        ),
    ]
)


@CALM
@given(words=st.lists(WORDS, max_size=25), gap=st.sampled_from([" ", "", "  "]), name=NAMES)
def test_any_order_of_words_is_moved_once_and_without_an_error(
    words: list[str], gap: str, name: str, tmp_path: Path
) -> None:
    text = gap.join(words)
    write(tmp_path / "app.py", FLASK_APP.encode())
    write(tmp_path / "gunicorn.conf.py", b"worker_class = 'gevent'\n")
    write(tmp_path / name, text.encode())
    for file in move(tmp_path)[0]:
        file.lines_to_look_at(written=True)
        file.write()
    again = [(file.name, file.content, file.changed()) for file in move(tmp_path)[0]]
    (tmp_path / name).unlink()
    assert [each for each in again if each[1] != each[2]] == []


@CALM
@given(
    text=st.text(max_size=300),
    name=st.sampled_from(["other.py", "Procfile", "requirements.txt", "compose.yml"]),
)
def test_any_text_that_has_nothing_to_move_stays(text: str, name: str, tmp_path: Path) -> None:
    raw = text.encode("utf-8", "surrogatepass")
    assume(
        not any(word in raw.lower() for word in (b"flask", b"gevent", b"eventlet", b"gunicorn", b"simple"))
    )
    write(tmp_path / "app.py", FLASK_APP.encode())
    write(tmp_path / name, raw)
    assert [file.name for file in move(tmp_path)[0] if file.changed() != file.content] == ["app.py"]
    (tmp_path / name).unlink()


@CALM
@given(
    items=st.lists(
        st.sampled_from(["a=1", "b=(2, 3)", "c='x,y'", "d=f(1)", "**e"]), min_size=1, max_size=6, unique=True
    ),
    gaps=st.lists(
        st.sampled_from([" ", "", "\n    ", "  # note, so\n    ", "\n\n    "]), min_size=7, max_size=7
    ),
    comma=st.booleans(),
    removed=st.sets(st.integers(0, 5)),
)
def test_a_list_without_some_items_has_the_others(
    items: list[str], gaps: list[str], comma: bool, removed: set[int]
) -> None:
    source, spans = "call(", []
    for number, item in enumerate(items):
        source += gaps[number]
        spans.append(Span(len(source), len(source) + len(item)))
        source += item + ("," if number + 1 < len(items) or comma else "")
    source += gaps[-1]
    brackets = Span(len("call("), len(source))
    source += ")"
    removed = {number for number in removed if number < len(items)}
    after = changed(source, without_items(Text(source), spans, removed, brackets)) if removed else source
    kept = [item for number, item in enumerate(items) if number not in removed]
    assert ast.dump(ast.parse(after)) == ast.dump(ast.parse(f"call({', '.join(kept)})"))
