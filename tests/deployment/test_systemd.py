"""The systemd unit of docs/: what systemd says of it, its command line, and its stop."""

from __future__ import annotations

import asyncio
import getpass
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.ports import free_port
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

UNIT = (ROOT / "docs" / "files" / "asyncsock@.service").read_text()
APP = """
from flask import Flask
from asyncsock import SocketIO

app = Flask(__name__)
socketio = SocketIO(app)
asgi = socketio.asgi_app
"""


def setting(name: str) -> str:
    (value,) = re.findall(rf"^{name}=(.*)$", UNIT, re.MULTILINE)
    return str(value)


async def test_the_command_of_the_unit_serves_and_ends_in_time(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    port = free_port()
    program, *arguments = shlex.split(setting("ExecStart").replace("%i", str(port)))
    assert program == f"{setting('WorkingDirectory')}/.venv/bin/uvicorn"
    log_path = tmp_path / "log"
    with log_path.open("wb") as log:
        line = [sys.executable, "-m", "uvicorn", *arguments]
        process = subprocess.Popen(line, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True)
    server = Server(process, port, log_path)
    try:
        await asyncio.to_thread(wait_for_port, server, START_TIMEOUT)
        async with connected(server.url, mode="websocket") as client:
            gone = client.arrivals("disconnect")
            process.send_signal(signal.SIGTERM)
            await arrived(gone)
        await asyncio.to_thread(process.wait, float(setting("TimeoutStopSec")))
    finally:
        stop(process)


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="missing part: systemd-analyze")
def test_systemd_understands_the_unit(tmp_path: Path) -> None:
    """With a user and a program that this machine has."""
    text = UNIT.replace(f"User={setting('User')}", f"User={getpass.getuser()}")
    text = text.replace(f"{setting('WorkingDirectory')}/.venv/bin/uvicorn", sys.executable)
    text = text.replace(setting("WorkingDirectory"), str(tmp_path))
    (tmp_path / "asyncsock@.service").write_text(text)
    line = ["systemd-analyze", "verify", "--man=no", "./asyncsock@5001.service"]
    verified = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (verified.returncode, verified.stderr) == (0, "")
