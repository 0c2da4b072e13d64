"""A session of the engine as Socket.IO sees it: its clients, one for each namespace that it is in."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Any

from .callbacks import Callbacks
from .codec.base import Incoming
from .engine.packet import NOOP, Packet
from .engine.session import Session
from .engine.transports.base import HOLDING, NO_TRANSPORT
from .types import Handler

NO_ROOMS: dict[Hashable, Any] = {}  # shared by all clients that have joined no room; never changed
NO_CALLBACKS = Callbacks("")  # the same for clients that have not been asked for an acknowledgement


class Partial:
    """A binary packet, and those of its attachments that have arrived."""

    __slots__ = ("attachments", "packet", "size")

    def __init__(self, packet: Incoming) -> None:
        self.packet = packet
        self.attachments: list[bytes] = []
        self.size = 0


class Connection:
    """What Socket.IO keeps for a session of the engine.

    Attributes:
        session: The session.
        clients: Its clients by namespace, connecting or connected; not those that are about to leave.
        greeted: Whether it has sent a CONNECT packet.
        partial: The binary packet whose attachments it is sending.
        handlers: The connect and disconnect handlers that run for it.
        context: What the Flask side keeps for it.
        returned: Its clients that have come back, until `context` knows of them.
    """

    __slots__ = ("clients", "context", "greeted", "handlers", "partial", "returned", "session")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.clients: dict[str, Client] = {}
        self.greeted = False
        self.partial: Partial | None = None
        self.handlers: set[asyncio.Task[Any]] | None = None
        self.context: Any = None
        self.returned: tuple[Any, ...] = ()

    def keep_for(self, task: asyncio.Task[Any]) -> None:
        """Keep this until a connect or disconnect handler has ended."""
        if not task.done():
            if self.handlers is None:
                self.handlers = set()
            self.handlers.add(task)
            task.add_done_callback(self.handlers.discard)


class Environs(Mapping[str, dict[str, Any]]):
    """The WSGI environ of each session, built when it is first asked for."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections

    def __getitem__(self, eio_sid: str) -> dict[str, Any]:
        return self._connections[eio_sid].session.environ

    def __iter__(self) -> Iterator[str]:
        return iter(self._connections)

    def __len__(self) -> int:
        return len(self._connections)


class State(IntEnum):
    """How far a client is with a namespace."""

    CONNECTING = 1  # its connect handler runs
    CONNECTED = 2
    DISCONNECTING = 3  # its disconnect handler runs
    GONE = 4  # it left, or was sent away, and its connect handler still runs


CONNECTED = State.CONNECTED  # for hot paths: looking up a member of an enumeration takes as long as a call


class Held:
    """Stands for a connecting client's session in rooms, and keeps what is sent until it is connected."""

    __slots__ = ("outbox", "session")
    transport = HOLDING

    def __init__(self, session: Session) -> None:
        self.session = session
        # It is never empty, so that `Outboxes` never notes it for a flush.
        self.outbox: list[Packet] = [NOOP]

    @property
    def kept(self) -> list[Packet]:
        """The packets that have been sent to it so far."""
        return self.outbox[1:]


class Dropped:
    """Stands for the session of a client that leaves: what is sent to it goes nowhere.

    Attributes:
        reason: Why the client leaves, if its connect handler still runs.
        kept: What was sent to the client before it was sent away. It gets this when it is let in first.
    """

    __slots__ = ("kept", "outbox", "reason")
    transport = NO_TRANSPORT

    def __init__(self, reason: str = "", kept: Sequence[Packet] = ()) -> None:
        self.reason = reason
        self.kept = kept
        self.outbox: list[Packet] = []


Target = Session | Held | Dropped


class Client:
    """One client in one namespace.

    Attributes:
        target: Where its packets go: to a `Held` while its connect handler runs, to its session when
            it is connected, to a `Dropped` when it leaves or is sent away. Its rooms hold the same object, so
            that sending to a room need not look at states; `RoomTable.redirect` changes it in all of them.
        rooms: The rooms that it has joined, in that order, without its own; what recovery notes of each.
        callbacks: What to call when it acknowledges an event, by the id of the event. `ask` adds to them.
        recovery: What it would come back with, if clients may: a `Recoverable`.
        connect_time: When it connected to the namespace, in Unix seconds.
        trace: What those who trace its events keep for it.
    """

    __slots__ = (
        "callbacks",
        "connect_time",
        "connection",
        "namespace",
        "recovery",
        "rooms",
        "sid",
        "state",
        "target",
        "trace",
    )

    def __init__(
        self, sid: str, connection: Connection, namespace: str, target: Target, state: State
    ) -> None:
        self.sid = sid
        self.connection = connection
        self.namespace = namespace
        self.target = target
        self.state = state
        self.rooms = NO_ROOMS
        self.callbacks = NO_CALLBACKS
        self.recovery: Any = None
        self.connect_time = time.time()
        self.trace: Any = None

    @property
    def eio_sid(self) -> str:
        """The id of the client's session."""
        return self.connection.session.sid

    def ask(self, callback: Handler) -> int:
        """Keep the callback of an event. Returns the id to send the event with."""
        if self.callbacks is NO_CALLBACKS:
            self.callbacks = Callbacks(self.sid)
        return self.callbacks.add(callback)

    def make_way(self) -> None:
        """Let the client's session connect to the namespace again."""
        clients = self.connection.clients
        if clients.get(self.namespace) is self:
            del clients[self.namespace]
