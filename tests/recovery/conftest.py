"""Servers with connection state recovery."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from asyncsock import AsyncServer
from tests.support.returning_visitors import Visitors, visitors


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer(connection_state_recovery=True, namespaces=["/", "/other"])


@pytest.fixture
async def guests(server: AsyncServer) -> AsyncIterator[Visitors]:
    """Makes clients of the server."""
    async with visitors(server) as made:
        yield made
