"""Tells tests which requests of a polling session the server has and cannot answer yet."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from asyncsock.engine import EngineServer

PATH = "/under-way"


def tell_polls_of(server: EngineServer) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """An ASGI application that answers at PATH?sid=... with whether a GET and a POST are under way."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] != PATH:
            raise AssertionError(f"nobody should ask for {scope.get('path', scope['type'])}")
        [sid] = parse_qs(scope["query_string"].decode())["sid"]
        transport: Any = server.sessions[sid].transport
        answer = {"GET": transport._poll is not None, "POST": transport._posting is not None}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    return app
