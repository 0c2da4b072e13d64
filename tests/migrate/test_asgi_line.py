"""`asgi = socketio.asgi_app` comes once, behind what gives the SocketIO object its application."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, MOVED_APP, moved, moved_file

EXTENSIONS = "from flask_socketio import SocketIO\n\nsocketio = SocketIO()\n"
FACTORY = """\
from flask import Flask
from .extensions import socketio

def create_app():
    app = Flask(__name__)
    register(app)
    return app

def register(app):
    socketio.init_app(app)
"""
BOARD = {"board/__init__.py": FACTORY, "board/extensions.py": EXTENSIONS}


def test_it_comes_behind_the_constructor(tmp_path: Path) -> None:
    assert moved_file(tmp_path, FLASK_APP)["app.py"] == MOVED_APP


def test_it_comes_behind_the_last_init_app(tmp_path: Path) -> None:
    source = f"{FLASK_APP}\nsocketio.init_app(\n    app, path='/a'\n)\n\nx = 1\n"
    assert (
        "socketio.init_app(\n    app, path='/a'\n)\nasgi = socketio.asgi_app\n\nx = 1\n"
        in (moved_file(tmp_path, source)["app.py"])
    )


def test_it_is_written_once(tmp_path: Path) -> None:
    source = f"{FLASK_APP}asgi = socketio.asgi_app\n"
    assert moved_file(tmp_path, source)["app.py"] == MOVED_APP


def test_a_file_may_end_without_a_newline(tmp_path: Path) -> None:
    assert moved_file(tmp_path, FLASK_APP.rstrip())["app.py"] == MOVED_APP.rstrip()


def test_a_socketio_without_an_application_needs_none(tmp_path: Path) -> None:
    result = moved_file(
        tmp_path, "from flask_socketio import SocketIO\nsocketio = SocketIO(message_queue=None)\n"
    )
    assert "asgi" not in result["app.py"]


def test_it_comes_where_the_factory_is_called(tmp_path: Path) -> None:
    files = {
        **BOARD,
        "wsgi.py": "from board import create_app\nfrom board.extensions import socketio\n\napp = "
        "create_app()\n",
    }
    result = moved(tmp_path, files)
    assert result["wsgi.py"] == files["wsgi.py"] + "asgi = socketio.asgi_app\n"
    assert "asgi" not in result["board/__init__.py"] + result["board/extensions.py"]


def test_without_a_name_for_the_socketio_object_it_asks_the_application(tmp_path: Path) -> None:
    files = {**BOARD, "wsgi.py": "from board import create_app\n\napplication = create_app()\n"}
    assert moved(tmp_path, files)["wsgi.py"].endswith('asgi = application.extensions["socketio"].asgi_app\n')


def test_a_program_that_runs_the_server_gets_it(tmp_path: Path) -> None:
    run = "from board import create_app, socketio as io\n\napp = create_app()\n"
    files = {**BOARD, "start.py": f"{run}if __name__ == '__main__':\n    io.run(app)\n"}
    assert moved(tmp_path, files)["start.py"].startswith(f"{run}asgi = io.asgi_app\nif ")


def test_a_program_that_makes_its_application_in_main_needs_none(tmp_path: Path) -> None:
    source = (
        "from board import create_app, socketio\n\ndef main():\n    app = create_app()\n    "
        "socketio.run(app)\n"
    )
    result = moved(tmp_path, {**BOARD, "run.py": source})
    assert result["run.py"] == source
    assert result.remarks == []


@pytest.mark.parametrize("name", ["tests/test_chat.py", "conftest.py", "chat_test.py"])
def test_tests_need_none(name: str, tmp_path: Path) -> None:
    assert "asgi" not in moved(tmp_path, {name: FLASK_APP})[name]


def test_another_factory_gives_nothing(tmp_path: Path) -> None:
    files = {
        **BOARD,
        "other.py": "def create_app():\n    return 1\n",
        "wsgi.py": "from other import create_app\napp = create_app()\n",
    }
    assert moved(tmp_path, files)["wsgi.py"] == files["wsgi.py"]


def test_a_taken_name_is_left_and_remarked(tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"{FLASK_APP}asgi = wrap(app)\n")
    assert result["app.py"].endswith("asgi = wrap(app)\n")
    assert "The name asgi is taken" in result.only_remark()


def test_a_constructor_within_another_statement_is_remarked_with_the_line(tmp_path: Path) -> None:
    source = (
        "from flask_socketio import SocketIO\nfrom web import app\nwith app.app_context():\n    "
        "socketio = SocketIO(app)\n"
    )
    result = moved_file(tmp_path, source)
    assert "asgi" not in result["app.py"]
    assert result.only_remark() == (
        "app.py:4: SocketIO() is called within another statement: write `asgi = socketio.asgi_app` behind "
        "that."
    )


def test_modules_that_import_each_other_end(tmp_path: Path) -> None:
    files = {
        "a.py": "from b import create_app, socketio\napp = create_app()\n",
        "b.py": "from a import create_app, socketio, app\nfrom flask_socketio import emit\napp = "
        "create_app()\n",
        "wsgi.py": "from a import app\n",
    }
    assert moved(tmp_path, files).changed == ["b.py"]


@pytest.mark.parametrize("returned", ["app, socketio", "server, app"])
def test_a_factory_may_return_more_than_the_application(returned: str, tmp_path: Path) -> None:
    factory = """\
        from flask import Flask
        from flask_socketio import SocketIO

        def create_app():
            app = Flask(__name__)
            return app, SocketIO(app)
        """
    files = {"board.py": factory, "wsgi.py": f"from board import create_app\n{returned} = create_app()\n"}
    expected = f'{returned} = create_app()\nasgi = app.extensions["socketio"].asgi_app\n'
    files["Procfile"] = "web: gunicorn -k gevent wsgi:app\n"
    assert moved(tmp_path, files)["wsgi.py"].endswith(expected)


def test_the_application_may_have_the_name_of_its_package(tmp_path: Path) -> None:
    start = "from board import create_app, socketio\n\nboard = create_app()\n"
    assert moved(tmp_path, {**BOARD, "wsgi.py": start})["wsgi.py"] == f"{start}asgi = socketio.asgi_app\n"


def test_the_application_may_have_a_second_name(tmp_path: Path) -> None:
    files = {"app.py": f"{FLASK_APP}server = app\napplication = server\n"}
    result = moved(tmp_path, {**files, "Procfile": "web: gunicorn -k gevent app:application\n"})
    assert result["app.py"] == f"{MOVED_APP}server = app\napplication = server\n"
    assert "app:asgi" in result["Procfile"]


def test_a_factory_may_be_imported_in_one_of_two_ways(tmp_path: Path) -> None:
    start = (
        "try:\n    from board import create_app, socketio\n"
        "except ImportError:\n    from .board import create_app, socketio\n\napp = create_app()\n"
    )
    assert moved(tmp_path, {**BOARD, "wsgi.py": start})["wsgi.py"] == f"{start}asgi = socketio.asgi_app\n"


@pytest.mark.parametrize("name", ["*", "SocketIO, flask_json"])
def test_where_the_import_of_flask_socketio_has_to_stay_it_would_fail(name: str, tmp_path: Path) -> None:
    source = FLASK_APP.replace("import SocketIO", f"import {name}") + "print(flask_json)\n"
    result = moved(tmp_path, {"app.py": source, "Procfile": "web: gunicorn -k eventlet app:app\n"})
    assert result.changed == []
    assert [remark[:10] for remark in result.remarks] == ["Procfile:1", "app.py:2: "]
