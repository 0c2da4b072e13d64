"""A Flask application with handlers of all kinds that fail, and what Sentry gets of that, at /events."""

from __future__ import annotations

import threading
from typing import Any

import sentry_sdk
from flask import Flask, jsonify, request
from sentry_sdk.transport import Transport

from asyncsock import ConnectionRefusedError, Namespace, SocketIO

events: list[dict[str, Any]] = []


class Collecting(Transport):
    """Keeps what would be sent."""

    def capture_envelope(self, envelope: Any) -> None:
        event = envelope.get_event()
        if event is not None:
            events.append(event)


sentry_sdk.init(dsn="https://key@localhost/1", transport=Collecting)
app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app


@app.route("/events")
def collected() -> Any:
    """Of each event of Sentry's: what the tests look at."""
    keys = ("transaction", "tags", "logger")
    told = []
    for event in events:
        error = event["exception"]["values"][-1]  # after those that it comes of
        told.append(
            {
                "error": f"{error['type']}: {error['value']}",
                "mechanism": error["mechanism"]["type"],
                **{key: event.get(key) for key in keys},
            }
        )
    return jsonify(told)


@app.route("/fail")
def view() -> str:
    raise ValueError("view")


def on_the_loop() -> bool:
    return threading.current_thread() is threading.main_thread()


@socketio.on("coroutine")
async def coroutine() -> None:
    assert on_the_loop()
    raise ValueError("coroutine")


@socketio.on("function")
def function() -> None:
    assert not on_the_loop()
    raise ValueError("function")


@socketio.on("*")
async def any_event(event: str) -> None:
    raise ValueError(event)


@socketio.on("connect")
async def connect(auth: Any) -> None:
    if auth == "fail":
        raise ValueError("connect")
    if auth == "refuse":
        raise ConnectionRefusedError("no")


@socketio.on("disconnect")
def disconnect() -> None:
    if request.args.get("fail") == "disconnect":
        raise ValueError("disconnect")


@socketio.on("callback")
async def callback() -> None:
    socketio.emit("question", to=request.sid, callback=take)  # type: ignore[attr-defined]


def take(answer: Any) -> None:
    raise ValueError("callback")


class Class(Namespace):
    async def on_coroutine(self) -> None:
        raise ValueError("coroutine")

    def on_function(self) -> None:
        raise ValueError("function")


class Dispatching(Namespace):
    def trigger_event(self, event: str, *args: Any) -> Any:
        return super().trigger_event(event, *args)

    def on_function(self) -> None:
        raise ValueError("function")


socketio.on_namespace(Class("/class"))
socketio.on_namespace(Dispatching("/dispatching"))


@socketio.on("handled", namespace="/handled")
async def handled() -> None:
    raise ValueError("handled")


@socketio.on("again", namespace="/handled")
def again() -> None:
    raise ValueError("again")


@socketio.on_error("/handled")
def on_error(error: Exception) -> str:
    if str(error) == "again":
        raise ValueError("in the error handler")
    return "handled"
