"""The program of docs/howto/observing.md does what it says of the Admin UI."""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest
import socketio

from tests.support.raw_clients import within
from tests.support.required_parts import require
from tests.support.server_process import ROOT, serve

SECTION = (
    (ROOT / "docs" / "howto" / "observing.md")
    .read_text()
    .partition("\n## The Admin UI\n")[2]
    .partition("\n## ")[0]
)
IMPORTS = """
import os
from flask import Flask, send_from_directory
from asyncsock import SocketIO
app = Flask(__name__)
"""
PACKAGES = ROOT / "tests" / "browser" / "node_modules"


async def test_the_program_serves_the_pages_and_lets_the_admin_in(tmp_path: Path) -> None:
    require(
        (PACKAGES / "@socket.io" / "admin-ui").is_dir(), "npm package @socket.io/admin-ui in tests/browser"
    )
    blocks = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    (tmp_path / "program.py").write_text("\n".join([IMPORTS, *blocks, "asgi = socketio.asgi_app"]))
    (tmp_path / "node_modules").symlink_to(PACKAGES)
    env = {"ADMIN_PASSWORD": "secret"}
    with serve("program:asgi", args=["--app-dir", str(tmp_path)], env=env) as server:
        async with httpx.AsyncClient(trust_env=False) as http:
            page = await http.get(f"{server.url}/admin-ui/index.html")
        assert "Socket.IO Admin UI" in page.text
        admin = socketio.AsyncSimpleClient()
        with pytest.raises(socketio.exceptions.ConnectionError):
            await admin.connect(server.url, namespace="/admin", auth={"username": "admin", "password": ""})
        admin = socketio.AsyncSimpleClient()
        await admin.connect(server.url, namespace="/admin", auth={"username": "admin", "password": "secret"})
        while (await within(admin.receive()))[0] != "all_sockets":
            pass
        await admin.disconnect()
        assert "Traceback" not in server.log(), server.log()
