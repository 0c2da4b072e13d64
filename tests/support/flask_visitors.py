"""Visitors of Flask applications whose handlers come in two kinds: HTTP clients and Socket.IO clients."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from tests.support.python_socketio_client import WAIT, Client, connected
from tests.support.server_process import Server

KINDS = ("coroutine", "function")
both_kinds = pytest.mark.parametrize("kind", KINDS)


def visitor(server: Server) -> httpx.AsyncClient:
    """An HTTP client with a cookie jar."""
    return httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT)


def cookies_of(http: httpx.AsyncClient) -> dict[str, str]:
    """The header with which a Socket.IO client comes as the same visitor."""
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in http.cookies.items())}


@asynccontextmanager
async def in_namespaces(server: Server, *namespaces: str, **options: Any) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket", namespaces=list(namespaces), **options) as client:
        yield client


async def until(ask: Callable[[], Awaitable[Any]], wanted: Callable[[Any], bool]) -> Any:
    """Ask until the answer is the wanted one, and return it."""

    async def asking() -> Any:
        while not wanted(answer := await ask()):
            await asyncio.sleep(0.01)
        return answer

    return await asyncio.wait_for(asking(), WAIT)
