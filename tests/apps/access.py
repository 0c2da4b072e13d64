"""A Flask application that keeps strangers out: its decorator disconnects them while they connect."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import wraps
from typing import Any

import flask
from flask import Flask

from asyncsock import SocketIO, disconnect, emit

logging.basicConfig(format="%(levelname)s %(name)s: %(message)s")

app = Flask(__name__)
socketio = SocketIO(app)
request: Any = flask.request
reasons: dict[str, list[str]] = defaultdict(list)  # why a client left a namespace, by its tag


def authenticated_only(f: Callable[..., Any]) -> Callable[..., Any]:
    """As in Flask-SocketIO's manual, with a word in the query string in place of Flask-Login."""

    @wraps(f)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        if "user" not in request.args:
            disconnect()
            return None
        return f(*args, **kwargs)

    return wrapped


@socketio.on("connect", namespace="/members")
@authenticated_only
def connect() -> None:
    emit("welcome", "function")


@socketio.on("connect", namespace="/coroutine-members")
@authenticated_only
async def connect_in_coroutine() -> None:
    await emit("welcome", "coroutine")


for namespace in ("/members", "/coroutine-members"):

    @socketio.on("disconnect", namespace=namespace)
    def leave(reason: str) -> None:
        reasons[request.args["tag"]].append(reason)

    @socketio.on("secret", namespace=namespace)
    def secret() -> str:
        emit("secret", broadcast=True)
        return "the secret"


@socketio.on("tell")
def tell() -> None:
    """Tell everybody in each namespace the secret, then who asks that it is told."""
    for namespace in ("/members", "/coroutine-members"):
        socketio.emit("secret", namespace=namespace)
    emit("told")


@socketio.on("reasons")
def reasons_of(tag: str) -> list[str]:
    return reasons[tag]


@socketio.on("*")
def anything(event: str, *args: Any) -> Any:
    return [request.sid, event, list(args)]


asgi = socketio.asgi_app
