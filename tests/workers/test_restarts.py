"""What clients notice when the workers are replaced under load: no request fails, and all are soon back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from functools import partial

import pytest

from tests.support.launchers import START_TIME, WHOLE_TABLE, launched, wait_for_workers, workers_of
from tests.support.server_process import Server
from tests.support.view_load import views_requested
from tests.support.worker_load import Load, Seen, under_load

pytestmark = pytest.mark.timeout(300)

WORKERS = 4 if WHOLE_TABLE else 2
MODES = ["polling", "upgrade", "websocket"]
LOAD = Load(clients=8 if WHOLE_TABLE else 4, acks=None)
LAUNCHERS = ["uvicorn", "uvicorn asyncio", "uvicorn h11", "gunicorn", "run"] if WHOLE_TABLE else ["uvicorn"]
# Requests after which a worker ends. With equal numbers all workers would end together.
LIMITS = {
    "uvicorn": {"UVICORN_LIMIT_MAX_REQUESTS": "200", "UVICORN_LIMIT_MAX_REQUESTS_JITTER": "200"},
    "gunicorn": {"GUNICORN_CMD_ARGS": "--max-requests 200 --max-requests-jitter 200"},
}


def nothing() -> None:
    """Begin with what happens by itself."""


async def gone(workers: Iterable[int]) -> None:
    """Wait until these workers have ended."""

    async def wait() -> None:
        while any(map(runs, workers)):
            await asyncio.sleep(0.05)

    await asyncio.wait_for(wait(), START_TIME)


async def replaced_under_load(server: Server, begin: Callable[[], None]) -> list[Seen]:
    """Have as many new workers started as there were; what Socket.IO's clients have seen meanwhile."""
    async with AsyncExitStack() as stack:
        views = await stack.enter_async_context(views_requested(server, keep=3, new=1))
        running = [await stack.enter_async_context(under_load(server, "v4", mode, LOAD)) for mode in MODES]
        old = workers_of(server)
        begin()
        await asyncio.to_thread(wait_for_workers, server, len(old) + WORKERS)
        if begin is not nothing:
            await gone(old)
        seen = [client for each in running for client in await each.finish()]
    assert views.failures == []
    assert len(views.workers) > WORKERS
    return seen


def runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


async def check(server: Server, seen: list[Seen]) -> None:
    """All are connected, and none was disconnected but by the end of its worker."""
    assert len(seen) == LOAD.clients * len(MODES)
    await gone({worker for client in seen for worker in client.workers[:-1]})
    for client in seen:
        assert client.transport is not None, client
        assert not any(" 5" in error for error in client.errors), client
        # A worker may end before it has told a client which it is; none has a client again.
        assert len(client.workers) <= client.connects <= len(workers_of(server)), client


@pytest.mark.parametrize("launcher", LAUNCHERS)
async def test_views_do_not_notice_that_all_workers_are_replaced(launcher: str) -> None:
    with launched(launcher, WORKERS, UVICORN_TIMEOUT_WORKER_HEALTHCHECK="60") as server:
        await check(
            server, await replaced_under_load(server, partial(server.process.send_signal, signal.SIGHUP))
        )
        assert "Traceback" not in server.log()


@pytest.mark.parametrize("launcher", LIMITS if WHOLE_TABLE else ["uvicorn"])
async def test_views_do_not_notice_that_a_worker_ends_after_so_many_requests(launcher: str) -> None:
    with launched(launcher, WORKERS, **LIMITS[launcher]) as server:
        await check(server, await replaced_under_load(server, nothing))
        assert "Traceback" not in server.log()
