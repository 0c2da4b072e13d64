"""python-socketio's own clients, the asynchronous and the blocking one, behind one asynchronous face."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import socketio

TRANSPORTS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}
WAIT = 10.0

tags = (f"tag-{number}" for number in itertools.count())


class Client:
    """A client of one kind ("async" or "sync") that connects in one way (a key of TRANSPORTS)."""

    def __init__(self, url: str, kind: str = "async", mode: str = "upgrade", **options: Any) -> None:
        self.url = url
        self.kind = kind
        self.mode = mode
        settings = {"reconnection": False, "request_timeout": WAIT, **options}
        self.socket = (socketio.AsyncClient if kind == "async" else socketio.Client)(**settings)
        self.loop = asyncio.get_running_loop()

    async def do(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if self.kind == "async":
            return await function(*args, **kwargs)
        return await asyncio.to_thread(function, *args, **kwargs)

    async def connect(self, namespaces: list[str] | None = None, **options: Any) -> None:
        settings = {"wait_timeout": WAIT, "transports": TRANSPORTS[self.mode], **options}
        await self.do(self.socket.connect, self.url, namespaces=namespaces or ["/"], **settings)

    async def emit(self, event: str, *args: Any, **options: Any) -> None:
        await self.do(self.socket.emit, event, args, **options)

    async def call(self, event: str, *args: Any, **options: Any) -> Any:
        return await self.do(self.socket.call, event, args, timeout=WAIT, **options)

    async def disconnect(self) -> None:
        await self.do(self.socket.disconnect)

    async def close(self) -> None:
        """Disconnect, and give up connecting again."""
        await self.do(self.socket.shutdown)

    def answer(self, event: str, handler: Callable[..., Any]) -> None:
        """Handle an event with a plain function; the client acknowledges with what it returns."""
        self.socket.on(event, handler)

    def arrivals(self, event: str, namespace: str = "/") -> asyncio.Queue[tuple[Any, ...]]:
        """The arguments of each such event from now on."""
        queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()
        self.socket.on(
            event, lambda *args: self.loop.call_soon_threadsafe(queue.put_nowait, args), namespace=namespace
        )
        return queue


async def arrived(queue: asyncio.Queue[tuple[Any, ...]]) -> tuple[Any, ...]:
    return await asyncio.wait_for(queue.get(), WAIT)


@asynccontextmanager
async def connected(
    url: str,
    kind: str = "async",
    mode: str = "upgrade",
    *,
    client_options: dict[str, Any] | None = None,
    **options: Any,
) -> AsyncIterator[Client]:
    client = Client(url, kind, mode, **(client_options or {}))
    try:
        await client.connect(**options)
        yield client
    finally:
        await client.close()
