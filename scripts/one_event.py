"""Have the asyncsock that is installed serve one event, as a program would. For `release_check.py`.

flask --app one_event.py socketio run      serves it
python one_event.py VERSION                has that done, and is its client
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

from flask import Flask
from websockets.sync.client import ClientConnection, connect

import asyncsock

PATIENCE = 30  # seconds until the server listens

app = Flask(__name__)
socketio = asyncsock.SocketIO(app)


@socketio.on("upper")
async def upper(text: str) -> str:
    return text.upper()


def flask(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "flask", "--app", __file__, "socketio", *arguments]


def connected(port: int) -> ClientConnection:
    """A client of the server, once that listens."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket")
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def ask(client: ClientConnection) -> str:
    """Send an event in Socket.IO's own bytes, and return the acknowledgement."""
    assert str(client.recv(timeout=PATIENCE)).startswith("0{")
    client.send("40")
    assert str(client.recv(timeout=PATIENCE)).startswith('40{"sid"')
    client.send('420["upper","hi"]')
    answer = str(client.recv(timeout=PATIENCE))
    assert answer.startswith("430")
    [text] = json.loads(answer[3:])
    return str(text)


def main(version: str) -> None:
    assert asyncsock.__version__ == metadata.version("asyncsock") == version
    assert Path(asyncsock.__file__).is_relative_to(sys.prefix), asyncsock.__file__
    assert "typescript" in subprocess.run(flask("--help"), check=True, capture_output=True, text=True).stdout
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with subprocess.Popen(flask("run", "--port", str(port))) as server:
        try:
            with connected(port) as client:
                assert ask(client) == "HI"
        finally:
            server.terminate()
    assert server.returncode == 0, f"the server ended with {server.returncode}"


if __name__ == "__main__":
    main(*sys.argv[1:])
