"""Small projects in the shapes of public ones, written for Flask-SocketIO, before and after the move.

Each is run as its users run it, first as it is, then with nothing changed but what
docs/howto/migrating.md says. Its clients must not be able to tell. The changes are made here, by text:
`moved` has those of all projects.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import aiohttp
import httpx
import pytest
import socketio

from tests.support.ports import free_port
from tests.support.python_socketio_client import WAIT, Client, arrived, connected
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

PROJECTS = Path(__file__).parent / "projects"
pytestmark = pytest.mark.slow


def moved(folder: Path, changes: Mapping[str, tuple[str, str]]) -> None:
    """Move a project: its imports, and for some files one piece of text that the guide says to change."""
    for path in folder.rglob("*.py"):
        path.write_text(path.read_text().replace("from flask_socketio import", "from asyncsock import"))
    for name, (old, new) in changes.items():
        text = (folder / name).read_text()
        assert text.count(old) == 1, old
        (folder / name).write_text(text.replace(old, new))


@contextmanager
def project(
    name: str,
    folder: Path,
    *,
    after: bool,
    line: list[str] | None = None,
    changes: Mapping[str, tuple[str, str]] | None = None,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
) -> Iterator[Server]:
    """Run a copy of a project in a process of its own.

    Args:
        name: its folder in tests/projects.
        folder: an empty one.
        after: whether it is moved to asyncsock.
        line: the command line after `python`; its main.py by default.
        changes: what moving it takes besides the imports; see `moved`.
        env: environment variables beside those of this process and PORT.
        stdin: as `subprocess.Popen` takes it.
    """
    place = folder / ("after" if after else "before")
    shutil.copytree(PROJECTS / name, place)
    if after:
        moved(place, changes or {})
    port = free_port()
    log_path = folder / f"{place.name}.log"
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT), "PORT": str(port)}
    environment |= {"HOME": str(folder), **(env or {})}
    arguments = [part.replace("$PORT", str(port)) for part in line or ["main.py"]]
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=place,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE if stdin == subprocess.PIPE else log,
            stderr=log,
            start_new_session=True,
        )
    server = Server(process, port, log_path)
    try:
        wait_for_port(server, START_TIMEOUT)
        yield server
    finally:
        stop(process)
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


Recorder = Callable[[bool], Awaitable[Any]]


async def before_and_after(record: Recorder) -> Any:
    """What a project's clients see after the move, which is what they saw before it."""
    before, after = await record(False), await record(True)
    assert after == before
    return after


def browser(server: Server, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=server.url, headers=headers, trust_env=False, timeout=WAIT)


def cookies(http: httpx.AsyncClient) -> str:
    return "; ".join(f"{name}={value}" for name, value in http.cookies.items())


async def refusal(url: str, namespace: str, **options: Any) -> Any:
    """What a client is told that is refused, or None where it is not."""
    client = Client(url, mode="websocket")
    told = client.arrivals("connect_error", namespace)
    try:
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect([namespace], **options)
        return await arrived(told)
    finally:
        await client.close()


# An administration tool behind a proxy, below a path

PREFIX = "/tools/pgadmin4"


@pytest.mark.parametrize("mode", ["polling", "websocket", "upgrade"])
async def test_an_administration_tool_below_a_path_moves(mode: str, tmp_path: Path) -> None:
    async def record(after: bool) -> list[Any]:
        headers = {"X-Script-Name": PREFIX}  # as the proxy adds it to each request
        async with AsyncExitStack() as stack:
            server = stack.enter_context(project("administration", tmp_path, after=after))
            http = await stack.enter_async_context(browser(server, headers))
            seen: list[Any] = [(await http.get(f"{PREFIX}/login")).text]
            headers["Cookie"] = cookies(http)
            session = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
            client = Client(server.url, mode=mode, http_session=session)
            stack.push_async_callback(client.close)
            connect, output, end = (
                client.arrivals(event, "/pty") for event in ("connected", "pty-output", "pty-end")
            )
            await client.connect(["/pty"], socketio_path=f"{PREFIX}/socket.io", headers=headers)
            seen.append((await arrived(connect)) == ({"sid": client.socket.get_sid("/pty")},))
            await client.emit("start_process", {"lines": ["one", "two"]}, namespace="/pty")
            seen += [await arrived(output), await arrived(output), await arrived(end)]
            seen.append((await http.get(f"{PREFIX}/terminals")).json())
            return seen

    assert await before_and_after(record) == [
        f"at {PREFIX}",
        True,
        ({"result": "one", "error": False},),
        ({"result": "two", "error": False},),
        (),
        {"open": 1},
    ]


async def test_who_is_not_logged_in_gets_no_terminal(tmp_path: Path) -> None:
    async def record(after: bool) -> list[Any]:
        with project("administration", tmp_path, after=after) as server:
            proxied = {"headers": {"X-Script-Name": PREFIX}, "socketio_path": f"{PREFIX}/socket.io"}
            return [await refusal(server.url, "/pty"), await refusal(server.url, "/pty", **proxied)]

    assert await before_and_after(record) == 2 * [({"message": "Unauthorised !"},)]


# A watcher of pages, with signal handlers of its own


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_watcher_that_saves_its_work_at_a_signal_moves(number: int, tmp_path: Path) -> None:
    async def record(after: bool) -> list[Any]:
        store = tmp_path / f"store-{after}.json"
        with project("watcher", tmp_path, after=after, env={"STORE": str(store)}) as server:
            url = f"{server.url}?token=1"
            seen: list[Any] = [await refusal(server.url, "/")]
            client = Client(url)
            events = ("queue_size", "toast", "watch_update", "operation_result")
            size, toast, update, result = map(client.arrivals, events)
            async with connected(url) as other:
                updates = other.arrivals("watch_update")
                try:
                    await client.connect()
                    seen.append(await arrived(size))
                    await client.emit("checkbox-operation", {"pages": ["a", "b", "a"]})
                    seen += [await arrived(toast), *[await arrived(update) for _ in range(3)]]
                    seen += [await arrived(updates) for _ in range(3)]
                    await client.emit("watch_operation", {"op": "pause"})
                    seen.append(await arrived(result))
                    gone = client.arrivals("disconnect")
                    server.process.send_signal(number)
                    await arrived(gone)
                finally:
                    await client.close()
            seen.append(await asyncio.to_thread(server.process.wait, WAIT))
            assert "the shutdown of the program's own" in server.log()
            if after:
                assert "Traceback" not in server.log()
            seen.append(json.loads(store.read_text()))
            return seen

    seen = await before_and_after(record)
    assert seen[-2:] == [0, {"checked": {"a": 2, "b": 1}, "signal": signal.Signals(number).name}]


async def test_a_watcher_is_told_which_option_it_may_remove(tmp_path: Path) -> None:
    environment = {"STORE": str(tmp_path / "store.json")}
    with project("watcher", tmp_path, after=True, env=environment) as server:
        async with connected(f"{server.url}?token=1"):
            pass
        lines = [line for line in server.log().splitlines() if "engineio_options" in line]
        assert any("http_compression" in line or "SocketIO" in line for line in lines), server.log()


# A dashboard in a notebook


def read_until_done(output: IO[bytes]) -> None:
    """Read a program's output up to its word that an order is carried out; servers write there, too."""
    while not (line := output.readline()).startswith(b"done"):
        assert line, "the program has ended"


async def test_a_dashboard_that_runs_in_a_thread_moves(tmp_path: Path) -> None:
    async def record(after: bool) -> list[Any]:
        with project(
            "dashboard", tmp_path, after=after, line=["-m", "main"], stdin=subprocess.PIPE
        ) as server:

            async def order(text: str) -> None:
                assert server.process.stdin is not None
                assert server.process.stdout is not None
                server.process.stdin.write(json.dumps(text).encode() + b"\n")
                server.process.stdin.flush()
                await asyncio.wait_for(asyncio.to_thread(read_until_done, server.process.stdout), WAIT)

            seen: list[Any] = []
            for again in (False, True):
                async with browser(server) as http:
                    seen.append((await http.get("/state")).json())
                async with connected(server.url) as client:
                    messages = client.arrivals("message")
                    seen.append(await client.call("message", {"type": "ask"}, "more"))
                    seen.append(await arrived(messages))
                    await order("a cell")
                    seen.append(await arrived(messages))
                if not again:
                    await order("stop")
                    await order("run")
            return seen

    seen = await before_and_after(record)
    state = {"now": {"degrees": 21.5}, "at": "2026-01-02T03:04:05"}
    assert seen == 2 * [
        state,
        ("done", "more"),
        ({"type": "state", "payload": state},),
        ({"type": "cell", "payload": ["a cell", {"degrees": 1}]},),
    ]


# A board of notices from an application factory, under gunicorn

WORKERS = {
    False: ["-m", "gunicorn", "--threads", "20", "--bind", "127.0.0.1:$PORT", "wsgi:app"],
    True: [
        *("-m", "gunicorn", "--worker-class", "uvicorn_worker.UvicornWorker"),
        *("--bind", "127.0.0.1:$PORT", "wsgi:asgi"),
    ],
}
FACTORY = {"wsgi.py": ("app = create_app()\n", "app = create_app()\nasgi = socketio.asgi_app\n")}


@pytest.mark.parametrize("mode", ["polling", "websocket", "upgrade"])
async def test_an_application_factory_under_gunicorn_moves(mode: str, tmp_path: Path) -> None:
    async def record(after: bool) -> list[Any]:
        async with AsyncExitStack() as stack:
            running = project("factory", tmp_path, after=after, line=WORKERS[after], changes=FACTORY)
            server = stack.enter_context(running)
            seen: list[Any] = [await refusal(server.url, "/board")]
            http = await stack.enter_async_context(browser(server))
            seen.append((await http.get("/login/ann")).text)
            client = Client(server.url, mode=mode)
            stack.push_async_callback(client.close)
            events = ("welcome", "notice", "cleared")
            welcome, notice, cleared = (client.arrivals(event, "/board") for event in events)
            await client.connect(["/board"], headers={"Cookie": cookies(http)})
            seen.append(await arrived(welcome))
            for event, *arguments in (("post", "first"), ("post", "second"), ("list",), ("fail",), ("list",)):
                seen.append(await client.call(event, *arguments, namespace="/board"))
            seen += [await arrived(notice), await arrived(notice)]
            seen.append((await http.post("/clear")).json())
            seen += [await arrived(cleared), await client.call("list", namespace="/board")]
            return seen

    seen = await before_and_after(record)
    assert seen[1:5] == ["ann", ({"name": "ann", "rooms": 2},), 1, 2]
    assert seen[5] == seen[7] == [["ann", "first"], ["ann", "second"]]
    assert seen[6] == {"error": "a handler that fails"}
    assert seen[-1] == []
