"""The same handlers under Flask-SocketIO and under asyncsock: clients must not be able to tell.

Each system is a server in a process of its own, driven once through all of parity_steps by raw
clients that record what arrives. A test compares one step's records of both. Order counts per client.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack

import pytest

from tests.support.parity_differences import DIFFERENCES
from tests.support.parity_script import Records, Script
from tests.support.parity_steps import STEPS
from tests.support.server_process import Server, serve

pytestmark = pytest.mark.slow

Recordings = tuple[dict[str, Records], dict[str, Records]]  # of Flask-SocketIO and of asyncsock


def system(name: str) -> AbstractContextManager[Server]:
    if name == "flask-socketio":
        return serve("tests/apps/parity_flask_socketio.py", server="python")
    environment = {"COROUTINES": "1"} if name == "coroutines" else {}
    return serve("tests.apps.parity_asyncsock:asgi", env=environment)


@functools.cache
def recorded(name: str, transport: str) -> dict[str, Records]:
    """What the clients of a system got in each step."""

    async def record(server: Server) -> dict[str, Records]:
        async with AsyncExitStack() as stack:
            script = Script(server, transport, stack)
            return {name: await script.run(step) for name, step in STEPS.items()}

    with system(name) as server:
        return asyncio.run(record(server))


@pytest.fixture(
    scope="module",
    params=["functions over websocket", "coroutines over websocket", "functions over polling"],
)
def recordings(request: pytest.FixtureRequest) -> Recordings:
    """Of Flask-SocketIO and of asyncsock."""
    name, transport = request.param.split(" over ")
    return recorded("flask-socketio", transport), recorded(name, transport)


@pytest.mark.parametrize("name", STEPS)
def test_clients_cannot_tell_asyncsock_from_flask_socketio(name: str, recordings: Recordings) -> None:
    theirs, ours = (recording[name] for recording in recordings)
    assert "problem" not in theirs
    for rewrite in DIFFERENCES:
        theirs = rewrite(name, theirs)
    assert {who: repr(found) for who, found in ours.items()} == {
        who: repr(found) for who, found in theirs.items()
    }


@pytest.mark.parametrize("rewrite", DIFFERENCES)
def test_the_differences_are_there(
    rewrite: Callable[[str, Records], Records], recordings: Recordings
) -> None:
    theirs, _ours = recordings
    assert any(repr(rewrite(name, records)) != repr(records) for name, records in theirs.items())
