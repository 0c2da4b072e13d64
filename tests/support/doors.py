"""How requests come to the engine: straight from each of uvicorn's HTTP classes, or over plain ASGI."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from asyncsock import ASGIApp
from tests.support.uvicorn_in_process import Local, running

DOORS: dict[str, dict[str, Any]] = {  # uvicorn's options
    "httptools": {"http": "httptools"},
    "h11": {"http": "h11"},
    "plain ASGI": {"ws": "wsproto"},
}


@asynccontextmanager
async def served(server: Any, door: str, **options: Any) -> AsyncIterator[Local]:
    """Serve an `AsyncServer` or `EngineServer` on the path of raw_clients; the options are uvicorn's."""
    async with running(ASGIApp(server, socketio_path="engine.io"), **DOORS[door], **options) as local:
        yield local
