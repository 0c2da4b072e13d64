"""An Engine.IO server that sends every message back; a few messages are commands."""

from __future__ import annotations

import logging
import os
import sys

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer

from .polls_under_way import tell_polls_of

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

server = EngineServer(
    ping_interval=float(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=float(os.environ.get("PING_TIMEOUT", "20")),
    max_http_buffer_size=1_000_000,
    cors_allowed_origins="*",
)


@server.on("message")
async def message(sid: str, data: str | bytes) -> None:
    if data == "!close":
        await server.disconnect(sid)
    elif data == "!burst":
        for packet in ("one", b"\x01\x02", "two", "three"):
            await server.send(sid, packet)
    else:
        await server.send(sid, data)


@server.on("disconnect")
async def disconnect(sid: str, reason: str) -> None:
    print(f"gone {sid} {reason}", flush=True)


asgi = ASGIApp(server, tell_polls_of(server), socketio_path="engine.io")
