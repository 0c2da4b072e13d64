"""What the server does that the suite of the official JavaScript client needs, for tests/js/suite.

`asgi` is the application. `behind_middleware` answers each request 10 ms later, so that clients in a page
that wait for 0 ms give up before. RECOVERY in the environment has the server restore connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import flask
from flask import Flask, Response, send_from_directory, session
from socketio.exceptions import TimeoutError

from asyncsock import ConnectionRefusedError, SocketIO, call, emit

logging.basicConfig(level=logging.INFO)
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

CHECKS = Path(__file__).parents[1] / "js" / "suite"
CLIENT = Path(__file__).parents[1] / "js" / "node_modules" / "socket.io-client" / "dist"
TEXTS = ("日本語のテキスト", "Ж Ы Ъ Щ Э Ю", "Ö ö Õ õ ẞ", "dash — and 🐎", "z\u0308 decomposed")

app = Flask(__name__)
app.config["SECRET_KEY"] = "a secret"
socketio = SocketIO(app, ping_interval=2, connection_state_recovery="RECOVERY" in os.environ)
request: Any = flask.request


def now() -> str:
    return datetime.now(timezone.utc).isoformat()


def handshake(auth: Any) -> dict[str, Any]:
    return {"query": request.args.to_dict(), "auth": auth}


def described(data: Any) -> Any:
    """The same structure with hexadecimal digits in place of bytes."""
    if isinstance(data, bytes):
        return data.hex()
    if isinstance(data, dict):
        return {key: described(value) for key, value in data.items()}
    return data


@socketio.on("connect")
def connect(auth: Any) -> None:
    if "fail" in request.args:
        raise ConnectionRefusedError("you may not come in here")
    session["auth"] = auth
    session["collected"] = []


@socketio.on("hi")
def hi() -> None:
    emit("hi")


@socketio.on("echo")
def echo(data: Any) -> Any:
    return data


@socketio.on("ask")
async def ask() -> None:
    """Ask the client. Until it answers this does not end, and is not acknowledged."""
    try:
        if await call("ask", timeout=2) == (5, {"test": True}):
            await emit("understood")
    except TimeoutError:
        pass


@socketio.on("date")
def date(data: Any) -> str:
    return now()


@socketio.on("send dates")
def send_dates() -> None:
    emit("a date", now())
    emit("a date inside", {"date": now()})


@socketio.on("send texts")
async def send_texts() -> None:
    for text in TEXTS:
        await emit("text", text)
    await emit("texts sent")


@socketio.on("send false")
def send_false() -> None:
    emit("false", False)


@socketio.on("send bytes")
def send_bytes() -> None:
    emit("bytes", b"\0a\xff")


@socketio.on("describe")
def describe(data: Any) -> Any:
    return described(data)


@socketio.on("collect")
async def collect(data: Any) -> None:
    session["collected"].append(described(data))


@socketio.on("collected")
async def collected() -> list[Any]:
    return session["collected"]  # type: ignore[no-any-return]


@socketio.on("handshake")
def tell_handshake() -> dict[str, Any]:
    return handshake(session["auth"])


@socketio.on("id")
@socketio.on("id", namespace="/foo")
def tell_id() -> str:
    return str(request.sid)


@socketio.on("connect", namespace="/foo")
@socketio.on("connect", namespace="/asd")
@socketio.on("connect", namespace="/valid")
@socketio.on("connect", namespace="/timeout_socket")
def let_in() -> None:
    pass


@socketio.on("connect", namespace="/abc")
def greet(auth: Any) -> None:
    emit("handshake", handshake(auth))


@socketio.on("connect", namespace="/no")
def refuse() -> None:
    raise ConnectionRefusedError("nobody may come in here")


# For the checks in a page.


@app.get("/checks/<path:name>")
def checks(name: str) -> Response:
    return send_from_directory(CHECKS, name)


@app.get("/client/<path:name>")
def client(name: str) -> Response:
    return send_from_directory(CLIENT, name)


asgi = socketio.asgi_app


async def behind_middleware(
    scope: dict[str, Any], receive: Callable[..., Any], send: Callable[..., Any]
) -> None:
    if scope["type"] != "lifespan":
        await asyncio.sleep(0.01)
    await asgi(scope, receive, send)
