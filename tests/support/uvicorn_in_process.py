"""A uvicorn on the running loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import uvicorn

from tests.support.raw_clients import within


@dataclass
class Local:
    """Where a server of this process listens; what the clients of tests.support.raw_clients need to know."""

    port: int
    connections: set[Any]  # those that are open
    connection: Callable[[], Any]  # makes a protocol object, as for a new connection

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"


class LocalUvicorn(uvicorn.Server):
    """A uvicorn that leaves signals alone and ends at once."""

    def capture_signals(self) -> Any:
        return nullcontext()

    async def main_loop(self) -> None:
        self.stop = asyncio.Event()
        await self.on_tick(0)
        await self.stop.wait()


@asynccontextmanager
async def running(app: Any, ws: str = "auto", **options: Any) -> AsyncIterator[Local]:
    """Serve an application with uvicorn: the direct way, or with ws="wsproto" over plain ASGI."""
    config = uvicorn.Config(app, port=0, ws=ws, lifespan="on", log_config=None, **options)
    server = LocalUvicorn(config)
    task = asyncio.ensure_future(server.serve())
    while not hasattr(server, "stop") and not task.done():
        await asyncio.sleep(0.001)
    try:
        assert server.started
        loop, state = asyncio.get_running_loop(), server.server_state
        make = partial(
            config.http_protocol_class, config=config, server_state=state, app_state={}, _loop=loop
        )
        yield Local(server.servers[0].sockets[0].getsockname()[1], state.connections, make)
    finally:
        server.stop.set()
        await within(task)
