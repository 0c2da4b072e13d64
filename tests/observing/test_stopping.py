"""What balancers see of a server that stops: it is not ready, and still serves, before its port closes."""

from __future__ import annotations

import asyncio
import json
import os
import select
import signal
from typing import Any

import httpx
import pytest

from tests.support.launchers import LAUNCHERS, launched, wait_for_workers, workers_of
from tests.support.python_socketio_client import WAIT
from tests.support.server_process import Server, serve

APP = "tests.apps.healthy:asgi"
LONG = {"DRAIN": "600"}  # which no test waits for


async def get(server: Server, path: str = "/healthz") -> httpx.Response:
    """The answer on a new connection."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
        return await http.get(path)


async def not_ready(server: Server) -> dict[str, Any]:
    """What the server says when it says that it is not ready."""

    async def wait() -> dict[str, Any]:
        while (answer := await get(server)).status_code == 200:
            await asyncio.sleep(0.01)
        assert answer.status_code == 503
        said: dict[str, Any] = answer.json()
        return said

    return await asyncio.wait_for(wait(), WAIT)


async def check_that_it_serves_on(server: Server) -> int:
    """Not ready, but alive, with views and sessions as ever; the worker that says so."""
    assert (await not_ready(server))["checks"]["accepting"] is False
    assert (await get(server, "/healthz/live")).status_code == 200
    assert (await get(server, "/socket.io/?EIO=4&transport=polling")).text[:8] == '0{"sid":'
    worker: int = (await get(server, "/worker")).json()["worker"]
    assert (await get(server)).status_code == 503
    return worker


async def connect(http: httpx.AsyncClient) -> str:
    """The path for the polls of a new client."""
    path = "/socket.io/?EIO=4&transport=polling"
    path += f"&sid={json.loads((await http.get(path)).text[1:])['sid']}"
    await http.post(path, content="40")
    await http.get(path)
    return path


async def ended(server: Server) -> None:
    await asyncio.to_thread(server.process.wait, 2 * WAIT)
    with pytest.raises(httpx.ConnectError):
        await get(server)


@pytest.mark.parametrize("http", ["auto", "h11"])
@pytest.mark.parametrize("ws", ["uvicorn", "uvicorn-wsproto"])
async def test_a_server_is_not_ready_before_its_port_closes(ws: str, http: str) -> None:
    with serve(APP, server=ws, args=["--http", http], env=LONG) as server:
        assert (await get(server)).status_code == 200
        server.process.terminate()
        await check_that_it_serves_on(server)
        server.process.terminate()  # as systemd does, which tells every process
        await check_that_it_serves_on(server)
        server.process.send_signal(signal.SIGINT)
        await ended(server)
        assert "Traceback" not in server.log()


async def test_sessions_are_served_until_the_time_is_over() -> None:
    with serve(APP, env=LONG) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
            path = await connect(http)
            server.process.terminate()
            await not_ready(server)
            await http.post(path, content='420["echo","still here"]')
            assert (await http.get(path)).text == '430["still here"]'
            waiting = asyncio.create_task(http.get(path))
            server.process.send_signal(signal.SIGINT)
            assert (await waiting).text == "1"


async def test_a_server_without_a_time_to_serve_on_stops_at_once() -> None:
    with serve(APP, env={"DRAIN": "0"}) as server:
        server.process.terminate()
        await ended(server)


async def test_a_server_without_a_time_to_serve_on_is_not_ready_while_handlers_end() -> None:
    with serve(APP, env={"DRAIN": "0"}) as server:
        async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
            path = await connect(http)
            await http.post(path, content='42["linger"]')
            assert (await http.get(path)).text == '42["lingers"]'
            server.process.terminate()
            assert (await not_ready(server))["checks"]["accepting"] is False
            await get(server, "/release")
        await ended(server)


async def test_a_server_stops_by_itself_when_the_time_is_over() -> None:
    with serve(APP, env={"DRAIN": "2.5"}) as server:
        server.process.terminate()
        await not_ready(server)
        await ended(server)


@pytest.mark.parametrize(("launcher", "workers"), [("uvicorn", 4), ("gunicorn", 2)])
async def test_the_last_of_several_workers_serves_on(
    monkeypatch: pytest.MonkeyPatch, launcher: str, workers: int
) -> None:
    use_this_application(monkeypatch, launcher)
    with launched(launcher, workers, **LONG) as server:
        assert (await get(server)).status_code == 200
        server.process.terminate()
        ends = set()
        while workers_that_run(server):
            worker = await check_that_it_serves_on(server)
            ends.add(worker)
            os.kill(worker, signal.SIGINT)
            assert await asyncio.to_thread(wait_for_end, worker)
        assert ends
        await ended(server)
        assert "Traceback" not in server.log()


async def test_the_workers_of_a_program_serve_on() -> None:
    with serve("tests/apps/healthy.py", server="python", env={**LONG, "WORKERS": "2"}) as server:
        await asyncio.to_thread(wait_for_workers, server, 2)
        server.process.terminate()
        await check_that_it_serves_on(server)
        server.process.terminate()  # the second time ends it without waiting
        await ended(server)


async def test_a_server_is_ready_while_its_workers_are_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    use_this_application(monkeypatch, "uvicorn")
    with launched("uvicorn", 2, **LONG, UVICORN_TIMEOUT_WORKER_HEALTHCHECK="60") as server:
        old = workers_of(server)
        server.process.send_signal(signal.SIGHUP)
        while not all(wait_for_end(worker, 0) for worker in old):
            assert (await get(server)).status_code == 200
        assert len(workers_of(server)) == 4
        assert (await get(server)).status_code == 200
        server.process.terminate()
        os.kill(await check_that_it_serves_on(server), signal.SIGINT)  # or its end would take that long


def use_this_application(monkeypatch: pytest.MonkeyPatch, launcher: str) -> None:
    commands = [command.replace("tests.apps.workers:asgi", APP) for command in LAUNCHERS[launcher]]
    monkeypatch.setitem(LAUNCHERS, launcher, commands)


def workers_that_run(server: Server) -> list[int]:
    return [worker for worker in workers_of(server) if not wait_for_end(worker, 0)]


def wait_for_end(process: int, seconds: float = WAIT) -> bool:
    """Whether a process has ended by then, though its parent may not know it yet."""
    try:
        descriptor = os.pidfd_open(process)
    except ProcessLookupError:
        return True
    with open(descriptor) as file:
        return bool(select.select([file], [], [], seconds)[0])
