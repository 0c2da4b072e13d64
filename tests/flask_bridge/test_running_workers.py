"""socketio.run(workers=...): processes that share a port, and their parent."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import flask
import httpx
import pytest

import asyncsock
from tests.support.ports import free_port
from tests.support.python_socketio_client import WAIT, arrived, connected
from tests.support.server_process import ROOT, START_TIMEOUT, Server, serve

PROGRAM = "tests/apps/workers_run.py"
SERVES = "Application startup complete"
STARTUP_FAILURE = 3  # uvicorn's exit code


@contextmanager
def run(
    target: str = PROGRAM, *, args: Sequence[str] = (), env: dict[str, str] | None = None, **options: Any
) -> Iterator[Server]:
    """The program with two workers, which have started."""
    environment = {"RUN_OPTIONS": json.dumps({"workers": 2, **options}), **(env or {})}
    with serve(target, server="python", args=args, env=environment) as server:
        try:
            wait_for_starts(server, 2)
            yield server
        finally:
            if server.process.poll() is not None:
                with suppress(ProcessLookupError):  # workers that its end has left
                    os.killpg(server.process.pid, signal.SIGKILL)


def wait_for_starts(server: Server, count: int) -> None:
    """Wait until so many workers have started since the start of the server."""
    deadline = time.monotonic() + START_TIMEOUT
    while server.log().count(SERVES) < count:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


def workers_of(server: Server) -> set[int]:
    number = server.process.pid
    return {int(pid) for pid in Path(f"/proc/{number}/task/{number}/children").read_text().split()}


async def answer(server: Server, path: str = "/process") -> httpx.Response:
    """The answer of one of the workers, on a new connection."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
        return await http.get(path)


async def exit_code(server: Server) -> int:
    return await asyncio.to_thread(server.process.wait, 2 * WAIT)


async def logged(server: Server, text: str) -> None:
    await asyncio.to_thread(server.wait_for_log, text)


def said(server: Server, text: str) -> int:
    return sum(text in line for line in server.log().splitlines())


async def gone(processes: set[int]) -> None:
    async def all_gone() -> None:
        while any(runs(pid) for pid in processes):
            await asyncio.sleep(0.05)

    await asyncio.wait_for(all_gone(), WAIT)


def runs(pid: int) -> bool:
    """Whether it is a process that is not only waiting for its parent to notice its end."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# Serving


@pytest.mark.parametrize(
    ("target", "args"), [(PROGRAM, []), ("-m", ["tests.apps.workers_run"])], ids=["a file", "a module"]
)
async def test_all_workers_serve_and_their_parent_does_not(target: str, args: list[str]) -> None:
    with run(target, args=args) as server:
        seen: set[int] = set()
        while len(seen) < 2:
            process = (await answer(server)).json()
            assert process["parent"] == server.process.pid
            assert "ASYNCSOCK_WORKER" not in process["environment"]
            seen.add(process["pid"])
        assert seen == workers_of(server)
        async with connected(server.url, mode="websocket") as client:
            assert await client.call("echo", "hello") == "hello"
        assert said(server, "Uvicorn running on http://127.0.0.1:") == 1


async def test_one_worker_is_the_process_itself() -> None:
    environment = {"RUN_OPTIONS": json.dumps({"workers": 1})}
    with serve(PROGRAM, server="python", env=environment) as server:
        assert (await answer(server)).json()["pid"] == server.process.pid


async def test_workers_share_a_unix_socket_also_where_a_killed_server_has_left_one(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    line = [sys.executable, PROGRAM]
    options = json.dumps({"workers": 2, "uds": str(path)})
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PORT": "0", "RUN_OPTIONS": options}
    with subprocess.Popen(line, cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        for text in process.stderr:
            if SERVES in text:
                break
        transport = httpx.AsyncHTTPTransport(uds=str(path))
        async with httpx.AsyncClient(transport=transport, base_url="http://server", timeout=WAIT) as http:
            assert (await http.get("/process")).json()["parent"] == process.pid
        process.terminate()
        await asyncio.to_thread(process.communicate, timeout=START_TIMEOUT)  # one worker may still begin
    assert process.returncode == 0
    assert not path.exists()


async def test_workers_share_a_socket_that_the_program_was_given() -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        port = given.getsockname()[1]
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "PORT": "0",
            "RUN_OPTIONS": json.dumps({"workers": 2, "fd": given.fileno()}),
        }
        process = subprocess.Popen(
            [sys.executable, PROGRAM],
            cwd=ROOT,
            env=environment,
            pass_fds=[given.fileno()],
            stderr=subprocess.DEVNULL,
        )
    url = f"http://127.0.0.1:{port}"
    # The socket listens before there are workers; and the second may still begin when they are to end.
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=START_TIMEOUT) as http:
        assert (await http.get("/process")).json()["parent"] == process.pid
    process.terminate()
    assert await asyncio.to_thread(process.wait, START_TIMEOUT) == 0


# Stopping


@pytest.mark.parametrize(
    ("name", "to_all"),
    [("SIGTERM", False), ("SIGTERM", True), ("SIGINT", True)],
    ids=["to the parent", "to all, as systemd does", "to all, as a terminal does"],
)
async def test_at_a_signal_the_workers_close_their_sessions_and_the_parent_ends(
    name: str, to_all: bool
) -> None:
    with run() as server:
        async with connected(server.url, mode="websocket") as client:
            left = client.arrivals("disconnect")
            assert await client.call("echo", "hello") == "hello"
            number = signal.Signals[name]
            if to_all:
                os.killpg(server.process.pid, number)
            else:
                os.kill(server.process.pid, number)
            await arrived(left)
        assert await exit_code(server) == 0
        assert said(server, "left: server disconnect") == 1
        assert said(server, "run() has returned in") == 3
        assert "Traceback" not in server.log()
        assert "is replaced" not in server.log()


async def test_a_second_signal_to_the_parent_waits_for_nothing() -> None:
    with run(timeout_graceful_shutdown=600) as server:
        async with connected(server.url, mode="websocket") as client:
            await client.emit("wait")
            await logged(server, "a handler waits")
            server.process.terminate()
            await logged(server, "run() has returned in")  # the worker without a client
            server.process.terminate()
            assert await exit_code(server) == 0
        assert said(server, "run() has returned in") == 3


async def test_a_third_signal_to_the_parent_kills_a_worker_that_hangs() -> None:
    with run(timeout_graceful_shutdown=600) as server:
        workers = workers_of(server)
        hanging = asyncio.create_task(answer(server, "/hang"))
        await logged(server, "the loop hangs")
        deadline = time.monotonic() + 2 * WAIT
        while any(runs(pid) for pid in workers):  # signals that come together are one
            assert time.monotonic() < deadline
            server.process.terminate()
            await asyncio.sleep(0.2)
        await exit_code(server)
        with pytest.raises(httpx.TransportError):
            await hanging


async def test_a_worker_that_hangs_is_killed_after_the_grace_period() -> None:
    with run(timeout_graceful_shutdown=0) as server:
        hanging = asyncio.create_task(answer(server, "/hang"))
        await logged(server, "the loop hangs")
        server.process.terminate()
        assert await exit_code(server) == 0
        assert said(server, "has not ended in time, and is killed") >= 1
        with pytest.raises(httpx.TransportError):
            await hanging


async def test_workers_whose_parent_was_killed_end_also_where_one_hangs() -> None:
    with run(timeout_graceful_shutdown=0) as server:
        workers = workers_of(server)
        hanging = asyncio.create_task(answer(server, "/hang"))
        await logged(server, "the loop hangs")
        server.process.kill()
        await gone(workers)
        assert said(server, "The parent process is gone") == 2
        with pytest.raises(httpx.TransportError):
            await hanging


async def test_the_programs_handler_runs_once_in_each_process_when_the_parent_gets_the_signal() -> None:
    with run(env={"SIGTERM_HANDLER": "1"}) as server:
        processes = {server.process.pid, *workers_of(server)}
        server.process.terminate()
        assert await exit_code(server) == 0
        for pid in processes:
            assert said(server, f"handler of the program in {pid}") == 1


async def test_stop_in_a_worker_stops_them_all_and_their_parent() -> None:
    with run() as server:
        assert (await answer(server, "/stop")).text == "stopping"
        assert await exit_code(server) == 0
        assert said(server, "run() has returned in") == 3


async def test_stop_in_the_parent_stops_the_workers(tmp_path: Path) -> None:
    told = tmp_path / "stopped by"
    with run(env={"STOPPED_BY": str(told)}) as server:
        told.write_text(str(server.process.pid))
        assert await exit_code(server) == 0
        assert said(server, "run() has returned in") == 3


# Replacing


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM"])
async def test_a_worker_that_ends_is_replaced_with_one_line_in_the_log(name: str) -> None:
    with run() as server:
        ended, other = workers_of(server)
        os.kill(ended, signal.Signals[name])
        wait_for_starts(server, 3)
        workers = workers_of(server)
        assert len(workers) == 2
        assert other in workers
        assert said(server, f"Worker process [{ended}] has ended") == 1


@pytest.mark.parametrize("how", ["fail", "exit"])
def test_a_program_that_comes_to_no_run_in_a_worker_ends_with_one_clear_error(
    how: str, tmp_path: Path
) -> None:
    program = tmp_path / "program.py"
    ending = "raise LookupError('in a worker')" if how == "fail" else "raise SystemExit"
    program.write_text(
        "import os\n"
        f"if 'ASYNCSOCK_WORKER' in os.environ: {ending}\n"
        "from flask import Flask\n"
        "from asyncsock import SocketIO\n"
        "app = Flask('app')\n"
        f"SocketIO(app).run(app, port={free_port()}, workers=2)\n"
    )
    ended = subprocess.run(
        [sys.executable, str(program)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=20,
    )
    assert ended.returncode == STARTUP_FAILURE
    assert "before it served: the server stops" in ended.stderr
    assert ended.stderr.count("LookupError: in a worker") <= 2


async def test_a_worker_whose_place_no_other_can_take_stops_the_server(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with run(env={"BROKEN": str(broken)}) as server:
        broken.write_text("exit")
        os.kill(min(workers_of(server)), signal.SIGKILL)
        assert await exit_code(server) == STARTUP_FAILURE
        assert said(server, "before it served: the server stops") == 1


def test_a_port_that_is_taken_ends_the_program_with_uvicorns_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = subprocess.run(
            [sys.executable, PROGRAM],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PORT": port, "RUN_OPTIONS": '{"workers": 2}'},
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert ended.returncode == STARTUP_FAILURE
    assert ended.stderr.count("Address already in use") == 1


async def test_at_sighup_all_workers_are_replaced_and_some_serve_all_the_time() -> None:
    with run() as server:
        before = workers_of(server)
        server.process.send_signal(signal.SIGHUP)
        while workers_of(server) & before or len(workers_of(server)) != 2:
            assert (await answer(server)).status_code == 200
        assert said(server, SERVES) == 4
        assert (await answer(server)).json()["pid"] in workers_of(server)


async def test_at_sighup_workers_stay_if_their_successor_fails(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    with run(env={"BROKEN": str(broken)}) as server:
        before = workers_of(server)
        broken.write_text("fail")
        server.process.send_signal(signal.SIGHUP)
        await logged(server, "those that serve are not replaced")
        assert workers_of(server) == before
        assert (await answer(server)).json()["pid"] in before
        assert said(server, "LookupError: a program that cannot be loaded") == 1


# What is refused


def an_application() -> tuple[flask.Flask, asyncsock.SocketIO]:
    app = flask.Flask("app")
    return app, asyncsock.SocketIO(app)


@pytest.mark.parametrize("workers", [0, -1, 2.0, "2", True])
def test_what_is_no_number_of_processes_is_refused(workers: Any) -> None:
    app, socketio = an_application()
    with pytest.raises(ValueError, match=r"workers=.* a number of processes, 1 or more"):
        socketio.run(app, workers=workers)


@pytest.mark.parametrize("options", [{"debug": True}, {"use_reloader": True}], ids=str)
def test_workers_with_the_reloader_are_refused_with_the_remedy(options: dict[str, bool]) -> None:
    app, socketio = an_application()
    with pytest.raises(ValueError, match=r"workers=2 does not go with the reloader.*use_reloader=False"):
        socketio.run(app, workers=2, **options)


def test_workers_are_refused_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    app, socketio = an_application()
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(RuntimeError, match=r"on Windows.*once for each port"):
        socketio.run(app, workers=2)


def test_workers_are_refused_outside_the_main_thread() -> None:
    app, socketio = an_application()
    errors: list[Exception] = []

    def call() -> None:
        try:
            socketio.run(app, workers=2)
        except RuntimeError as error:
            errors.append(error)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert "Call run() in the main thread" in str(errors)
