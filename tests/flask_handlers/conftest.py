"""The servers whose handlers are tested, a client of theirs and a browser's HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.flask_visitors import visitor
from tests.support.python_socketio_client import Client, connected
from tests.support.server_process import Server, serve


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """tests/apps/flask_handlers, where a coroutine that is never awaited is an error."""
    with serve(
        "tests.apps.flask_handlers:asgi", env={"PYTHONWARNINGS": "error::RuntimeWarning", "NEEDS": "aiohttp"}
    ) as running:
        yield running
        log = running.log()
    assert [line for line in log.splitlines() if "never awaited" in line or "never retrieved" in line] == []


@pytest.fixture(scope="session")
def factory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """tests/apps/flask_factory.py: handlers do not overlap, every namespace is accepted."""
    database = tmp_path_factory.mktemp("database") / "file"
    with serve("tests.apps.flask_factory:asgi", env={"DATABASE": str(database)}) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket") as client:
        yield client


@pytest.fixture
async def http(server: Server) -> AsyncIterator[httpx.AsyncClient]:
    async with visitor(server) as http:
        yield http
