"""Programs whose connect handler does something to its own client, written in each way that there is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import socketio as python_socketio
from flask import Flask, request

from asyncsock import (
    AsyncServer,
    Namespace,
    SocketIO,
    rooms,
)
from asyncsock.rooms import Rooms
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Client, opened

Act = Callable[[str], Any]
KINDS = [
    *["coroutine", "function", "class", "class of functions"],
    *["Flask coroutine", "Flask function", "Flask class", "Flask class of functions"],
]


class Program:
    """A server whose connect handlers do what a test asks for, each for its own client.

    A handler emits "early" to its client, joins the room "room", acts, and emits "late".

    Attributes:
        act: What the handler does with its client's sid; what that returns is awaited where it can be.
        result: What the handler returns; an exception is raised.
        notes: What the other handlers were called with.
    """

    def __init__(self, kind: str, **options: Any) -> None:
        self.act: Act = lambda sid: None
        self.result: Any = None
        self.notes: list[Any] = []
        self.noted = asyncio.Event()
        self.loop = asyncio.get_running_loop()
        self.socketio: SocketIO | None = None
        waits = not kind.endswith(("function", "functions"))
        if kind.startswith("Flask"):
            self.socketio = SocketIO(Flask(__name__), **options)
            self.server: AsyncServer = self.socketio.server
            self._register_flask(self.socketio, "class" in kind, waits)
        else:
            self.server = AsyncServer(**options)
            self._register_bare("class" in kind, waits)

    def note(self, *what: Any) -> None:
        def add() -> None:
            self.notes.append(what)
            self.noted.set()

        self.loop.call_soon_threadsafe(add)

    def begin(self, sid: str) -> Any:
        self.server.emit("early", to=sid)
        self.server.enter_room(sid, "room")
        return self.act(sid)

    def end(self, sid: str) -> Any:
        self.server.emit("late", to=sid)
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result

    def handler(self, waits: bool, sid_of: Callable[..., str]) -> Callable[..., Any]:
        def connect(*args: Any) -> Any:
            self.begin(sid_of(*args))
            return self.end(sid_of(*args))

        async def connect_and_wait(*args: Any) -> Any:
            done = self.begin(sid_of(*args))
            if hasattr(done, "__await__"):
                await within(done)
            return self.end(sid_of(*args))

        return connect_and_wait if waits else connect

    def _register_bare(self, in_class: bool, waits: bool) -> None:
        def leave(sid: str, reason: str) -> None:
            self.note("left", reason, sorted(self.server.rooms(sid)) == sorted([sid, "room"]))

        if in_class:
            namespace = python_socketio.AsyncNamespace("/")
            on = {"connect": self.handler(waits, lambda sid, *args: sid), "disconnect": leave}
            on["event"] = lambda sid, *args: self.note("event", *args)
            for name, handler in on.items():
                setattr(namespace, f"on_{name}", handler)
            self.server.register_namespace(namespace)
            return
        self.server.on("connect", self.handler(waits, lambda sid, *args: sid))
        self.server.on("disconnect", leave)
        self.server.on("event", lambda sid, *args: self.note("event", *args))

    def _register_flask(self, socketio: SocketIO, in_class: bool, waits: bool) -> None:
        def sid_of(*args: Any) -> str:
            return request.sid  # type: ignore[attr-defined, no-any-return]

        def leave(reason: str) -> None:
            self.note("left", reason, sorted(rooms()) == sorted([sid_of(), "room"]))

        on = {"connect": self.handler(waits, sid_of), "disconnect": leave}
        on["event"] = lambda *args: self.note("event", *args)
        if not in_class:
            for name, handler in on.items():
                socketio.on_event(name, handler)
            return
        namespace = Namespace("/")
        for name, handler in on.items():
            setattr(namespace, f"on_{name}", handler)
        socketio.on_namespace(namespace)

    async def until_noted(self) -> list[Any]:
        """The notes, once there are any."""
        await within(self.noted.wait())
        return self.notes


class Gate:
    """Something for a connect handler to wait at, while a test does something to its client."""

    def __init__(self, program: Program) -> None:
        self.sid = ""
        self._program = program
        self._here = asyncio.Event()
        self._open = asyncio.Event()
        self._open_for_threads = threading.Event()

    def __call__(self, sid: str) -> Any:
        self.sid = sid
        self._program.loop.call_soon_threadsafe(self._here.set)
        if self._program.server.on_loop():
            return self._open.wait()
        self._open_for_threads.wait(10)
        return None

    async def reached(self) -> str:
        await within(self._here.wait())
        return self.sid

    def open(self) -> None:
        self._open.set()
        self._open_for_threads.set()


@asynccontextmanager
async def connecting(program: Program) -> AsyncIterator[tuple[Client, Gate]]:
    """A client whose connect handler waits at a gate."""
    program.act = gate = Gate(program)
    try:
        async with opened(program.server) as client:
            client.send("40")
            await gate.reached()
            yield client, gate
    finally:
        gate.open()


EARLY, LATE, OUT = '42["early"]', '42["late"]', "41"


def holds(server: AsyncServer) -> bool:
    """Whether what is sent to a connecting client waits until it is connected, and is sent at all.

    python-socketio's managers send it in a task, before CONNECT.
    """
    return isinstance(server.manager, Rooms)


def seen(server: AsyncServer, packets: list[str]) -> list[str]:
    """Packets of which tests can tell the order, the CONNECT packet without its sid."""
    plain = ["40" if packet.startswith("40{") else packet for packet in packets]
    return plain if holds(server) else [packet for packet in plain if packet not in (EARLY, LATE)]


async def received(client: Client, last: str) -> list[str]:
    """What a client gets up to a packet that begins so."""
    packets: list[str] = []
    while not packets or not packets[-1].startswith(last):
        packets.append(await client.receive())
    return seen(client.server, packets)


async def rest(client: Client) -> list[str]:
    """What else a client has been sent."""
    return seen(client.server, await client.packets())


def in_end(server: AsyncServer) -> str:
    """What an accepted client gets last."""
    return LATE if holds(server) else "40"


def in_order(server: AsyncServer, *packets: str) -> list[str]:
    """The packets of a client that is let in, and out at the end."""
    before = seen(server, list(packets[:-1]))
    return ["40", *before, packets[-1]] if holds(server) else [*before, "40", packets[-1]]
