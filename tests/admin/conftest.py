"""Servers that the Admin UI may look at."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.queues.conftest import channel, local_broker, redis_broker

__all__ = ["channel", "instrumented", "local_broker", "redis_broker"]
Instrumented = Callable[..., AsyncServer]


@pytest.fixture
def instrumented() -> Instrumented:
    """Makes a server with the handlers of python-socketio's own test of its Admin UI."""

    def make(server_options: dict[str, Any] | None = None, **options: Any) -> AsyncServer:
        server = AsyncServer(**(server_options or {}))

        @server.event
        async def enter_room(sid: str, room: str) -> None:
            await server.enter_room(sid, room)

        @server.event
        async def exit_room(sid: str, room: str) -> None:
            await server.leave_room(sid, room)

        @server.event
        async def emit(sid: str, event: str, *args: Any) -> None:
            await server.emit(event, args, skip_sid=sid)

        @server.event(namespace="/foo")
        def connect(sid: str, environ: Any, auth: Any) -> None:
            pass

        server.instrument(**{"auth": False, "server_stats_interval": 0.05, **options})
        return server

    return make
