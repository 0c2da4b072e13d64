"""Fixtures that several test modules share: an application, the kinds of ASGI servers, a process of each."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from flask import Flask
from hypothesis import settings

from asyncsock import SocketIO
from tests.support.server_process import Server, Start, serve

# Timings never fail a test.
settings.register_profile("asyncsock", deadline=None, max_examples=60)
settings.load_profile("asyncsock")

# What nohup, or a shell's &, has this process ignore, the programs that tests start would ignore as well.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

# the way a WebSocket takes into the engine under each server
WEBSOCKET_WAYS = {"uvicorn": "direct", "uvicorn-wsproto": "plain ASGI", "hypercorn": "plain ASGI"}


@pytest.fixture
def app() -> Flask:
    app = Flask("tests")
    app.config["SECRET_KEY"] = "secret"
    return app


@pytest.fixture
def socketio(app: Flask) -> SocketIO:
    return SocketIO(app)


@pytest.fixture(scope="session")
def running() -> Iterator[Start]:
    """A function that serves an application once per session: (target, server, **environment)."""
    servers: dict[tuple[object, ...], Server] = {}
    with ExitStack() as stack:

        def start(target: str, server: str, **environment: str) -> Server:
            key = (target, server, *sorted(environment.items()))
            if key not in servers:
                servers[key] = stack.enter_context(serve(target, server=server, env=environment))
            return servers[key]

        yield start
        for running_server in servers.values():  # all at once: each takes a while to end
            running_server.process.terminate()


@pytest.fixture(scope="session", params=list(WEBSOCKET_WAYS))
def asgi_server(request: pytest.FixtureRequest) -> str:
    """The server under which the test runs."""
    return str(request.param)


# Of one test each: `running` keeps the servers, and a file may have an `asgi_server` of its own.


@pytest.fixture
def engine(running: Start, asgi_server: str) -> Server:
    """An Engine.IO echo server at /engine.io/."""
    return running("tests.apps.engine_echo:asgi", asgi_server)


@pytest.fixture
def beating_engine(running: Start, asgi_server: str) -> Server:
    """The same with a ping each 0.3 s, for clients that answer: they have 2 s, for a machine may be busy."""
    return running("tests.apps.engine_echo:asgi", asgi_server, PING_INTERVAL="0.3", PING_TIMEOUT="2")


@pytest.fixture
def strict_engine(running: Start, asgi_server: str) -> Server:
    """The same with 0.2 s for the answer, for clients that give none."""
    return running("tests.apps.engine_echo:asgi", asgi_server, PING_INTERVAL="0.3", PING_TIMEOUT="0.2")


@pytest.fixture
def sockets(running: Start, asgi_server: str) -> Server:
    """A Socket.IO echo server at /socket.io/."""
    return running("tests.apps.socket_echo:asgi", asgi_server)


@pytest.fixture
def impatient_sockets(running: Start, asgi_server: str) -> Server:
    """A Socket.IO echo server that grants a client 1.5 s to open a namespace."""
    return running("tests.apps.socket_echo:asgi", asgi_server, CONNECT_TIMEOUT="1.5")
