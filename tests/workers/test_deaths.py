"""What clients notice when one of several workers ends: its own are soon back, those of the others stay."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.launchers import WHOLE_TABLE, launched, wait_for_workers, workers_of
from tests.support.raw_clients import RawSocket
from tests.support.server_process import Server
from tests.support.sessions_elsewhere import (
    acknowledged,
    answer,
    connection_and_sessions,
    exchange,
)
from tests.support.worker_load import Load, Seen, under_load

WORKERS = 3
TRIES = 10
LOAD = Load(clients=24 if WHOLE_TABLE else 12, acks=None)
# Those whose workers can give connections away. Elsewhere a WebSocket ends with the worker that it came to.
LAUNCHERS = ["uvicorn", "uvicorn asyncio", "gunicorn", "run"] if WHOLE_TABLE else ["uvicorn"]
WAYS = ["v4-polling", "v4-upgrade"]
if WHOLE_TABLE:
    WAYS += ["v3-polling", "v3-upgrade", "v4-websocket"]


@pytest.fixture(scope="module", params=LAUNCHERS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Some workers, each of which is replaced when it ends."""
    with launched(request.param, WORKERS) as server:
        yield server
        assert "Traceback" not in server.log()  # gunicorn logs an error for a killed worker


async def end_one_under_load(
    server: Server, way: str, ending: signal.Signals
) -> tuple[list[Seen], list[Seen]]:
    """End the worker with most of the clients; what its clients have seen, and those of the others."""
    kind, mode = way.split("-")
    for _ in range(TRIES):
        async with under_load(server, kind, mode, LOAD) as running:
            ((victim, count), *_) = Counter(running.joined).most_common()
            if victim is None or count == LOAD.clients:  # the others have none
                continue
            started = len(workers_of(server))
            os.kill(victim, ending)
            await asyncio.to_thread(wait_for_workers, server, started + 1)  # another in its place
            seen = await running.finish()
        its = [client for client in seen if client.workers[0] == victim]
        return its, [client for client in seen if client.workers[0] != victim]
    raise AssertionError("all clients are always at one worker")


def unnoticed(clients: list[Seen]) -> bool:
    return all((client.connects, client.disconnects, client.errors) == (1, [], []) for client in clients)


@pytest.mark.parametrize("way", WAYS)
async def test_the_clients_of_a_killed_worker_are_soon_back(server: Server, way: str) -> None:
    its, others = await end_one_under_load(server, way, signal.SIGKILL)
    for client in its:
        assert client.transport is not None, client
        assert client.connects == 2, client
        assert not any(" 5" in error for error in client.errors), client
    if not way.endswith("polling"):
        assert unnoticed(others), others
    for client in others:
        if client.connects != 1:  # the killed worker had its request
            assert client.connects == 2, client
            assert not any(" 5" in error for error in client.errors), client


@pytest.mark.parametrize("way", WAYS)
async def test_the_clients_of_others_do_not_notice_a_worker_that_is_told_to_end(
    server: Server, way: str
) -> None:
    its, others = await end_one_under_load(server, way, signal.SIGTERM)
    assert unnoticed(others), [client for client in others if not unnoticed([client])]
    for client in its:
        assert client.transport is not None, client
        assert client.connects == 2, client


async def test_a_request_for_a_session_of_a_killed_worker_is_refused_as_for_an_unknown_one(
    server: Server,
) -> None:
    async with connection_and_sessions(server, "elsewhere", "here") as (raw, session, other):
        async with await RawSocket.connect(server) as waiting:
            await waiting.send(session.get())
            assert await exchange(raw, session.post("3")) == (200, "ok")
            os.kill(session.worker, signal.SIGKILL)
            try:
                assert await answer(waiting) == (400, '{"code":1,"message":"Session ID unknown"}')
            except (asyncio.IncompleteReadError, ConnectionError):
                pass  # that worker had the connection
        for data in (session.get(), session.post("3")):
            status, text = await exchange(raw, data)
            assert (status, "Session ID unknown" in text) == (400, True)
        assert (await acknowledged(raw, other, "echo", "as before"))["data"] == "as before"
