"""Sessions without a network, for what a server does with a client's messages."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

from asyncsock import AsyncServer
from asyncsock.engine.packet import Packet
from asyncsock.engine.session import Session
from asyncsock.engine.transports.base import Transport

SESSION = "session"


class Recorder(Transport):
    """A transport that keeps what is sent."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: list[bytes] = []

    def flush(self, session: Session) -> None:
        self.sent += [packet.data for packet in session.outbox]
        session.outbox.clear()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self.sent += [packet.data for packet in outbox]

    def abort(self) -> None:
        pass


def open_session(server: AsyncServer, environ: dict[str, Any] | None = None) -> tuple[Session, Recorder]:
    """A session of a server's, on the running event loop. All ids of the server's are counted."""
    server.attach_loop()
    numbers = itertools.count()
    server.eio.generate_id = lambda: f"id{next(numbers)}"
    environ = {} if environ is None else environ
    session = server.eio.sessions[SESSION] = Session(server.eio.core, SESSION, environ)
    transport = Recorder()
    session.start(transport)
    server.eio.core.application.connect(session)
    return session, transport


def take_the_long_way(server: AsyncServer) -> None:
    """Have a server decode every packet in the general way, also those for which it has a quicker one."""
    server.eio.core.application._is_json = False


async def settled(server: AsyncServer) -> None:
    """Wait until no handler runs and what handlers sent is with the transports."""
    while endings := server.eio.tasks.endings():
        await asyncio.wait(endings)
    await asyncio.sleep(0)  # the flush
