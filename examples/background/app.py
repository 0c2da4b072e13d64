"""Updates that nobody asked for: one kind from a thread, one from a coroutine.

Run it with ``uvicorn --app-dir examples/background app:asgi``.
"""

from __future__ import annotations

import os
import shutil
import time
from datetime import datetime
from pathlib import Path

from flask import Flask, render_template

from asyncsock import SocketIO

CDN_CLIENT = {
    "url": "https://cdn.socket.io/4.8.3/socket.io.min.js",
    "integrity": "sha384-kzavj5fiMwLKzzD1f8S7TeoVIEi7uKHvbTA3ueZkrzYq75pNQUiUi6Dy98Q3fxb0",
}
INTERVAL = 1.0  # seconds


def find_client() -> str | None:
    """The path of a copy of the JavaScript client on this machine, which then need not ask the CDN."""
    installed = Path(__file__).resolve().parents[2] / "tests/js/node_modules/socket.io-client/dist"
    place = Path(os.environ.get("SOCKET_IO_CLIENT", installed / "socket.io.min.js"))
    return str(place) if place.is_file() else None


local_client = find_client()
app = Flask(__name__)
socketio = SocketIO(app, serve_client=local_client)
asgi = socketio.asgi_app
pages = 0  # how many are open; only coroutines touch it, so it needs no lock


@app.get("/")
def index() -> str:
    return render_template("updates.html", cdn=None if local_client else CDN_CLIENT)


@socketio.on("connect")
async def connect() -> None:
    global pages
    pages += 1


@socketio.on("disconnect")
async def disconnect() -> None:
    global pages
    pages -= 1


def measure() -> None:
    """A function, so it gets a thread: it may block, as reading from the disk does."""
    while True:
        disk = shutil.disk_usage("/")
        socketio.emit("measured", {"load": os.getloadavg()[0], "disk": disk.used / disk.total})
        time.sleep(INTERVAL)


async def tick() -> None:
    """A coroutine, so it runs on the event loop, where it must not block: it awaits."""
    while True:
        await socketio.emit("tick", {"time": f"{datetime.now():%H:%M:%S}", "pages": pages})
        await socketio.sleep(INTERVAL)


socketio.start_background_task(measure)  # begins at once
socketio.start_background_task(tick)  # begins when the server has started

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
