"""What docs/howto/observing.md says of traces."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import httpx

from asyncsock.observing.trace_context import NAMES, attributes
from tests.support.python_socketio_client import connected
from tests.support.server_process import ROOT, serve

SECTION = (
    (ROOT / "docs" / "howto" / "observing.md").read_text().partition("\n## Traces\n")[2].partition("\n## ")[0]
)
PROGRAM = """
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app


@app.route("/tell")
def tell():
    socketio.emit("said", "good")
    return ""


@socketio.on("say")
def say(text):
    return text
"""


async def test_the_program_traces_its_server(tmp_path: Path) -> None:
    (calls,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (tmp_path / "traced_program.py").write_text(calls + PROGRAM)
    options = {"args": ["--app-dir", str(tmp_path)], "env": {"OTEL_BSP_SCHEDULE_DELAY": "50"}}
    with serve("traced_program:asgi", **options) as server:  # type: ignore[arg-type]
        async with connected(server.url, mode="websocket") as client:
            assert await client.call("say", "hello") == "hello"
        async with httpx.AsyncClient(trust_env=False) as http:
            await http.get(f"{server.url}/tell")
        for name in ("connect /", "process say", "send said"):
            await asyncio.to_thread(server.wait_for_log, f'"name": "{name}"')


def test_every_attribute_is_in_the_table() -> None:
    rows = [line for line in SECTION.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_.]+\.[a-z_.]+)`", row.split("|")[1])}
    assert named == {*attributes("send", "send", "said", "/", {}), *NAMES.values(), "error.type"}
