"""Servers in this process, for tests that bring their own clients."""

from __future__ import annotations

import pytest
import socketio

from asyncsock import AsyncServer


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer()


@pytest.fixture(params=["ours", "python-socketio's"])
def any_server(request: pytest.FixtureRequest) -> AsyncServer:
    """A server with our client manager, or with python-socketio's."""
    return AsyncServer(client_manager=None if request.param == "ours" else socketio.AsyncManager())
