"""A Socket.IO server that sends back what it gets, in the namespaces / and /custom."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from socketio.exceptions import ConnectionRefusedError

from asyncsock import ASGIApp, AsyncServer

from .polls_under_way import tell_polls_of

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
logging.getLogger("asyncsock.engine").setLevel(logging.DEBUG)

server = AsyncServer(
    ping_interval=float(os.environ.get("PING_INTERVAL", "25")),
    ping_timeout=float(os.environ.get("PING_TIMEOUT", "20")),
    connect_timeout=float(os.environ.get("CONNECT_TIMEOUT", "45")),
    max_http_buffer_size=1_000_000,
    cors_allowed_origins="*",
)


def serve_namespace(namespace: str) -> None:
    @server.on("connect", namespace=namespace)
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        print(f"connected {namespace} {sid}", flush=True)
        await server.emit("auth", auth or {}, to=sid, namespace=namespace)

    @server.on("disconnect", namespace=namespace)
    async def disconnect(sid: str, reason: str) -> None:
        print(f"gone {namespace} {sid} {reason}", flush=True)

    @server.on("message", namespace=namespace)
    async def message(sid: str, *args: Any) -> None:
        await server.emit("message-back", args, to=sid, namespace=namespace)

    @server.on("message-with-ack", namespace=namespace)
    async def message_with_ack(sid: str, *args: Any) -> tuple[Any, ...]:
        return args

    @server.on("nothing", namespace=namespace)
    async def nothing(sid: str, *args: Any) -> None:
        return None

    @server.on("ask-me", namespace=namespace)
    async def ask_me(sid: str, *args: Any) -> None:
        """Emit a question that asks for an acknowledgement, and tell what came of it."""

        async def answered(*answer: Any) -> None:
            await server.emit("you-said", answer, to=sid, namespace=namespace)

        await server.emit("question", args, to=sid, namespace=namespace, callback=answered)

    @server.on("throw-me-out", namespace=namespace)
    async def throw_me_out(sid: str, *args: Any) -> None:
        await server.disconnect(sid, namespace=namespace)


serve_namespace("/")
serve_namespace("/custom")


@server.on("connect", namespace="/refusing")
async def refuse(sid: str, environ: dict[str, Any], auth: Any) -> None:
    if auth:
        raise ConnectionRefusedError("Not authorized", {"code": 7})
    raise ConnectionRefusedError("Not authorized")


asgi = ASGIApp(server, tell_polls_of(server.eio))
