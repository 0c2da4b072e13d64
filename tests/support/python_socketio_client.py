"""python-socketio's own clients, the asynchronous and the blocking one, behind one asynchronous face."""

from __future__ import annotations

import asyncio
import itertools
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
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


async def use_two_clients(url: str, authority: Path | None = None) -> None:
    """Acknowledgements, binary data, an event to everyone and the server's disconnect, with two clients.

    One comes over WebSocket only, the other upgrades to it.
    """
    context = ssl.create_default_context(cafile=str(authority)) if authority else None
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True)) as first_session,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context or True)) as second_session,
        connected(url, mode="websocket", client_options={"http_session": first_session}) as first,
        connected(url, mode="upgrade", client_options={"http_session": second_session}) as second,
    ):
        told = [client.arrivals("told") for client in (first, second)]
        gone = [client.arrivals("disconnect") for client in (first, second)]
        for client in (first, second):
            assert await client.call("echo", "text ž", 1) == ("text ž", 1)
            assert await client.call("echo", {"binary": [b"\x00\xff", b"x" * 70_000]}) == {
                "binary": [b"\x00\xff", b"x" * 70_000]
            }
            assert await client.call("transport") == "websocket"
        await first.emit("tell", None, {"all": b"of you"})
        assert [await arrived(queue) for queue in told] == [({"all": b"of you"},)] * 2
        for client in (first, second):
            await client.emit("kick")
        assert [await arrived(queue) for queue in gone] == [("server disconnect",)] * 2
