"""A program to be frozen. With PORT it serves itself with the message queue QUEUE, else it makes drivers."""

from __future__ import annotations

import os
import sys
from typing import Any

from flask import Flask, request

from asyncsock import SocketIO
from asyncsock.queues import from_url

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ.get("QUEUE"), channel=os.environ.get("CHANNEL", "frozen"))


@socketio.on("echo")
async def echo(value: Any) -> Any:
    return value, request.path


@socketio.on("tell")
def tell(value: Any) -> None:
    socketio.emit("told", value)


if __name__ == "__main__":
    if "PORT" in os.environ:
        socketio.run(app, port=int(os.environ["PORT"]))
    else:
        for url in sys.argv[1:]:
            print(url, type(from_url(url)._make_driver()).__name__)
