"""Servers of this process on both of uvicorn's parsers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from asyncsock.uvicorn import guard
from tests.support.guarded_servers import Serve, Serving, serving


@pytest.fixture(params=["httptools", "h11"])
def http(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def serve(http: str) -> AsyncIterator[Serve]:
    async with AsyncExitStack() as stack:

        async def start(http: str = http, **options: Any) -> Serving:
            return await stack.enter_async_context(serving(http, **options))

        yield start


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Clients of refused requests have little time to read the answer."""
    monkeypatch.setattr(guard, "LINGER", 0.05)
