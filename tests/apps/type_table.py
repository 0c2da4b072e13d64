"""Takes each type of the table, and sends what it has got to whom it came from."""

from __future__ import annotations

from typing import Any

from flask import Flask, request

from asyncsock import SocketIO
from tests.typed_events.type_table import CASES

app = Flask(__name__)
socketio = SocketIO(app, validate=True)


def add(name: str, kind: Any) -> None:
    sends = socketio.event_type(name, kind)

    async def handle(data: Any) -> None:
        sent = list(data) if isinstance(data, set) else data  # a set alone is not sent
        await sends.emit(sent, to=request.sid)  # type: ignore[attr-defined]

    handle.__annotations__ = {"data": kind, "return": None}
    socketio.on(name)(handle)


for name, case in CASES.items():
    add(name, case.type)

asgi = socketio.asgi_app
