"""The programs of docs/howto/recovery.md do what it says."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from asyncsock import SocketIO
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, Server, serve
from tests.test_js_clients import require_clients

PAGE = (ROOT / "docs" / "howto" / "recovery.md").read_text()
TIMEOUT = 20


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


# The page moves to a WebSocket soon after it has connected, and while it moves, closing its engine waits.
WATCHED = """
from news import app, asgi, socketio


@app.get("/moved")
def moved():
    return str(socketio.server.eio.core.upgraded)
"""


@pytest.fixture
def news(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "news.py").write_text(blocks("python")[0])
    (tmp_path / "watched.py").write_text(WATCHED)
    with serve("watched:asgi", args=["--app-dir", str(tmp_path)]) as server:
        yield server
        assert "Traceback" not in server.log(), server.log()


@pytest.mark.javascript
async def test_the_page_goes_through_a_tunnel(news: Server, tmp_path: Path) -> None:
    require_clients("socket.io-client")
    (tmp_path / "news.mjs").write_text(*blocks("js"))
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "js" / "node_modules")
    page = subprocess.Popen(
        ["node", "news.mjs", news.url, "ada"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert page.stdout is not None
    try:
        assert [page.stdout.readline() for _ in range(2)] == ["here\n", "welcome, ada\n"]
        while httpx.get(f"{news.url}/moved", trust_env=False).text == "0":
            await asyncio.sleep(0.05)
        async with connected(news.url, auth={"name": "bob"}) as bob:
            headlines = bob.arrivals("headline")
            for text in ("tunnel", "missed", "too"):
                await bob.emit("publish", text)
                news_of_bob, offset = await arrived(headlines)
                assert news_of_bob == {"by": "bob", "text": text}
                assert isinstance(offset, str)
                if text == "tunnel":  # what comes in the same read as this is not missed
                    assert await asyncio.to_thread(page.stdout.readline) == "bob: tunnel\n"
        said = [page.stdout.readline() for _ in range(3)]
        assert said == ["back again\n", "bob: missed\n", "bob: too\n"]
    finally:
        page.kill()
        page.communicate()


def test_a_client_of_python_takes_the_offset(news: Server, tmp_path: Path) -> None:
    (tmp_path / "reader.py").write_text(blocks("python")[1])
    command = [sys.executable, "reader.py", news.url]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=TIMEOUT)
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_the_options_are_those_that_there_are() -> None:
    exec(blocks("python")[2], {"SocketIO": SocketIO})
