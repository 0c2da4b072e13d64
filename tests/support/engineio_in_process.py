"""Clients of an EngineServer in this process."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    HANDSHAKE,
    Answer,
    Headers,
    request,
)
from tests.support.raw_clients import SEPARATOR, RawSocket, upgrade_request
from tests.support.uvicorn_in_process import running

PATH = "/engine.io/"
FOREIGN = "https://elsewhere.example"


class Poller:
    """A polling client of a server in this process."""

    def __init__(self, server: EngineServer, headers: Headers | None = None) -> None:
        self.server = server
        self.headers = headers
        self.handshake: dict[str, Any] = {}
        self.opened: Answer | None = None

    @property
    def query(self) -> str:
        return f"{HANDSHAKE}&sid={self.sid}"

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    async def open(self) -> Poller:
        self.opened = await self.request("GET", HANDSHAKE)
        assert self.opened.status == 200, self.opened.text
        self.handshake = json.loads(self.opened.text.split(SEPARATOR)[0][1:])
        return self

    async def request(self, method: str, query: str | None = None, **more: Any) -> Answer:
        query = self.query if query is None else query
        return await request(self.server.handle_request, method, PATH, query, self.headers, **more)

    async def get(self) -> list[str]:
        answer = await self.request("GET")
        assert answer.status == 200, answer.text
        return answer.text.split(SEPARATOR)

    async def post(self, *packets: str) -> Answer:
        return await self.request("POST", body=SEPARATOR.join(packets).encode())


async def ask(server: EngineServer, method: str = "GET", **headers: str) -> Answer:
    """A first request with these headers; underscores in their names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await request(server.handle_request, method, PATH, HANDSHAKE, named)


@asynccontextmanager
async def handshake(
    server: EngineServer, ws: str, headers: Headers | None = None, **values: str
) -> AsyncIterator[tuple[int, dict[str, str], RawSocket]]:
    """What uvicorn answers a WebSocket handshake with; the Host is 127.0.0.1."""
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(upgrade_request(PATH, values, headers))
            status, fields = await raw.response_head()
            yield status, fields, raw


@asynccontextmanager
async def websocket(server: EngineServer, ws: str) -> AsyncIterator[RawSocket]:
    """A WebSocket past its handshakes."""
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.websocket(local) as raw:
            yield raw
