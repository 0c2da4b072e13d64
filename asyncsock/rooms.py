"""Who is connected to which namespace and in which room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator
from typing import Any, Literal

from .connection import CONNECTED, Client, Connection, Dropped, Held, State, Target
from .engine.awaitables import SENT, Sent, counts_as_coroutine
from .engine.ids import is_id
from .engine.limits import Limits
from .engine.packet import Packet
from .recovery.clients import Parked
from .room_table import check_room
from .sending import RoomSender

# Seconds between the CONNECT packet and what the connect handler sent. Clients that read both at once
# deliver both before the application has seen the first; the protocol's test suite is such a client.
APART = 0.005
LeaveHandler = Callable[[str, str, Any], None]
SID_ROOM = "cannot enter a sid room"


class Rooms(RoomSender):
    """The client manager of one process: ``socketio.AsyncManager``, whose methods it has, on a `RoomTable`.

    It adds methods that the server calls while clients connect and leave. Those under "Other processes" do
    nothing here; `asyncsock.queues.manager.QueueManager` overrides them.

    Attributes:
        clients: The clients by sid.
        on_leave: Called with the sid and namespace of a client that has left a room, and with that room; with
            None if it has left the namespace.
    """

    is_immediate: Literal[True] = True  # connecting and disconnecting a client need not be awaited

    def __init__(self) -> None:
        super().__init__()
        self.clients = self.table.clients
        self.on_leave: LeaveHandler | None = None
        self._nowhere = Dropped()  # the target of all clients whose disconnect handler runs

    # Other processes: without a message queue there are none

    def start(self) -> None:
        """Connect to the message queue, on the running event loop."""

    async def ready(self) -> None:
        """Wait until the message queue is connected, or the first attempt has failed.

        Raises:
            ConnectionError: It refuses the login, and will not be tried again.
        """

    async def stop(self) -> None:
        """Disconnect from the message queue."""

    def queue_health(self) -> dict[str, Any] | None:
        """The state of the message queue, if there is one."""
        return None

    def disconnect_elsewhere(self, sid: str, namespace: str) -> Sent:
        """Disconnect a client of another process."""
        return SENT

    # Clients

    def expect(self, connection: Connection, namespace: str) -> None:
        """Note a client whose connect handler is about to run; it must not be in the namespace."""
        self._add(connection, namespace, Held(connection.session), State.CONNECTING)

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """The sid of a client that is expected; None if its session has ended since, and it is forgotten."""
        client = self.server.connections[eio_sid].clients[namespace]
        if client.connection.session.is_open:
            return client.sid
        self.basic_disconnect(client.sid, namespace)
        return None

    def connection_of(self, sid: str, namespace: str) -> Connection:
        """The connection of a client."""
        return self.clients[sid].connection

    def connect_at_once(self, connection: Connection, namespace: str) -> str:
        """Connect a client that has no connect handler to wait for. Returns its sid."""
        client = self._add(connection, namespace, connection.session, State.CONNECTED)
        if self.recovery is not None:
            self.recovery.released(client)
        self._tell_connected(client)
        return client.sid

    def _tell_connected(self, client: Client) -> None:
        if self.watcher is not None:
            self.watcher.connected(client)

    def _add(self, connection: Connection, namespace: str, target: Target, state: State) -> Client:
        client = self.table.add(self.server.eio.generate_id(), connection, namespace, target, state)
        if self.recovery is not None:
            self.recovery.begin(client)
        return client

    def restore(self, connection: Connection, namespace: str, parked: Parked, missed: list[Packet]) -> None:
        """Let a client that lost its connection be the one that is expected, in its rooms.

        Args:
            connection: Its new connection, on which a client is expected.
            namespace: The namespace.
            parked: The client.
            missed: What it gets first when it is connected.
        """
        self.table.remove(connection.clients[namespace])
        held = Held(connection.session)
        held.outbox += missed
        self._put_back(connection, namespace, parked, held, State.CONNECTING)

    def restore_at_once(self, connection: Connection, namespace: str, parked: Parked) -> None:
        """Connect a client that lost its connection, and that has no connect handler to wait for."""
        assert self.recovery is not None
        client = self._put_back(connection, namespace, parked, connection.session, State.CONNECTED)
        self.recovery.released(client)
        self._tell_connected(client)

    def _put_back(
        self, connection: Connection, namespace: str, parked: Parked, target: Target, state: State
    ) -> Client:
        assert self.recovery is not None
        client = self.table.add(parked.sid, connection, namespace, target, state)
        for room, joined in parked.rooms.items():
            self.table.enter(client, room)
            client.rooms[room] = joined
        client.recovery = parked.state
        self.recovery.restored(client)
        return client

    async def connect(self, sid: str, namespace: str) -> str:
        """Note that a client is connected, and send it what was kept until then."""
        client = self.clients[sid]
        client.state = State.CONNECTED
        if isinstance(client.target, Held) and client.target.kept:
            asyncio.get_running_loop().call_later(APART, self._release, client)
        else:
            self._release(client)
        self._tell_connected(client)
        return sid

    def _release(self, client: Client) -> None:
        held = client.target
        if isinstance(held, Held) and self.clients.get(client.sid) is client:
            self.table.redirect(client, held.session)
            if self.recovery is not None:
                self.recovery.released(client)
            if held.kept:
                self.server.eio.outboxes.fan_out([held.session], held.kept)

    def release_all(self, connection: Connection) -> None:
        """Send at once what is kept for a session's clients that are connected."""
        for client in connection.clients.values():
            if client.state is State.CONNECTED:
                self._release(client)

    def is_pre_connected(self, sid: str | None, namespace: str) -> bool:
        """Whether a client's connect handler is running."""
        client = self.table.find(sid, namespace)
        return client is not None and client.state is State.CONNECTING

    def has(self, sid: str, namespace: str) -> bool:
        """Whether a client is in a namespace, connecting, connected or about to leave."""
        return self.table.find(sid, namespace) is not None

    def is_connected(self, sid: str | None, namespace: str) -> bool:
        """Whether a client is connected to a namespace and not about to leave it."""
        client = self.table.find(sid, namespace)
        return client is not None and client.state is CONNECTED

    def pre_disconnect(self, sid: str, namespace: str) -> str:
        """Note that a client is about to leave.

        It stays in its rooms while its handler runs, but nothing is sent to it any more.
        """
        client = self.clients[sid]
        self._release(client)
        client.state = State.DISCONNECTING
        self.table.redirect(client, self._nowhere)
        client.make_way()
        return client.eio_sid

    def send_away(self, sid: str, namespace: str, reason: str) -> bool:
        """Note that a client is to be disconnected when its connect handler has ended.

        Returns:
            Whether the client's connect handler is running.
        """
        client = self.table.find(sid, namespace)
        if client is None:
            return False
        if client.state is State.CONNECTING:
            held = client.target
            client.state = State.GONE
            self.table.redirect(client, Dropped(reason, held.kept if isinstance(held, Held) else ()))
        return client.state is State.GONE

    def why_gone(self, sid: str, namespace: str) -> str | None:
        """Why a client left, or was sent away, while its connect handler ran; None if neither happened."""
        client = self.clients.get(sid)
        target = client.target if client is not None and client.state is State.GONE else None
        return target.reason if isinstance(target, Dropped) else None

    def let_go(self, sid: str) -> None:
        """Hand over what was sent to a client before it was sent away, and let its session connect again."""
        client = self.clients[sid]
        if isinstance(client.target, Dropped):
            for packet in client.target.kept:
                client.connection.session.put(packet)
        client.make_way()

    async def disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        """Forget a client."""
        self.basic_disconnect(sid, namespace)

    def basic_disconnect(self, sid: str, namespace: str, **kwargs: Any) -> None:
        client = self.clients.get(sid)
        if client is not None:
            self._remove(client)
            client.make_way()

    def _remove(self, client: Client) -> None:
        self.table.remove(client)
        if self.watcher is not None:
            self.watcher.removed(client)
        if self.recovery is not None:
            self.recovery.removed(client)
        if self.on_leave is not None:
            self.on_leave(client.sid, client.namespace, None)

    def forget(self, connection: Connection) -> None:
        """Forget all clients of a session that has ended."""
        for client in connection.clients.values():
            self._remove(client)
        connection.clients.clear()

    def forget_all(self) -> None:
        """Forget all clients, because their event loop has ended: nobody is to be told."""
        self.on_leave = None
        for client in list(self.clients.values()):
            self.basic_disconnect(client.sid, client.namespace)

    def abandon(self, connection: Connection, reason: str) -> list[tuple[str, str]]:
        """Note that a session has ended, and why.

        Returns:
            The sid and the namespace of each client to disconnect. A client whose connect handler still
            runs is not among them: it is disconnected when that handler has ended.
        """
        connected = []
        for client in connection.clients.values():
            if client.state is State.CONNECTED:
                connected.append((client.sid, client.namespace))
            elif client.state is State.CONNECTING:
                client.state = State.GONE
                self.table.redirect(client, Dropped(reason))
        return connected

    def sid_from_eio_sid(self, eio_sid: str, namespace: str) -> str | None:
        """The sid of a session's client in a namespace."""
        connection = self.server.connections.get(eio_sid)
        client = connection.clients.get(namespace) if connection is not None else None
        return client.sid if client is not None else None

    def eio_sid_from_sid(self, sid: str, namespace: str) -> str | None:
        """The session id of a client."""
        client = self.table.find(sid, namespace)
        return client.eio_sid if client is not None else None

    def get_participants(self, namespace: str, room: Any) -> Iterator[tuple[str, str]]:
        """The sid and session id of everybody in a room or in several."""
        for sid in list(self.table.recipients(namespace, room)):
            yield sid, self.clients[sid].eio_sid

    # Rooms

    @counts_as_coroutine
    def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> Sent:
        """Add a client to a room.

        Raises:
            ValueError: The client is not connected to the namespace, or the room is another client's own, or
                the client is in as many rooms as it may be.
            TypeError: The room is not hashable, such as a list.
        """
        check_room(room)
        self.basic_enter_room(sid, namespace, room)
        return SENT

    @counts_as_coroutine
    def leave_room(self, sid: str, namespace: str, room: Any) -> Sent:
        """Remove a client from a room."""
        check_room(room)
        self.basic_leave_room(sid, namespace, room)
        return SENT

    @counts_as_coroutine
    def close_room(self, room: Any, namespace: str) -> Sent:
        """Remove every client from a room."""
        check_room(room)
        self.basic_close_room(room, namespace)
        return SENT

    def basic_enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        client = self.table.find(sid, namespace)
        if client is None:
            raise ValueError("sid is not connected to requested namespace")
        if room is None or room == sid:
            return
        refuse_sid_room(sid, room)
        if room in self.clients:  # a sid of a form that `is_id` does not know, made by the application
            raise ValueError(SID_ROOM)
        limits = self.server.eio.core.limits
        if limits.max_rooms is not None:
            refuse_one_too_many(limits, client.rooms, room)
        if self.table.enter(client, room):
            if self.recovery is not None:
                self.recovery.entered(client, room)
            if self.watcher is not None:
                self.watcher.entered(client, room)

    def basic_leave_room(self, sid: str, namespace: str, room: Any) -> None:
        client = self.table.find(sid, namespace)
        if client is not None and room in client.rooms:
            if self.recovery is not None:
                self.recovery.leaves(client, room)
            self.table.leave(client, room)
            if self.watcher is not None:
                self.watcher.left(client, room)
            if self.on_leave is not None:
                self.on_leave(sid, namespace, room)
        elif client is None:
            self._take_out(namespace, room, sid)

    def basic_close_room(self, room: Any, namespace: str) -> None:
        if self.is_sid_room(namespace, room):
            raise ValueError("cannot close a sid room")
        for sid in list(self.rooms.get(namespace, {}).get(room, ())):
            self.basic_leave_room(sid, namespace, room)
        self._take_out(namespace, room)

    def _take_out(self, namespace: str, room: Any, sid: str | None = None) -> None:
        """Have clients that have lost their connections leave a room: all, or the one with a sid."""
        if self.recovery is not None:
            for left in self.recovery.take_out(namespace, room, sid):
                if self.on_leave is not None:
                    self.on_leave(left, namespace, room)

    def is_sid_room(self, namespace: str, room: Any) -> bool:
        """Whether a room is one client's own."""
        return self.table.find(room, namespace) is not None

    def sids(self, namespace: str, room: Any) -> list[str]:
        """The sids of those in a room or in several, or of everybody."""
        return list(self.table.recipients(namespace, room))

    def sids_away(self, namespace: str, room: Any) -> list[str]:
        """The same of those who have lost their connections and may come back."""
        return self.recovery.sids_in(namespace, room) if self.recovery is not None else []

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """The rooms of a client: its own, then the others in the order in which it joined them."""
        client = self.table.find(sid, namespace)
        return [sid, *client.rooms] if client is not None else []


def refuse_one_too_many(limits: Limits, rooms: Collection[Any], room: Any) -> None:
    """Refuse to add a client to one room more than it may be in.

    Args:
        limits: The limits of the server.
        rooms: The rooms that the client is in, without its own.
        room: The room that it is to enter.

    Raises:
        ValueError: It is in ``max_rooms`` others already.
    """
    if limits.max_rooms is not None and len(rooms) >= limits.max_rooms and room not in rooms:
        limits.hits["max_rooms"] += 1
        raise ValueError(
            f"cannot enter another room: the client is in {len(rooms)}, and max_rooms allows no more"
        )


def refuse_sid_room(sid: str, room: Any) -> None:
    """Refuse to add a client to the own room of another, which is for private events.

    The other client may be in any process, and may have left.

    Raises:
        ValueError: The room has the name of another client.
    """
    if room != sid and is_id(room):
        raise ValueError(SID_ROOM)
