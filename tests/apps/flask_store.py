"""A Flask application whose session is in a store (Flask-Session on cachelib), below the folder STORE.

MANAGED says whether SocketIO keeps a copy of the session for each connection.
"""

from __future__ import annotations

import os

from cachelib import FileSystemCache
from flask import Flask, session
from flask_session import Session

from asyncsock import SocketIO

app = Flask(__name__)
app.config["SECRET_KEY"] = "secret"
app.config["SESSION_TYPE"] = "cachelib"
app.config["SESSION_CACHELIB"] = FileSystemCache(os.environ["STORE"])
Session(app)
socketio = SocketIO(app, manage_session="MANAGED" in os.environ)


@app.get("/sign-in/<user>")
def sign_in(user: str) -> str:
    session["user"] = user
    return "signed in"


@app.get("/session")
def read() -> dict[str, object]:
    return dict(session)


def count() -> dict[str, object]:
    session["count"] = session.get("count", 0) + 1
    return {"user": session.get("user"), "count": session["count"]}


@socketio.on("function")
def function() -> dict[str, object]:
    return count()


@socketio.on("coroutine")
async def coroutine() -> dict[str, object]:
    return count()


asgi = socketio.asgi_app
