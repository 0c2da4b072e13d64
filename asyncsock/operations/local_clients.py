"""The clients of this process, as the operations of all processes need them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..callbacks import Kept
from ..disconnections import Disconnector
from ..engine.awaitables import SENT, Sent, SentAndWaiting
from ..engine.log import printable
from ..engine.reasons import SERVER_DISCONNECT
from ..engine.server import EngineServer
from ..managers import AnyRooms, ForeignManager
from .remote_socket import RemoteSocket, logger


class LocalClients:
    """The clients of this process.

    Args:
        engine: The engine that they are connected to.
        disconnector: Knows them, and disconnects them.
    """

    def __init__(self, engine: EngineServer, disconnector: Disconnector) -> None:
        self._engine = engine
        self._disconnector = disconnector

    @property
    def _rooms(self) -> AnyRooms:
        return self._disconnector.rooms

    def has(self, to: Any, namespace: str) -> bool:
        """Whether this is the sid of a client here: then nobody else needs to be asked or told."""
        return isinstance(to, str) and self._rooms.is_connected(to, namespace)

    def select(self, to: Any, namespace: str, skip_sid: Any = None) -> list[str]:
        """The sids of those in a room or in several, or of everybody."""
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        return [sid for sid in self._rooms.sids(namespace, to) if sid not in skipped]

    def _away(self, to: Any, namespace: str) -> list[str]:
        rooms = self._rooms
        return [] if isinstance(rooms, ForeignManager) else rooms.sids_away(namespace, to)

    def _connected(self, to: Any, namespace: str, skip_sid: Any = None) -> list[str]:
        sids = self.select(to, namespace, skip_sid)
        return [sid for sid in sids if self._rooms.is_connected(sid, namespace)]

    def fetch(self, to: Any, namespace: str) -> list[RemoteSocket]:
        """What there is to know of clients."""
        return [self._describe(sid, namespace) for sid in self._connected(to, namespace)]

    def _describe(self, sid: str, namespace: str) -> RemoteSocket:
        connection = self._rooms.connection_of(sid, namespace)
        session = connection.session
        users = session.user_session.get(namespace) if isinstance(session.user_session, dict) else None
        return RemoteSocket(
            sid=sid,
            namespace=namespace,
            rooms=list(self._rooms.get_rooms(sid, namespace)),
            session=dict(users) if isinstance(users, dict) else {},
            remote_addr=session.address,
            connect_time=connection.clients[namespace].connect_time,
        )

    def enter(self, rooms: Sequence[Any], to: Any, namespace: str) -> None:
        """Add clients to rooms. Those who cannot enter one are counted in one log line."""
        refused, why = 0, None
        for sid in self.select(to, namespace):
            for room in rooms:
                try:
                    self._rooms.enter_room(sid, namespace, room)
                except ValueError as error:
                    refused, why = refused + 1, error
        if refused:
            logger.warning("sockets_join: refused %d times: %s", refused, printable(str(why)))

    def leave(self, rooms: Sequence[Any], to: Any, namespace: str) -> None:
        """Remove clients from rooms, also those who have lost their connections and may come back."""
        known = self._rooms
        for sid in [*self.select(to, namespace), *self._away(to, namespace)]:
            for room in rooms:
                if isinstance(known, ForeignManager):
                    known.leave_room(sid, namespace, room)
                else:
                    known.basic_leave_room(sid, namespace, room)

    def disconnect(self, to: Any, namespace: str, close: bool) -> list[Sent]:
        """Disconnect clients from a namespace, or with ``close`` from the server.

        Those who have lost their connections do not come back.
        """
        waiting = []
        for sid in self.select(to, namespace):
            session = self._rooms.connection_of(sid, namespace).session
            waiting.append(self._disconnector.disconnect(sid, namespace, True))
            if close:
                session.close(SERVER_DISCONNECT)
        for sid in self._away(to, namespace):
            self._disconnector.disconnect(sid, namespace, True)
        return [sent for sent in waiting if sent is not SENT]

    def ask(
        self,
        event: str,
        data: Any,
        to: Any,
        namespace: str,
        skip_sid: Any,
        answered: Callable[[tuple[Any, ...]], None],
        left: Callable[[], None],
    ) -> Asked:
        """Emit an event to clients, each of whom is to acknowledge it.

        Args:
            answered: Called with the arguments of each acknowledgement.
            left: Called for each client that leaves before it has acknowledged.

        Raises:
            TypeError: The data cannot be encoded.
        """
        rooms, asked = self._rooms, Asked(answered, left)
        encoded = None if isinstance(rooms, ForeignManager) else rooms.encode(event, data)
        for sid in self._connected(to, namespace, skip_sid):
            callback = asked.add()
            if isinstance(rooms, ForeignManager):
                rooms.emit(event, data, namespace, sid, None, callback, ignore_queue=True)
            else:
                rooms.deliver(encoded, namespace, sid, None, callback, ignore_queue=True)
        return asked


class Asked:
    """Clients that were asked, and have neither answered nor left."""

    def __init__(self, answered: Callable[[tuple[Any, ...]], None], left: Callable[[], None]) -> None:
        self._callbacks: set[AskedClient] = set()
        self._answered = answered
        self._left = left

    def __len__(self) -> int:
        return len(self._callbacks)

    def add(self) -> AskedClient:
        """The callback for one more client."""
        callback = AskedClient(self)
        self._callbacks.add(callback)
        return callback

    def answered(self, callback: AskedClient, args: tuple[Any, ...]) -> None:
        """Take an answer."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)
            self._answered(args)

    def left(self, callback: AskedClient) -> None:
        """Note that a client will not answer any more."""
        if callback in self._callbacks:
            self._callbacks.remove(callback)
            self._left()

    def forget(self) -> None:
        """Wait for nobody any more."""
        for callback in self._callbacks:
            callback.forget()
        self._callbacks.clear()


class AskedClient(Kept):
    """The callback for the acknowledgement of one client."""

    __slots__ = ("_asked",)

    def __init__(self, asked: Asked) -> None:
        super().__init__()
        self._asked = asked

    def __call__(self, *args: Any) -> None:
        self._asked.answered(self, args)

    def abandoned(self) -> None:
        self._asked.left(self)


def all_of(waiting: Sequence[Sent]) -> Sent:
    """Something to await that waits for several others."""
    return SentAndWaiting(partial(_wait_for, waiting)) if waiting else SENT


async def _wait_for(waiting: Sequence[Sent]) -> None:
    await asyncio.gather(*waiting)
