"""The same handlers under Flask-SocketIO and under asyncsock: clients must not be able to tell.

Each system is a server in a process of its own, driven once through all of parity_steps by raw
clients that record what arrives. A test compares one step's records of both. Order counts per client.
"""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, AsyncExitStack
from typing import Any

import pytest

from tests.support.parity_script import Record, Records, Script
from tests.support.parity_steps import STEPS
from tests.support.server_process import Server, serve

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]  # the first test of each system has to wait for all

Recordings = tuple[dict[str, Records], dict[str, Records]]  # of Flask-SocketIO and of asyncsock

# Where the two differ on purpose: functions that turn Flask-SocketIO's records of a step into asyncsock's.
DIFFERENCES: list[Callable[[str, Records], Records]] = []


def difference(rewrite: Callable[[str, Records], Records]) -> Callable[[str, Records], Records]:
    DIFFERENCES.append(rewrite)
    return rewrite


@difference
def what_a_refused_client_was_sent_does_not_arrive(step: str, records: Records) -> Records:
    """Clients throw away events in a namespace that they are not in."""
    if step == "being refused: emit":
        guest = [record for record in records["guest"] if record[3] != ["to a refused client"]]
        records = {**records, "guest": guest}
    return records


@difference
def connect_comes_before_the_events_of_the_connect_handler(step: str, records: Records) -> Records:
    """The protocol has no events in a namespace before its CONNECT packet."""

    def reorder(found: list[Record]) -> list[Record]:
        ordered: list[Record] = []
        for record in found:
            at = len(ordered)
            while record[0] == "CONNECT" and at and ordered[at - 1][:2] == ["EVENT", record[1]]:
                at -= 1
            ordered.insert(at, record)
        return ordered

    return {who: reorder(found) if who != "problem" else found for who, found in records.items()}


@difference
def a_disconnect_handler_does_not_reach_the_client_that_leaves(step: str, records: Records) -> Records:
    """Clients throw away events in a namespace that they have left."""
    if step in ("leaving a namespace", "a method that disconnects"):
        records = {**records, "b": [each for each in records["b"] if "departed" not in (each[3] or ())]}
    return records


@difference
def a_connect_error_is_an_object(step: str, records: Records) -> Records:
    """The protocol says so, and that the message for a namespace without handlers is "Invalid namespace"."""
    message = "Unable to connect" if step == "connecting twice" else "Invalid namespace"

    def reword(record: Record) -> Record:
        refused = record[0] == "CONNECT_ERROR" and record[3] == "Unable to connect"
        return [*record[:3], {"message": message}] if refused else record

    return {who: [*map(reword, found)] if who != "problem" else found for who, found in records.items()}


@difference
def what_is_no_number_arrives_as_null(step: str, records: Records) -> Records:
    """JSON has neither NaN nor infinities: JavaScript's clients disconnect when they get one."""
    if step.startswith("an event with: no numbers"):
        records = {**records, "a": [[*record[:3], without_nan(record[3])] for record in records["a"]]}
    return records


def without_nan(data: Any) -> Any:
    if isinstance(data, list):
        return [without_nan(item) for item in data]
    if isinstance(data, dict):
        return {key: without_nan(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data


@difference
def an_event_that_is_named_like_the_wildcard_is_an_event(step: str, records: Records) -> Records:
    """There it runs the catch-all handler as the client that its first argument names."""
    if step == "an event that is named like a catch-all handler":
        ((kind, namespace, id, _),) = records["a"]
        answer = ["any event", "*", ["a sid"], "*", ["*", "a sid"]]
        records = {**records, "a": [[kind, namespace, id, answer]]}
    return records


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
