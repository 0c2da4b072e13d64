"""python-socketio's client managers behind the interface of `Rooms`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Literal

from socketio import packet as socketio_packet

from .callbacks import Answer, Callbacks
from .codec.json_data import JSONModule
from .connection import Client, Connection, Dropped, State
from .engine.awaitables import Sent
from .engine.limits import Limits
from .room_table import check_recipients, check_room
from .rooms import LeaveHandler, Rooms, refuse_one_too_many, refuse_sid_room
from .server_loop import ServerLoop
from .types import Handler


class ForeignManager:
    """A client manager of python-socketio's, such as ``socketio.AsyncRedisManager``.

    Its methods are coroutines, which run as tasks. It has no notion of a client whose connect handler runs;
    what happens to such a client is noted here until that handler has ended.

    Args:
        manager: The client manager. From here on it sends nothing to clients that were sent away,
            lets none into more rooms than ``max_rooms``, and calls `on_leave`.
        connections: The connections by session id.
        loop: Where its coroutines run.

    Attributes:
        on_leave: As `Rooms.on_leave`.
    """

    is_immediate: Literal[False] = False

    def __init__(self, manager: Any, connections: Mapping[str, Connection], loop: ServerLoop) -> None:
        self._manager = manager
        self._connections = connections
        self._loop = loop
        # Before python-socketio 5.18 managers have one step only: a client that they know is connected.
        self._in_two_steps = hasattr(manager, "pre_connect")
        self._clients: dict[str, Client] = {}
        self.on_leave: LeaveHandler | None = None
        self._silent: set[str] = set()  # the sids of clients that are sent nothing any more
        self._find = manager.get_participants
        manager.get_participants = self._participants
        self._enter = manager.basic_enter_room
        manager.basic_enter_room = self._enter_room
        self._leave = manager.basic_leave_room
        manager.basic_leave_room = self._leave_room
        manager._generate_ack_id = self._keep_callback

    def _participants(self, namespace: str, room: Any) -> Iterable[tuple[str, str]]:
        found: Iterable[tuple[str, str]] = self._find(namespace, room)
        return [each for each in found if each[0] not in self._silent] if self._silent else found

    def _enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> None:
        """The manager's own method, with a limit."""
        limits: Limits = self._manager.server.eio.core.limits
        if limits.max_rooms is not None and room is not None and room != sid:
            rooms = [name for name in self._manager.get_rooms(sid, namespace) if name != sid]
            refuse_one_too_many(limits, rooms, room)
        self._enter(sid, namespace, room, eio_sid=eio_sid)

    def _leave_room(self, sid: str, namespace: str, room: Any) -> None:
        """The manager's own method, and `on_leave`, which is called for each room of a client that leaves."""
        self._leave(sid, namespace, room)
        if self.on_leave is not None:
            self.on_leave(sid, namespace, room)

    def _keep_callback(self, sid: Any, callback: Handler) -> int:
        """The manager's own method, with a bound, and an `Answer` knows where it is kept.

        Managers with a message queue keep a callback under what it was sent to, and under each client that it
        was sent to another one, which is a `partial` of their method with the first one's id.
        """
        table: dict[Any, Any] = self._manager.callbacks
        callbacks = table.get(sid)
        if callbacks is None:
            callbacks = table[sid] = Callbacks(str(sid))
        id: int = callbacks.add(callback)
        if isinstance(callback, partial) and len(callback.args) == 4:
            host_id, to, _namespace, first_id = callback.args
            first = table.get(to, {}).get(first_id) if host_id == self._manager.host_id else None
            if isinstance(first, Answer):
                first.kept_in(callbacks, id)
        return id

    # Other processes

    def start(self) -> None:
        """Nothing to do: it connects to its message queue by itself."""

    async def ready(self) -> None:
        """Nothing to wait for."""

    async def stop(self) -> None:
        """Nothing to do."""

    def queue_health(self) -> None:
        """Not known."""

    def disconnect_elsewhere(self, sid: str, namespace: str) -> Sent:
        """Disconnect a client of another process."""
        return self._loop.start(self._manager.can_disconnect(sid, namespace))

    # Sending

    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
        volatile: bool = False,
    ) -> Sent:
        """Begin to send an event, from any thread. These managers know no volatile ones."""
        check_recipients(room)
        return self._loop.start(
            self._manager.emit(
                event,
                data,
                namespace,
                room=room,
                skip_sid=skip_sid,
                callback=callback,
                ignore_queue=ignore_queue,
            )
        )

    def emit_elsewhere(self, _loop: ServerLoop, *event: Any, **options: Any) -> Sent:
        """Begin to send an event, from a thread that is not the event loop's."""
        return self.emit(*event, **options)

    def enter_room(self, sid: str, namespace: str, room: Any) -> Sent:
        """Add a client to a room."""
        check_room(room)
        refuse_sid_room(sid, room)
        return self._loop.start(self._manager.enter_room(sid, namespace, room))

    def leave_room(self, sid: str, namespace: str, room: Any) -> Sent:
        """Remove a client from a room."""
        check_room(room)
        return self._loop.start(self._manager.leave_room(sid, namespace, room))

    def close_room(self, room: Any, namespace: str) -> Sent:
        """Remove every client from a room."""
        check_room(room)
        return self._loop.start(self._manager.close_room(room, namespace))

    # Clients

    def connection_of(self, sid: str, namespace: str) -> Connection:
        """The connection of a client."""
        return self._connections[self._manager.eio_sid_from_sid(sid, namespace)]

    def has(self, sid: str, namespace: str) -> bool:
        """Whether a client is in a namespace, connecting, connected or about to leave."""
        return sid in self._manager.rooms.get(namespace, {}).get(None, ())

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is connected to a namespace and not about to leave it."""
        return bool(self._manager.is_connected(sid, namespace))

    def expect(self, connection: Connection, namespace: str) -> None:
        """Note a client whose connect handler is about to run. The manager gives it its sid later."""
        client = Client("", connection, namespace, connection.session, State.CONNECTING)
        connection.clients[namespace] = client

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """The sid of a client that is expected; None if the manager refuses it, and it is forgotten."""
        client = self._connections[eio_sid].clients[namespace]
        enter = self._manager.pre_connect if self._in_two_steps else self._manager.connect
        try:
            client.sid = await enter(eio_sid, namespace) or ""
        finally:
            if client.sid:
                self._clients[client.sid] = client
            else:
                client.make_way()
        return client.sid or None

    async def connect(self, sid: str, namespace: str) -> None:
        """Note that a client is connected."""
        self._clients[sid].state = State.CONNECTED
        if self._in_two_steps:
            await self._manager.connect(sid, namespace)

    def pre_disconnect(self, sid: str, namespace: str) -> None:
        """Note that a client is about to leave."""
        self._manager.pre_disconnect(sid, namespace)
        self._silent.add(sid)
        self._make_way(sid)

    async def disconnect(self, sid: str, namespace: str, **options: Any) -> None:
        """Forget a client."""
        self._make_way(sid)
        self._clients.pop(sid, None)
        self._silent.discard(sid)
        callbacks = self._manager.callbacks.get(sid)
        await self._manager.disconnect(sid, namespace, **options)
        if isinstance(callbacks, Callbacks):
            callbacks.abandon()

    def _make_way(self, sid: str) -> None:
        client = self._clients.get(sid)
        if client is not None:
            client.make_way()

    def send_away(self, sid: str, namespace: str, reason: str) -> bool:
        """Note that a client is to be disconnected when its connect handler has ended; False if none runs."""
        client = self._clients.get(sid)
        if client is None or client.namespace != namespace:
            return False
        if client.state is State.CONNECTING:
            client.state, client.target = State.GONE, Dropped(reason)
            self._silent.add(sid)
        return client.state is State.GONE

    def why_gone(self, sid: str, namespace: str) -> str | None:
        """Why a client was sent away while its connect handler ran; None if it was not."""
        target = self._clients[sid].target
        return target.reason if isinstance(target, Dropped) else None

    def let_go(self, sid: str) -> None:
        """Let the session of a client that was sent away connect again."""
        self._make_way(sid)

    def forget_all(self) -> None:
        """Forget all clients, because their event loop has ended; those that are sent nothing, too."""
        self.on_leave = None
        for namespace in list(self._manager.get_namespaces()):
            for sid, _ in list(self._find(namespace, None)):
                self._manager.basic_disconnect(sid, namespace)
        self._clients.clear()
        self._silent.clear()

    def abandon(self, connection: Connection, reason: str) -> list[tuple[str, str]]:
        """The sid and namespace of each connected client of a session that has ended."""
        clients = connection.clients.values()
        return [(client.sid, client.namespace) for client in clients if client.state is State.CONNECTED]

    def sids(self, namespace: str, room: Any) -> list[str]:
        """The sids of those in a room or in several, or of everybody."""
        is_list = room is not None and not isinstance(room, str) and hasattr(room, "__len__")
        rooms = [name for name in room if name is not None] if is_list else room
        return [sid for sid, _ in self._participants(namespace, rooms)] if rooms or not is_list else []

    def get_rooms(self, sid: str, namespace: str) -> list[Any]:
        """The rooms of a client, its own among them."""
        found: list[Any] = self._manager.get_rooms(sid, namespace)
        return found

    def expects(self, sid: str, id: int) -> bool:
        """Whether a client has been sent an event with this id, and has not acknowledged it."""
        # Under 0 these managers keep their counter, not a callback.
        return id != 0 and id in self._manager.callbacks.get(sid, {})

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:
        """Call the callback of an event that a client has acknowledged."""
        await self._manager.trigger_callback(sid, id, data)


AnyRooms = Rooms | ForeignManager


def rooms_of(manager: Any, connections: Mapping[str, Connection], loop: ServerLoop) -> AnyRooms:
    """The client manager of a server, in an adapter if it is one of python-socketio's."""
    return manager if isinstance(manager, Rooms) else ForeignManager(manager, connections, loop)


def refuse_recovery_with(manager: Any) -> None:
    """Refuse connection state recovery with a client manager that knows nothing of it.

    Raises:
        ValueError: It is one of python-socketio's.
    """
    if not isinstance(manager, Rooms):
        raise ValueError(
            "connection_state_recovery does not work with python-socketio's client managers: pass "
            "asyncsock.queues.from_url(url) as client_manager, or message_queue=url to SocketIO"
        )


def packet_class_for(manager: Any, packet_class: Any, json: Any) -> Any:
    """The packet class with which a client manager encodes. It uses the server's JSON module."""
    if json is not None:
        if packet_class is socketio_packet.Packet:
            return packet_class
        return type("Packet", (packet_class,), {"json": json})
    if not isinstance(manager, Rooms) and packet_class is socketio_packet.Packet:
        return type("Packet", (packet_class,), {"json": JSONModule})
    return packet_class
