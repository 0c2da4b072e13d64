"""Imports of Flask-SocketIO become imports of asyncsock, and nothing else that has the name is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, moved, moved_file

UNTOUCHED = "import: it is left"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("from flask_socketio import SocketIO, emit\n", "from asyncsock import SocketIO, emit\n"),
        ("from flask_socketio import (\n    SocketIO,\n    emit,  # sends\n)\n", None),
        ("from flask_socketio import SocketIO as Server\n", None),
        ("import flask_socketio as fsio\nfsio.emit('a')\n", None),
        ("import flask_socketio\nflask_socketio.emit('a')\n", "import asyncsock\nasyncsock.emit('a')\n"),
        (
            "import os, flask_socketio\nflask_socketio . emit('a')\n",
            "import os, asyncsock\nasyncsock . emit('a')\n",
        ),
        ("from flask_socketio.namespace import Namespace\n", None),
        ("from flask_socketio.test_client import SocketIOTestClient\n", None),
        (
            "import flask_socketio.test_client\nC = flask_socketio.test_client.SocketIOTestClient\n",
            "import asyncsock.test_client\nC = asyncsock.test_client.SocketIOTestClient\n",
        ),
        ("from flask_socketio import *\nemit('a')\n", None),
        ("def f():\n\tfrom flask_socketio import emit\n\temit('a')\n", None),
        (
            "def f():\n    import flask_socketio\n    flask_socketio.emit('a')\n",
            "def f():\n    import asyncsock\n    asyncsock.emit('a')\n",
        ),
        ("class A:\n    from flask_socketio import emit\n", None),
        (
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from flask_socketio import SocketIO\n",
            None,
        ),
        ("try:\n    from flask_socketio import SocketIO\nexcept ImportError:\n    SocketIO = None\n", None),
        ("import flask_socketio; flask_socketio.emit('a')\n", "import asyncsock; asyncsock.emit('a')\n"),
    ],
)
def test_an_import_of_this_form_moves(before: str, after: str | None, tmp_path: Path) -> None:
    if after is None:
        after = before.replace("flask_socketio", "asyncsock")
    assert moved_file(tmp_path, before)["app.py"] == after


@pytest.mark.parametrize(
    "rest",
    [
        "print(flask_socketio.__version__)\n",
        "x = getattr(flask_socketio, 'emit')\n",
        "io = flask_socketio.SocketIO()\ndel flask_socketio\n",
        "import asyncsock\n",
    ],
)
def test_the_name_stays_where_it_is_used_for_more_than_what_is_shared(rest: str, tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"import flask_socketio\n{rest}")
    assert result["app.py"] == f"import asyncsock as flask_socketio\n{rest}"


def test_a_variable_of_the_same_name_is_another_thing(tmp_path: Path) -> None:
    source = "def f(flask_socketio):\n    return flask_socketio.emit\n"
    result = moved_file(tmp_path, f"import flask_socketio\nflask_socketio.emit('a')\n{source}")
    assert result["app.py"] == f"import asyncsock\nasyncsock.emit('a')\n{source}"


def test_an_import_of_what_asyncsock_has_not_is_left_and_named(tmp_path: Path) -> None:
    result = moved_file(tmp_path, "from flask_socketio import SocketIO, has_request_context\n")
    assert result.changed == []
    assert "app.py:1: This imports what asyncsock has not (has_request_context)" in result.only_remark()


def test_a_star_that_brought_other_names_is_left_and_these_are_named(tmp_path: Path) -> None:
    result = moved_file(tmp_path, "from flask_socketio import *\nprint(sys.argv, os.name)\n")
    assert result.changed == []
    assert "(os, sys)" in result.only_remark()


def test_a_module_of_the_projects_own_with_that_name_is_left(tmp_path: Path) -> None:
    files = {"app.py": "from flask_socketio import SocketIO\n", "flask_socketio.py": "class SocketIO: pass\n"}
    assert moved(tmp_path, files).changed == []


@pytest.mark.parametrize(
    "source",
    [
        "from mine.flask_socketio import SocketIO\nimport flask_socketio_extras\n",
        "from .flask_socketio import SocketIO\n",
        '"""It needs flask_socketio."""\n# import flask_socketio\n',
        "def emit(name):\n    'flask_socketio'\nemit('a')\n",
    ],
)
def test_what_only_looks_like_it_is_left(source: str, tmp_path: Path) -> None:
    result = moved(tmp_path, {"app.py": source, "other.py": "from flask_socketio import emit\n"})
    assert result.changed == ["other.py"]
    assert result.remarks == []


@pytest.mark.parametrize(
    "text",
    [
        'mock.patch("flask_socketio.emit")',
        'logging.getLogger("flask_socketio")',
        '__import__("flask_socketio")',
        'run(f"{python} -c import flask_socketio")',
    ],
)
def test_a_text_that_names_the_module_is_remarked(text: str, tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"from flask_socketio import emit\n\n{text}\n")
    assert result["app.py"].endswith(f"{text}\n")
    assert result.only_remark().startswith("app.py:3: A text names flask_socketio: write asyncsock if")


def test_a_file_that_cannot_be_parsed_is_left_and_named(tmp_path: Path) -> None:
    files = {"app.py": "from flask_socketio import emit\n", "old.py": "import flask_socketio\nprint 'a'\n"}
    result = moved(tmp_path, files)
    assert result.changed == ["app.py"]
    assert result.only_remark().startswith("old.py:")
    assert "by hand" in result.only_remark()


@pytest.mark.parametrize(
    ("starred", "made", "after"),
    [
        ("flask_socketio", "bus = SocketIO(app, async_mode='gevent')", "bus = SocketIO(app)"),
        ("libraries", "bus = SocketIO(app, async_mode=None)", "bus = SocketIO(app)"),
        ("extensions", "bus.init_app(app, async_mode='gevent')", "bus.init_app(app)"),
    ],
)
def test_a_name_that_a_star_brings_is_known(starred: str, made: str, after: str, tmp_path: Path) -> None:
    start = "from flask import *\nfrom {} import *\n\napp = Flask(__name__)\n"
    files = {
        "extensions.py": "from flask_socketio import SocketIO\n\nbus = SocketIO()\n",
        "libraries.py": "from flask_socketio import SocketIO, emit\n",
        "app.py": f"{start.format(starred)}{made}\nbus.run(app, threaded=True)\n",
    }
    result = moved(tmp_path, files)
    starred = starred.replace("flask_socketio", "asyncsock")
    assert result["app.py"] == f"{start.format(starred)}{after}\nasgi = bus.asgi_app\nbus.run(app)\n"
    assert result.remarks == []


def test_a_star_of_another_package_brings_another_socketio(tmp_path: Path) -> None:
    client = "from socketIO_client import *\nimport asyncsock\n\nsocket = SocketIO(host, 80)\nsocket.wait()\n"
    assert moved(tmp_path, {"app.py": FLASK_APP, "client.py": client}).changed == ["app.py"]
