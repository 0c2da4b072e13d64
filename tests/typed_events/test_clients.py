"""The program of docs/howto/typed-events.md with real clients: JavaScript's and python-socketio's."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.document_programs import write_files
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, Server
from tests.support.started_programs import started
from tests.test_js_clients import require_clients

PAGE = ROOT / "docs" / "howto" / "typed-events.md"
BAD = {"error": {"code": "invalid_payload", "path": "$[0].text", "message": "Expected `str`, got `int`"}}
JAVASCRIPT = """
import { io } from "socket.io-client";
const msgpack = process.argv[3] ? { parser: (await import("socket.io-msgpack-parser")).default } : {};
const socket = io(process.argv[2], { transports: ["websocket"], reconnection: false, ...msgpack });
const heard = [];
socket.on("chat", (message) => heard.push(message));
socket.on("connect_error", (error) => { console.log(error.message); process.exit(1); });
const good = await socket.emitWithAck("chat", { text: "hi" });
const bad = await socket.emitWithAck("chat", { text: 1 });
console.log(JSON.stringify({ good, bad, heard }));
socket.close();
"""


@pytest.fixture(scope="module", params=["default", "msgpack"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, str]]:
    folder = tmp_path_factory.mktemp("program")
    write_files(PAGE.read_text(), folder)
    program = folder / "app.py"
    text = program.read_text()
    assert "SocketIO(app)" in text
    program.write_text(text.replace("SocketIO(app)", f"SocketIO(app, serializer={request.param!r})"))
    with started("uvicorn app:asgi", folder) as (_, server):
        yield server, request.param


@pytest.mark.javascript
def test_a_javascript_client_gets_the_answer_or_what_was_wrong(
    server: tuple[Server, str], tmp_path: Path
) -> None:
    running, serializer = server
    require_clients("socket.io-client", "socket.io-msgpack-parser")
    (tmp_path / "node_modules").symlink_to(ROOT / "tests" / "js" / "node_modules")
    (tmp_path / "client.mjs").write_text(JAVASCRIPT)
    command = ["node", "client.mjs", running.url, *(["msgpack"] if serializer == "msgpack" else [])]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    heard = [{"text": "hi", "room": "lobby"}]
    assert json.loads(ended.stdout) == {"good": {"length": 2}, "bad": BAD, "heard": heard}


async def test_python_socketios_client_gets_the_same(server: tuple[Server, str]) -> None:
    running, serializer = server
    options = {"client_options": {"serializer": serializer}}
    async with connected(running.url, mode="websocket", **options) as client:  # type: ignore[arg-type]
        heard: asyncio.Queue[tuple[object, ...]] = client.arrivals("chat")
        assert await client.call("chat", {"text": "hi"}) == {"length": 2}
        assert await arrived(heard) == ({"text": "hi", "room": "lobby"},)
        assert await client.call("chat", {"text": 1}) == BAD
