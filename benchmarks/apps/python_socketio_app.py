"""python-socketio's AsyncServer: ``uvicorn python_socketio_app:asgi``."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import socketio

queue = os.environ.get("QUEUE")
sio = socketio.AsyncServer(
    async_mode="asgi", **({"client_manager": socketio.AsyncRedisManager(queue)} if queue else {})
)
MESSAGE = {"data": "x" * 100}


@sio.event
async def go(sid: str, count: int) -> None:
    for _ in range(count):
        await sio.emit("msg", MESSAGE)


@sio.event
async def join(sid: str, room: str) -> None:
    await sio.enter_room(sid, room)


@sio.event
async def room(sid: str, room: str) -> None:
    await sio.emit("msg", MESSAGE, room=room)


@sio.event
async def echo(sid: str, data: Any) -> Any:
    return data


@sio.event
def echo_def(sid: str, data: Any) -> Any:
    return data


@sio.event
async def slow(sid: str) -> None:
    await asyncio.sleep(30)


@sio.event
async def back(sid: str, *data: Any) -> None:
    await sio.emit("back", data, to=sid)


asgi = socketio.ASGIApp(sio)
