"""The server of tests/apps/clients.py beside another ASGI application, bare and wrapped in a middleware."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from asyncsock import ASGIApp

from .clients import server

Scope = dict[str, Any]
Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

logger = logging.getLogger("tests.two_applications")


async def other(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers HTTP requests, and echoes what comes over the WebSocket at /raw."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"other: " + scope["path"].encode()})
    elif scope["type"] == "websocket":
        await receive()
        if scope["path"] != "/raw":
            await send({"type": "websocket.close", "code": 1000})
            return
        subprotocol = "parrot" if "parrot" in scope["subprotocols"] else None
        await send({"type": "websocket.accept", "subprotocol": subprotocol})
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "bye":
                await send({"type": "websocket.close", "code": 4321, "reason": "as you wish"})
                return
            data = {key: message[key] for key in ("text", "bytes") if message.get(key) is not None}
            await send({"type": "websocket.send", **data})
    else:
        while True:
            stage = (await receive())["type"]
            await send({"type": f"{stage}.complete"})
            if stage == "lifespan.shutdown":
                return


class Middleware:
    """Says in the log which WebSockets it has seen."""

    def __init__(self, app: App) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            logger.info("the middleware saw a websocket to %s", scope["path"])
        await self.app(scope, receive, send)


asgi = ASGIApp(server, other)
wrapped = Middleware(asgi)
