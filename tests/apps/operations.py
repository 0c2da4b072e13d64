"""One server of several that share the queue ``QUEUE``: its clients have it do what reaches all of them.

As an ASGI application it is ``tests.apps.operations:asgi``.
"""

from __future__ import annotations

import asyncio
import inspect
import os
from typing import Any

from flask import Flask, current_app

from asyncsock import AnswersMissing, RemoteSocket, SocketIO

app = Flask(__name__)
socketio = SocketIO(app, message_queue=os.environ["QUEUE"], channel=os.environ["CHANNEL"])
asgi = socketio.asgi_app


def told(result: Any) -> Any:
    """A result as the clients of the tests compare it."""
    if isinstance(result, list) and result and isinstance(result[0], RemoteSocket):
        return sorted(each.sid for each in result)
    return result


@socketio.on("do")
async def do(method: str, args: list[Any], options: dict[str, Any]) -> Any:
    """Call a method of the `SocketIO` object in a coroutine."""
    try:
        result = getattr(socketio, method)(*args, **options)
        return told(await result if inspect.isawaitable(result) else result)
    except AnswersMissing as error:
        return {"answers": told(error.answers), "missing": error.missing}


@socketio.on("do in a thread")
def do_in_a_thread(method: str, args: list[Any], options: dict[str, Any]) -> Any:
    """The same in a function."""
    result = getattr(socketio, method)(*args, **options)
    return None if inspect.isawaitable(result) else told(result)


@socketio.on("members")
def members() -> int:
    return len(socketio.server.cluster.members())


@socketio.on("process")
def process() -> int:
    return os.getpid()


@socketio.on_server_side("who")
def who(suffix: str) -> str:
    return f"{current_app.name} {os.getpid()} {suffix}"


@socketio.on_server_side("hang if you are")
async def hang(pid: int) -> str:
    if pid == os.getpid():
        await asyncio.sleep(3600)
    return current_app.name
