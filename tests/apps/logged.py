"""An Engine.IO server whose connect handler fails."""

from __future__ import annotations

from typing import Any

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer

server = EngineServer()


@server.on("connect")
def connect(sid: str, environ: dict[str, Any]) -> None:
    raise LookupError("nobody\nis here")


asgi = ASGIApp(server)
