"""The smaller examples, with real clients and in real Chromium. Screenshots are kept in artifacts/."""

from __future__ import annotations

import asyncio
import difflib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.ports import free_port
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.required_parts import require
from tests.support.server_process import ROOT, START_TIMEOUT, Server, serve, stop, wait_for_port

EXAMPLES = ROOT / "examples"
BROWSER = ROOT / "tests" / "browser"
ARTIFACTS = ROOT / "artifacts"
ACCOUNTS = {"Ada": "engine", "Grace": "compiler"}


def example(name: str, target: str = "app:asgi") -> Iterator[Server]:
    """An example under uvicorn, as its README says to start it."""
    with serve(target, args=["--app-dir", f"examples/{name}"]) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.fixture
def login() -> Iterator[Server]:
    yield from example("login")


@pytest.fixture
def background() -> Iterator[Server]:
    yield from example("background")


@contextmanager
def script(path: Path, log_path: Path) -> Iterator[Server]:
    """A program that serves itself on PORT."""
    port = free_port()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", "PORT": str(port)}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, str(path)],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log_path)
    try:
        wait_for_port(server, START_TIMEOUT)
        yield server
    finally:
        stop(process)
    assert "Traceback" not in server.log(), server.log()


@asynccontextmanager
async def watching(
    server: Server, event: str
) -> AsyncIterator[tuple[Client, asyncio.Queue[tuple[Any, ...]]]]:
    """A client and its events of a kind, past the one that comes when it connects."""
    client = Client(server.url, mode="polling")
    events = client.arrivals(event)
    try:
        await client.connect()
        await arrived(events)
        yield client, events
    finally:
        await client.close()


# The poll, before and after


@pytest.fixture(params=["before.py", "after.py", "after:asgi"])
def poll(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """The poll with Flask-SocketIO; with asyncsock started by itself; and by uvicorn."""
    if request.param == "after:asgi":
        yield from example("migrated", "after:asgi")
        return
    if request.param == "before.py":
        require(importlib.util.find_spec("flask_socketio"), "Python package flask-socketio")
    with script(EXAMPLES / "migrated" / request.param, tmp_path / "log") as server:
        yield server


async def test_the_poll_is_the_same_before_and_after(poll: Server) -> None:
    async with (
        connected(poll.url, mode="polling") as one,
        watching(poll, "tally") as (two, tallies),
        httpx.AsyncClient(base_url=poll.url, trust_env=False) as http,
    ):
        closing, closed = two.arrivals("closing"), two.arrivals("closed")
        assert await one.call("vote", "Tea") == {"voted": "Tea"}
        assert await arrived(tallies) == ({"Coffee": 0, "Tea": 1, "Cocoa": 0},)
        assert await one.call("vote", "Gin") == {"error": "That is not on the list."}
        await one.emit("close")
        assert [await arrived(closing) for _ in range(3)] == [(3,), (2,), (1,)]
        assert await arrived(closed) == ("Tea",)
        await one.disconnect()
        assert await arrived(tallies) == ({"Coffee": 0, "Tea": 0, "Cocoa": 0},)
        assert (await http.post("/reset")).status_code == 204
        assert await arrived(tallies) == ({"Coffee": 0, "Tea": 0, "Cocoa": 0},)
        assert 'id="news"' in (await http.get("/")).text


def test_the_readme_shows_the_difference() -> None:
    folder = EXAMPLES / "migrated"
    before, after = ((folder / name).read_text().splitlines() for name in ("before.py", "after.py"))
    difference = "\n".join(difflib.unified_diff(before, after, "before.py", "after.py", lineterm=""))
    assert f"```diff\n{difference}\n```" in (folder / "README.md").read_text()


# Flask-Login


@asynccontextmanager
async def somebody(server: Server, name: str) -> AsyncIterator[tuple[Client, httpx.AsyncClient]]:
    """A client who has logged in, and the browser that did."""
    async with httpx.AsyncClient(base_url=server.url, trust_env=False) as http:
        assert (await http.post("/login", data={"name": name, "password": ACCOUNTS[name]})).status_code == 302
        cookies = "; ".join(f"{key}={value}" for key, value in http.cookies.items())
        async with connected(server.url, mode="websocket", headers={"Cookie": cookies}) as client:
            yield client, http


async def test_who_is_logged_in_pins_and_takes_down_notes(login: Server) -> None:
    async with watching(login, "notes") as (_, notes), somebody(login, "Ada") as (ada, _):
        assert await ada.call("pin", "hello") == {}
        pinned = {"number": 1, "by": "Ada", "text": "hello"}
        assert await arrived(notes) == ([pinned],)
        async with somebody(login, "Grace") as (grace, _):
            assert "error" in await grace.call("take down", 1)
        assert await ada.call("take down", 1) == {}
        assert await arrived(notes) == ([],)


@pytest.mark.parametrize("event", ["pin", "take down"], ids=["a coroutine", "a function"])
async def test_who_is_not_logged_in_is_disconnected_by_the_decorator_around(
    login: Server, event: str
) -> None:
    async with connected(login.url, mode="websocket") as client, watching(login, "notes") as (_, notes):
        gone = client.arrivals("disconnect")
        await client.emit(event, 1)
        await arrived(gone)
        assert notes.empty()


async def test_logging_out_tells_the_other_pages_of_the_same_person(login: Server) -> None:
    async with somebody(login, "Ada") as (ada, http), somebody(login, "Grace") as (grace, _):
        told, not_told = ada.arrivals("logged out"), grace.arrivals("logged out")
        assert (await http.post("/logout")).status_code == 302
        await arrived(told)
        assert await grace.call("pin", "still here") == {}
        assert not_told.empty()


async def test_a_wrong_password_is_refused(login: Server) -> None:
    async with httpx.AsyncClient(base_url=login.url, trust_env=False) as http:
        answer = await http.post("/login", data={"name": "Ada", "password": "compiler"})
    assert answer.status_code == 422
    assert "do not belong together" in answer.text


# Updates


async def test_updates_come_from_a_thread_and_from_a_coroutine(background: Server) -> None:
    async with connected(background.url) as client:
        measured, ticks = client.arrivals("measured"), client.arrivals("tick")
        for _ in range(2):
            assert set((await arrived(measured))[0]) == {"load", "disk"}
            assert set((await arrived(ticks))[0]) == {"time", "pages"}


# The pages


def play(scenario: str, server: Server) -> None:
    """Run a scenario of tests/browser/examples.mjs."""
    for program in ("node", "chromium"):
        require(shutil.which(program), program)
    require((BROWSER / "node_modules" / "playwright-core").is_dir(), "npm package playwright-core")
    require((ROOT / "tests/js/node_modules/socket.io-client").is_dir(), "npm package socket.io-client")
    ARTIFACTS.mkdir(exist_ok=True)
    played = subprocess.run(
        ["node", "examples.mjs", scenario, server.url, str(ARTIFACTS)],
        cwd=BROWSER,
        env={**os.environ, "CHROMIUM": str(shutil.which("chromium"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
    )
    assert played.returncode == 0, f"{played.stdout}\nThe server's log:\n{server.log()}"


@pytest.mark.browser
@pytest.mark.parametrize("name", ["migrated", "login", "background"])
def test_the_page_of(name: str) -> None:
    for server in example(name, "after:asgi" if name == "migrated" else "app:asgi"):
        play(name, server)
