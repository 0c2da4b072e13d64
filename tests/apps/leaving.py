"""Handlers of every kind that raise SystemExit or KeyboardInterrupt, on three servers.

A client names the exception and a text for its message.
"""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any
from urllib.parse import parse_qs

import flask
import socketio as python_socketio

import asyncsock
from asyncsock import ASGIApp, AsyncServer, SocketIO, emit
from asyncsock.engine import EngineServer

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

FAULTS = {"SystemExit": SystemExit, "KeyboardInterrupt": KeyboardInterrupt}
noted: dict[str, tuple[str, str]] = {}  # what a client's disconnect handler is to raise, by sid


def leave(kind: str, text: str) -> None:
    raise FAULTS[kind](text)


async def leave_later(kind: str, text: str) -> None:
    leave(kind, text)


app = flask.Flask(__name__)
flask_socketio = SocketIO(app)
request: Any = flask.request  # with the attributes that an event adds

flask_socketio.on_event("coroutine", leave_later)
flask_socketio.on_event("function", leave)
flask_socketio.on_event("echo", lambda text: text)


@flask_socketio.on("callback coroutine")
async def ask_coroutine(kind: str, text: str) -> None:
    async def answered() -> None:
        leave(kind, text)

    emit("question", callback=answered)


@flask_socketio.on("callback function")
async def ask_function(kind: str, text: str) -> None:
    emit("question", callback=lambda: leave(kind, text))


@flask_socketio.on("background task")
async def begin_task(kind: str, text: str) -> None:
    flask_socketio.start_background_task(leave_later, kind, text)


@flask_socketio.on("background task of a thread")
def begin_task_of_thread(kind: str, text: str) -> None:
    flask_socketio.start_background_task(leave_later, kind, text)


@app.get("/stream/<kind>/<text>")
def stream(kind: str, text: str) -> Any:
    def parts() -> Any:
        yield "x" * 100_000
        leave(kind, text)

    return parts()


@app.get("/function/<kind>/<text>")
def view(kind: str, text: str) -> Any:
    leave(kind, text)


@app.get("/coroutine/<kind>/<text>")
async def async_view(kind: str, text: str) -> Any:
    await leave_later(kind, text)


def register_flask_namespaces() -> None:
    async def connect_coroutine(auth: Any) -> None:
        leave(*auth)

    def note(kind: str, text: str) -> None:
        noted[request.sid] = kind, text

    async def disconnect_coroutine() -> None:
        leave(*noted[request.sid])

    for kind, connect, disconnect in (
        ("coroutine", connect_coroutine, disconnect_coroutine),
        ("function", lambda auth: leave(*auth), lambda: leave(*noted[request.sid])),
    ):
        flask_socketio.on_event("connect", connect, namespace=f"/connect {kind}")
        flask_socketio.on_event("note", note, namespace=f"/disconnect {kind}")
        flask_socketio.on_event("disconnect", disconnect, namespace=f"/disconnect {kind}")

    async def on_error_coroutine(error: BaseException) -> None:
        leave(*error.args)

    def fail(kind: str, text: str) -> None:
        raise LookupError(kind, text)

    for kind, on_error in (("coroutine", on_error_coroutine), ("function", lambda error: leave(*error.args))):
        flask_socketio.on_error(f"/error {kind}")(on_error)
        flask_socketio.on_event("fail", fail, namespace=f"/error {kind}")

    flask_socketio.on_error("/handled")(lambda error: ["handled", repr(error)])
    flask_socketio.on_event("coroutine", leave_later, namespace="/handled")
    flask_socketio.on_event("function", leave, namespace="/handled")


register_flask_namespaces()


class FlaskNamespace(asyncsock.Namespace):
    def on_function(self, kind: str, text: str) -> None:
        leave(kind, text)

    async def on_coroutine(self, kind: str, text: str) -> None:
        leave(kind, text)


flask_socketio.on_namespace(FlaskNamespace("/class"))

bare = AsyncServer()


@bare.on("coroutine")
async def bare_coroutine(sid: str, kind: str, text: str) -> None:
    leave(kind, text)


@bare.on("function")
def bare_function(sid: str, kind: str, text: str) -> None:
    leave(kind, text)


@bare.on("callback function")
async def bare_ask(sid: str, kind: str, text: str) -> None:
    await bare.emit("question", to=sid, callback=lambda: leave(kind, text))


@bare.on("background task")
async def bare_begin(sid: str, kind: str, text: str) -> None:
    bare.start_background_task(leave_later, kind, text)


@bare.on("background task of a thread")
async def bare_begin_in_thread(sid: str, kind: str, text: str) -> None:
    threading.Thread(target=bare.start_background_task, args=(leave_later, kind, text)).start()


@bare.on("connect", namespace="/connect")
async def bare_connect(sid: str, environ: Any, auth: Any) -> None:
    leave(*auth)


@bare.on("note", namespace="/disconnect")
async def bare_note(sid: str, kind: str, text: str) -> None:
    noted[sid] = kind, text


@bare.on("disconnect", namespace="/disconnect")
def bare_disconnect(sid: str) -> None:
    leave(*noted[sid])


class BareNamespace(python_socketio.AsyncNamespace):
    async def on_coroutine(self, sid: str, kind: str, text: str) -> None:
        leave(kind, text)

    def on_function(self, sid: str, kind: str, text: str) -> None:
        leave(kind, text)


bare.register_namespace(BareNamespace("/class"))

in_turn = AsyncServer(async_handlers=False)
in_turn.on("coroutine", bare_coroutine)
in_turn.on("function", bare_function)
for server in (bare, in_turn):
    server.on("echo", lambda sid, text: text)

engine = EngineServer()
later = EngineServer()


@engine.on("connect")
def engine_connect(sid: str, environ: dict[str, Any]) -> None:
    for value in parse_qs(environ["QUERY_STRING"]).get("leave", ()):
        leave(*value.split(","))


@engine.on("message")
def engine_message(sid: str, text: str) -> None:
    noted[sid] = tuple(text.removeprefix("note,").split(","))  # type: ignore[assignment]
    if not text.startswith("note,"):
        leave(*noted.pop(sid))


@engine.on("disconnect")
def engine_disconnect(sid: str) -> None:
    if sid in noted:
        leave(*noted[sid])


@later.on("connect")
async def later_connect(sid: str, environ: dict[str, Any]) -> None:
    engine_connect(sid, environ)


@later.on("message")
async def later_message(sid: str, text: str) -> None:
    engine_message(sid, text)


@later.on("disconnect")
async def later_disconnect(sid: str) -> None:
    engine_disconnect(sid)


def allow(origin: str) -> bool:
    """Raise what the origin says, as http://SystemExit.text."""
    leave(*origin.removeprefix("http://").split("."))
    return True


choosy = EngineServer(cors_allowed_origins=allow)

asgi: Any = flask_socketio.asgi_app
for other, path in (
    (bare, "bare"),
    (in_turn, "in-turn"),
    (engine, "engine"),
    (later, "later"),
    (choosy, "choosy"),
):
    asgi = ASGIApp(other, asgi, socketio_path=path)
