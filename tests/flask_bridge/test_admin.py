"""The Admin UI's side of a Flask application."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from flask import Flask, current_app

from asyncsock import SocketIO
from tests.support.admin_clients import refusal, watching
from tests.support.asgi_in_process import Lifespan
from tests.support.log_records import recorded
from tests.support.socketio_in_process import connected


@asynccontextmanager
async def running(socketio: SocketIO) -> AsyncIterator[Any]:
    """How the application answers to its start."""
    lifespan = Lifespan(socketio.asgi_app)
    answer = await lifespan.startup()
    yield answer
    if answer["type"] == "lifespan.startup.complete":
        await lifespan.shutdown()


async def test_without_auth_it_does_not_start_outside_of_debug_mode() -> None:
    socketio = SocketIO(Flask("program"))
    socketio.instrument()
    async with running(socketio) as answer:
        assert answer["type"] == "lifespan.startup.failed"
        assert "instrument() without auth is for debug mode only" in answer["message"]


async def test_without_auth_nobody_logs_in_outside_of_debug_mode() -> None:
    socketio = SocketIO(Flask("program"))
    socketio.instrument()
    assert await refusal(socketio.server) == "invalid credentials"  # where no server says that it starts


async def test_without_auth_everybody_logs_in_in_debug_mode_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = Flask("program")
    socketio = SocketIO(app)
    socketio.instrument()
    app.debug = True  # as run(debug=True) does
    async with running(socketio) as answer:
        assert answer["type"] == "lifespan.startup.complete"
        async with watching(socketio.server) as admin:
            await admin.gets("config")
    assert [line for line in recorded(caplog, 30) if "everybody who reaches this server" in line]


async def test_it_may_be_instrumented_before_it_has_an_application() -> None:
    socketio = SocketIO()
    socketio.instrument(auth=False, server_id="program", namespace="/look", server_stats_interval=60)
    socketio.init_app(Flask("program"))
    async with connected(socketio.server, "/look") as client:
        [stats] = [await client.receive() for _ in range(1)]
        assert stats.startswith('42/look,["server_stats",{"serverId":"program"')


async def test_handlers_and_events_of_flask_are_shown() -> None:
    socketio = SocketIO(Flask("program"))
    socketio.instrument(auth=False)

    @socketio.on("hello")
    def hello(words: str) -> str:
        socketio.emit("heard", words)
        return "ok"

    async with watching(socketio.server) as admin, connected(socketio.server) as client:
        await admin.gets("config")
        client.send('42["hello","you"]')
        assert (await admin.gets("event_received"))[:3] == ["/", client.sid, ["hello", "you"]]
        assert (await admin.gets("event_sent"))[:3] == ["/", client.sid, ["heard", "you"]]


@pytest.mark.parametrize("kind", ["function", "coroutine"])
async def test_a_login_function_runs_in_an_application_context_and_blocks_nobody(kind: str) -> None:
    seen: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()

    def function(given: Any) -> bool:
        seen.append((current_app.name, threading.get_ident() == loop_thread))
        return bool(given == {"password": "secret"})

    async def coroutine(given: Any) -> bool:
        return function(given)

    socketio = SocketIO(Flask("program"))
    socketio.instrument(auth=function if kind == "function" else coroutine)
    async with watching(socketio.server, {"password": "secret"}) as admin:
        await admin.gets("config")
    assert await refusal(socketio.server, {"password": "guess"}) == "invalid credentials"
    assert seen == [("program", kind == "coroutine")] * 2
