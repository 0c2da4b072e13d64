"""Arguments that asyncsock has no use for are removed, with the layout of the others kept."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("libcst")

from tests.migrate.moving import FLASK_APP, MOVED_APP, moved, moved_file


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(app, async_mode='eventlet')", "(app)"),
        ("(app, async_mode=None, path='/s')", "(app, path='/s')"),
        ("(async_mode='gevent', app=app)", "(app=app)"),
        ("(app, async_mode=async_mode)", "(app)"),
        ("(app, async_mode=os.environ.get('MODE', 'gevent'))", "(app)"),
        ("(app, async_mode=getattr(config, 'MODE').lower())", "(app)"),
        ("(app, async_mode=('gevent'), path='/s')", "(app, path='/s')"),
        ("(\n    app,\n    async_mode='gevent',\n    path='/s',\n)", "(\n    app,\n    path='/s',\n)"),
        ("(\n    app,\n    path='/s',\n    async_mode='gevent',\n)", "(\n    app,\n    path='/s',\n)"),
        ("(\n    app,\n    path='/s',\n    async_mode='gevent'\n)", "(\n    app,\n    path='/s'\n)"),
        ("(app,\n    path='/s',\n    async_mode='gevent')", "(app,\n    path='/s')"),
        ("(app, async_mode='gevent',\n    path='/s')", "(app,\n    path='/s')"),
        (
            "(\n    app,  # ours\n    async_mode='gevent',  # quick\n    # where\n    path='/s',\n)",
            "(\n    app,  # ours\n    # where\n    path='/s',\n)",
        ),
    ],
)
def test_the_async_mode_is_removed(before: str, after: str, tmp_path: Path) -> None:
    start = "from flask_socketio import SocketIO\n\nsocketio = SocketIO"
    result = moved_file(tmp_path, f"{start}{before}\n")
    assert result["app.py"].startswith(f"{start.replace('flask_socketio', 'asyncsock')}{after}\n")
    assert result.remarks == []


def test_the_async_mode_is_removed_where_the_application_is_given_later(tmp_path: Path) -> None:
    files = {
        "web/extensions.py": "from flask_socketio import SocketIO\n\nsocketio = SocketIO()\n",
        "web/__init__.py": """\
            from .extensions import socketio

            def create_app(app):
                other.init_app(app, async_mode="mine")
                socketio.init_app(app, async_mode="eventlet")
            """,
    }
    result = moved(tmp_path, files)
    assert 'other.init_app(app, async_mode="mine")\n    socketio.init_app(app)\n' in result["web/__init__.py"]
    assert result.only_remark().startswith("web/__init__.py:4: async_mode is for Flask-SocketIO's servers")


def test_an_async_mode_that_calls_something_is_left_and_remarked(tmp_path: Path) -> None:
    result = moved_file(
        tmp_path, "from flask_socketio import SocketIO\n\ns = SocketIO(async_mode=choose())\n"
    )
    assert "async_mode=choose()" in result["app.py"]
    assert result.only_remark().startswith("app.py:3: async_mode")


@pytest.mark.parametrize("line", ['options["async_mode"] = "gevent"', 'options = {"async_mode": "gevent"}'])
def test_an_async_mode_in_a_dictionary_is_remarked(line: str, tmp_path: Path) -> None:
    result = moved_file(tmp_path, f"from flask_socketio import SocketIO\n{line}\n")
    assert result.only_remark().startswith("app.py:2: async_mode is set in a dictionary")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(app, allow_unsafe_werkzeug=True)", "(app)"),
        ("(app,allow_unsafe_werkzeug=True,)", "(app,)"),
        ("(app, threaded=True, log=None, port=80)", "(app, port=80)"),
        (
            "(app, debug=True, use_reloader=False, host='', port=1, log_output=True, certfile='c', "
            "keyfile='k')",
            "(app, debug=True, use_reloader=False, host='', port=1, log_output=True, certfile='c', "
            "keyfile='k')",
        ),
        (
            "(\n        app, debug=False, allow_unsafe_werkzeug=True, port=int(os.environ['PORT'])\n    )",
            "(\n        app, debug=False, port=int(os.environ['PORT'])\n    )",
        ),
        (
            "(app, port=80,  # as root\n        allow_unsafe_werkzeug=True)",
            "(app, port=80,  # as root\n        )",
        ),
    ],
)
def test_run_keeps_the_options_that_it_has(before: str, after: str, tmp_path: Path) -> None:
    run = "\nif __name__ == '__main__':\n    socketio.run"
    result = moved_file(tmp_path, f"{FLASK_APP}{run}{before}\n")
    assert result["app.py"] == f"{MOVED_APP}{run}{after}\n"


@pytest.mark.parametrize("owner", ["self.server", "app.socketio", "self.sio"])
def test_run_of_an_attribute_loses_the_option_too(owner: str, tmp_path: Path) -> None:
    source = f"""\
        from flask_socketio import SocketIO

        class Program:
            def start(self, app):
                self.server = SocketIO(app)
                {owner}.run(app, allow_unsafe_werkzeug=True)
        """
    assert f"{owner}.run(app)\n" in moved_file(tmp_path, source)["app.py"]


def test_an_option_that_is_passed_to_something_else_is_left_and_remarked(tmp_path: Path) -> None:
    source = f"{FLASK_APP}\nstart(app, allow_unsafe_werkzeug=True)\nexecutor.run(log=1, spawn=2)\n"
    result = moved_file(tmp_path, source)
    assert (
        result["app.py"]
        == f"{MOVED_APP}\nstart(app, allow_unsafe_werkzeug=True)\nexecutor.run(log=1, spawn=2)\n"
    )
    assert result.only_remark().startswith("app.py:8: allow_unsafe_werkzeug")
