"""asyncsock's AsyncServer alone, without Flask: ``uvicorn asyncsock_bare_app:asgi``."""

from __future__ import annotations

from typing import Any

from asyncsock import ASGIApp, AsyncServer

sio = AsyncServer()
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


asgi = ASGIApp(sio)
