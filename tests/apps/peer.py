"""A process of python-socketio's with no clients: it emits the lines it reads, and prints what it hears.

Run as: python -m tests.apps.peer MANAGER URL CHANNEL [OPTIONS OF THE MANAGER AS JSON]
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from typing import Any

import socketio


def emit_lines(manager: Any) -> None:
    for line in sys.stdin:
        manager.emit("said", json.loads(line), namespace="/")


async def emit_lines_async(manager: Any) -> None:
    while line := await asyncio.to_thread(sys.stdin.readline):
        await manager.emit("said", json.loads(line), namespace="/")


def write(message: Any) -> None:
    print(message if isinstance(message, str) else message.decode(), flush=True)


async def listen_async(manager: Any) -> None:
    async for message in manager._listen():
        write(message)


async def run_async(listener: Any, emitter: Any) -> None:
    await asyncio.gather(listen_async(listener), emit_lines_async(emitter))


def main(name: str, url: str, channel: str, options: str = "{}") -> None:
    make_manager = getattr(socketio, name)
    listener, emitter = (
        make_manager(url, channel, write_only=write_only, **json.loads(options))
        for write_only in (False, True)
    )
    if isinstance(listener, socketio.AsyncManager):
        asyncio.run(run_async(listener, emitter))
    threading.Thread(target=emit_lines, args=[emitter], daemon=True).start()
    for message in listener._listen():
        write(message)


if __name__ == "__main__":
    main(*sys.argv[1:])
