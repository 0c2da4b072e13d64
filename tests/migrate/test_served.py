"""A project for Flask-SocketIO is moved by the command, and then really served."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("libcst")

from asyncsock.migrate.command import migrate
from tests.migrate.moving import project
from tests.support.ports import free_port
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

CHAT = {
    "chat/extensions.py": """\
        import flask_socketio

        socketio = flask_socketio.SocketIO(async_mode="eventlet", logger=False)
        """,
    "chat/__init__.py": """\
        from flask import Flask

        from .extensions import socketio

        def create_app():
            app = Flask(__name__)
            app.config["SECRET_KEY"] = "a secret of this test"
            socketio.init_app(app, cors_allowed_origins="*")
            from . import events
            return app
        """,
    "chat/events.py": """\
        from flask import request, session
        from flask_socketio import emit, join_room

        from .extensions import socketio

        @socketio.on("join")
        def join(name, room):
            session["name"] = name
            join_room(room)
            return {"sid": request.sid}

        @socketio.on("say")
        def say(text, room):
            emit("said", {"name": session["name"], "text": text}, to=room)
        """,
    "wsgi.py": """\
        import eventlet
        eventlet.monkey_patch()

        from chat import create_app

        app = create_app()
        """,
    "run.py": """\
        import os

        from chat import create_app, socketio

        app = create_app()

        if __name__ == "__main__":
            socketio.run(app, port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
        """,
    "Procfile": "web: gunicorn -k eventlet -w 1 -b 127.0.0.1:$PORT wsgi:app\n",
    "requirements.txt": "flask\nflask-socketio==5.3.6\neventlet\ngunicorn\n",
}
UVICORN = ["uvicorn", "wsgi:asgi", "--port", "$PORT"]


def without_flask_socketio(folder: Path) -> dict[str, str]:
    """An environment where Flask-SocketIO cannot be imported."""
    project(folder / "hidden", {"flask_socketio.py": "raise ImportError('it is not installed any more')\n"})
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "hidden"), str(ROOT)])}


@pytest.mark.slow
@pytest.mark.parametrize("way", ["uvicorn", "gunicorn", "run"])
async def test_a_moved_project_answers_its_clients(way: str, tmp_path: Path) -> None:
    place, port = tmp_path / "project", free_port()
    project(place, CHAT)
    environment = {**without_flask_socketio(tmp_path), "PORT": str(port)}
    assert migrate(place, True, lambda text: None) == 0
    command = {
        "uvicorn": UVICORN,
        "gunicorn": (place / "Procfile").read_text().removeprefix("web: ").split(),
        "run": ["run"],
    }[way]
    arguments = [part.replace("$PORT", str(port)) for part in command]
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=place,
            env=environment,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(process, port, log_path)
    try:
        wait_for_port(server, START_TIMEOUT)
        async with connected(server.url) as one, connected(server.url) as two:
            said = two.arrivals("said")
            assert await one.call("join", "ann", "kitchen") == {"sid": one.socket.get_sid("/")}
            await two.call("join", "bob", "kitchen")
            await one.emit("say", "hello", "kitchen")
            assert await arrived(said) == ({"name": "ann", "text": "hello"},)
    finally:
        stop(process)
    assert "Traceback" not in server.log()
