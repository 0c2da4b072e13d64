"""The program's own signal handlers under socketio.run: they run first, and then the server stops."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, Server, serve

PROGRAM = "tests/apps/signals_run.py"
NAMES = pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])


@contextmanager
def run(handlers: dict[str, str], *, env: dict[str, str] | None = None, **options: Any) -> Iterator[Server]:
    environment = {"HANDLERS": json.dumps(handlers), "RUN_OPTIONS": json.dumps(options), **(env or {})}
    with serve(PROGRAM, server="python", env=environment) as server:
        yield server


async def ended(server: Server) -> int:
    return await asyncio.to_thread(server.process.wait, 15)


async def stopped_at(server: Server, name: str, process: int | None = None) -> int:
    """Send a signal to a server with a client, and return the exit code."""
    async with connected(server.url, mode="websocket") as client:
        gone = client.arrivals("disconnect")
        assert await client.call("echo", "hello") == "hello"
        os.kill(process or server.process.pid, signal.Signals[name])
        await arrived(gone)
    return await ended(server)


def said(server: Server, text: str) -> int:
    return sum(text in line for line in server.log().splitlines())


def ran(server: Server, name: str) -> int:
    return said(server, f"handler of the program: {name}")


@pytest.mark.parametrize(
    ("name", "end"),
    [
        ("SIGTERM", "return"),
        ("SIGINT", "return"),
        ("SIGTERM", "stop"),
        ("SIGINT", "interrupt"),
        ("SIGINT", "chain"),
    ],
)
async def test_the_programs_handler_runs_and_then_the_server_stops(name: str, end: str) -> None:
    with run({name: end}) as server:
        assert await stopped_at(server, name) == 0
        assert ran(server, name) == 1
        assert said(server, "run() has ended, its handlers are back") == 1
        assert said(server, "left: server disconnect") == 1
        assert "Traceback" not in server.log()


@pytest.mark.parametrize(
    ("name", "end", "code"), [("SIGTERM", "exit", 7), ("SIGINT", "exit", 7), ("SIGTERM", "fail", 1)]
)
async def test_what_the_programs_handler_raises_ends_the_program_after_the_sessions(
    name: str, end: str, code: int
) -> None:
    """changedetection.io's handler saves, and calls sys.exit()."""
    with run({name: end}) as server:
        assert await stopped_at(server, name) == code
        assert ran(server, name) == 1
        assert said(server, "left: server disconnect") == 1
        assert said(server, "its handlers are back") == 1
        assert said(server, "LookupError: a handler that fails") == (1 if end == "fail" else 0)


@NAMES
async def test_a_signal_without_a_handler_of_the_program_only_stops_the_server(name: str) -> None:
    other = "SIGINT" if name == "SIGTERM" else "SIGTERM"
    with run({other: "return"}) as server:
        assert await stopped_at(server, name) == 0
        assert said(server, "handler of the program") == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize(
    ("name", "when", "end"),
    [("SIGTERM", "started", "return"), ("SIGINT", "started", "chain"), ("SIGINT", "loop", "return")],
)
async def test_a_handler_that_is_installed_while_the_server_runs_counts_too(
    name: str, loop: str, when: str, end: str
) -> None:
    with run({name: end}, env={"WHEN": when}, loop=loop) as server:
        server.wait_for_log("installed")
        assert await stopped_at(server, name) == 0
        assert ran(server, name) == 1
        assert "Traceback" not in server.log()


async def test_a_second_signal_runs_the_handler_again_and_waits_for_nothing() -> None:
    with run({"SIGINT": "return"}) as server:
        async with connected(server.url, mode="websocket") as client:
            await client.call("echo", "hello")
            os.kill(server.process.pid, signal.SIGINT)
            server.wait_for_log("handler of the program")
            os.kill(server.process.pid, signal.SIGINT)
            assert await ended(server) == 0
        assert ran(server, "SIGINT") == 2


async def test_an_ignored_signal_stays_ignored() -> None:
    with run({"SIGTERM": "return"}, env={"IGNORED": "SIGINT"}) as server:
        async with connected(server.url, mode="websocket") as client:
            os.kill(server.process.pid, signal.SIGINT)
            assert await client.call("echo", "hello") == "hello"
        assert await stopped_at(server, "SIGTERM") == 0


def child_of(server: Server) -> int:
    children = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children").read_text().split()
    [child] = [int(child) for child in children]
    return child


@pytest.mark.parametrize(("name", "end", "code"), [("SIGTERM", "exit", 7), ("SIGINT", "return", 0)])
async def test_beside_the_reloader_the_handlers_of_the_process_that_serves_run(
    name: str, end: str, code: int
) -> None:
    if not Path("/proc/self/task").exists():
        pytest.skip("finds the process that serves in /proc")
    with run({name: end}, use_reloader=True, exclude_patterns=[f"{ROOT}/*"]) as server:
        assert await stopped_at(server, name, child_of(server)) == code
        assert ran(server, name) == 1
        assert said(server, "left: server disconnect") == 1
        assert said(server, "its handlers are back") >= 1


@NAMES
async def test_under_uvicorn_run_the_programs_handler_is_called_too(name: str) -> None:
    """uvicorn replaces the handlers and calls them when it has stopped."""
    with run({name: "return"}, env={"SERVED_BY": "uvicorn"}) as server:
        assert await stopped_at(server, name) == 0
        assert ran(server, name) == 1
        assert said(server, "left: server disconnect") == 1


async def test_control_break_of_windows_stops_the_server_too() -> None:
    """Here another signal bears its name."""
    with run({"SIGUSR1": "return"}, env={"SIGBREAK": "SIGUSR1"}) as server:
        assert await stopped_at(server, "SIGUSR1") == 0
        assert ran(server, "SIGUSR1") == 1
        assert said(server, "left: server disconnect") == 1
