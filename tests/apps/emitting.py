"""A program without a server that emits, in the way its arguments say: URL, CHANNEL, HOW."""

from __future__ import annotations

import asyncio
import os
import sys
import threading

from flask import Flask

from asyncsock import SocketIO, queues

url, channel, how = sys.argv[1:]
socketio = SocketIO(message_queue=url, channel=channel)


async def awaited() -> None:
    await socketio.emit("event", how)


async def dropped() -> None:
    socketio.emit("event", how)


async def flood() -> None:
    for number in range(50_000):
        sent = socketio.emit("event", number, to="empty room")
        if number % 100 == 0:
            await sent
    await socketio.emit("event", how)


if how == "script":
    socketio.emit("event", how)
elif how == "thread":
    thread = threading.Thread(target=socketio.emit, args=("event", how))
    thread.start()
    thread.join()
elif how == "coroutine":
    asyncio.run(awaited())
elif how == "coroutine that does not await":
    asyncio.run(dropped())
elif how == "flood":
    asyncio.run(flood())
elif how == "forked process":
    socketio.emit("before the fork")
    child = os.fork()
    if child == 0:
        socketio.emit("event", how)
        os._exit(0)
    os.waitpid(child, 0)
elif how == "application without a server":
    SocketIO(Flask(__name__), message_queue=url, channel=channel).emit("event", how)
elif how == "client manager":
    queues.from_url(url, channel=channel, write_only=True).emit("event", how, namespace="/")
else:
    raise SystemExit(f"unknown: {how}")
