"""A server that emits numbered events on request; as a program, an emitter without a server that does.

The environment has ``QUEUE``, the broker's URL. The program takes the count and the events per second.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from flask import Flask

from asyncsock import SocketIO
from asyncsock.queues import NotPublished

QUEUE = os.environ["QUEUE"]


def serve() -> SocketIO:
    socketio = SocketIO(Flask(__name__), message_queue=QUEUE)

    @socketio.on("begin")
    async def begin(source: str, count: int, rate: float) -> None:
        started = time.monotonic()
        for number in range(count):
            await socketio.emit("number", [source, number])
            await asyncio.sleep(max(0, started + number / rate - time.monotonic()))

    @socketio.on("health")
    async def health() -> object:
        return socketio.server.queue_health()

    return socketio


def emit(count: int, rate: float) -> None:
    """Emit without a server, each number until that does not raise; print the numbers of which one did."""
    socketio = SocketIO(message_queue=QUEUE)
    raised: list[int] = []
    started = time.monotonic()
    for number in range(count):
        while True:
            try:
                socketio.emit("number", ["emitter", number])
                break
            except NotPublished:
                raised.append(number)
        time.sleep(max(0, started + number / rate - time.monotonic()))
    print(*raised)


if __name__ == "__main__":
    emit(int(sys.argv[1]), float(sys.argv[2]))
else:
    asgi = serve().asgi_app
