"""A program that imports every module of asyncsock and serves a handler of each kind once.

It prints what was served. A module whose optional library is not installed is compiled only.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import uvicorn
from flask import Flask
from websockets.sync.client import connect

import asyncsock
from asyncsock import Namespace, SocketIO, emit, join_room

FOLDER = Path(asyncsock.__file__).parent
WAIT = 20.0
LEFT_OUT = {"asyncsock.__main__", "asyncsock.migrate.__main__"}  # they start a command

app = Flask(__name__)
app.config["SECRET_KEY"] = "a secret"
socketio = SocketIO(app)


@app.get("/view")
def view() -> str:
    return "def view"


@app.get("/coroutine")
async def coroutine_view() -> str:
    return "async view"


@socketio.on("coroutine")
async def coroutine(text: str) -> str:
    join_room("room")
    await emit("heard", text, to="room")
    return "async handler"


@socketio.on("function")
def function(text: str) -> str:
    emit("heard", text, broadcast=True)
    return "def handler"


@socketio.on("*")
async def any_event(event: str, *args: Any) -> str:
    return "handler of any event"


class Class(Namespace):
    def on_connect(self) -> None:
        emit("heard", "connected")

    async def on_say(self, text: str) -> str:
        self.emit("heard", text)
        return "class-based handler"


socketio.on_namespace(Class("/class"))


def import_all() -> None:
    for path in FOLDER.rglob("*.py"):
        compile(path.read_text(encoding="utf-8"), str(path), "exec")
    for module in pkgutil.walk_packages([str(FOLDER)], "asyncsock."):
        if module.name in LEFT_OUT:
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            if str(error.name).startswith("asyncsock"):
                raise


def served(address: str) -> list[str]:
    """What a client gets from each view and each handler."""
    answers = [
        urllib.request.urlopen(f"http://{address}/{path}", timeout=WAIT).read().decode()
        for path in ("view", "coroutine")
    ]
    polling = f"http://{address}/socket.io/?EIO=4&transport=polling"
    if urllib.request.urlopen(polling, timeout=WAIT).read().startswith(b'0{"sid"'):
        answers.append("polling")
    with connect(f"ws://{address}/socket.io/?EIO=4&transport=websocket") as client:
        for namespace in ("", "/class,"):
            client.send(f"40{namespace}")
            while not str(client.recv(timeout=WAIT)).startswith("40"):
                pass
        calls = {"coroutine": "", "function": "", "other": "", "say": "/class,"}
        for number, (event, namespace) in enumerate(calls.items()):
            client.send(f'42{namespace}{number}["{event}","text"]')
        while len(answers) < 3 + len(calls):  # acknowledgements are among events
            packet = str(client.recv(timeout=WAIT))
            if packet.startswith("43"):
                answers += json.loads(packet[packet.index("[") :])
    return sorted(answers)


def main() -> None:
    server = uvicorn.Server(uvicorn.Config(socketio.asgi_app, host="127.0.0.1", port=0, log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started and thread.is_alive():
        time.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        print(*served(f"127.0.0.1:{port}"), sep="\n")
    finally:
        server.should_exit = True
        thread.join()


if __name__ == "__main__":
    import_all()
    main()
