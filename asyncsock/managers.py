"""python-socketio's client managers behind the interface of `Rooms`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from socketio import packet as socketio_packet

from .codec.values import JSONModule
from .connection import Client, Connection, Dropped, State
from .engine.awaitables import Sent
from .rooms import Rooms, refuse_sid_room
from .server_loop import ServerLoop
from .types import Handler


class ForeignManager:
    """A client manager of python-socketio's, such as ``socketio.AsyncRedisManager``.

    Its methods are coroutines, which run as tasks. It has no notion of a client whose connect handler runs;
    what happens to such a client is noted here until that handler has ended.

    Args:
        manager: The client manager. From here on it sends nothing to clients that were sent away.
        connections: The connections by session id.
        loop: Where its coroutines run.
    """

    is_immediate: Literal[False] = False

    def __init__(self, manager: Any, connections: Mapping[str, Connection], loop: ServerLoop) -> None:
        self._manager = manager
        self._connections = connections
        self._loop = loop
        # Before python-socketio 5.18 managers have one step only: a client that they know is connected.
        self._in_two_steps = hasattr(manager, "pre_connect")
        self._clients: dict[str, Client] = {}
        self._silent: set[str] = set()  # the sids of clients that are sent nothing any more
        self._find = manager.get_participants
        manager.get_participants = self._participants

    def _participants(self, namespace: str, room: Any) -> Iterable[tuple[str, str]]:
        found: Iterable[tuple[str, str]] = self._find(namespace, room)
        return [each for each in found if each[0] not in self._silent] if self._silent else found

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
    ) -> Sent:
        """Begin to send an event, from any thread."""
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

    def emit_elsewhere(self, _loop: ServerLoop, *event: Any) -> Sent:
        """Begin to send an event, from a thread that is not the event loop's."""
        return self.emit(*event)

    def enter_room(self, sid: str, namespace: str, room: Any) -> Sent:
        """Add a client to a room."""
        refuse_sid_room(sid, room)
        return self._loop.start(self._manager.enter_room(sid, namespace, room))

    def leave_room(self, sid: str, namespace: str, room: Any) -> Sent:
        """Remove a client from a room."""
        return self._loop.start(self._manager.leave_room(sid, namespace, room))

    def close_room(self, room: Any, namespace: str) -> Sent:
        """Remove every client from a room."""
        return self._loop.start(self._manager.close_room(room, namespace))

    # Clients

    def connection_of(self, sid: str, namespace: str) -> Connection:
        """The connection of a client."""
        return self._connections[self._manager.eio_sid_from_sid(sid, namespace)]

    def is_connected(self, sid: str, namespace: str) -> bool:
        """Whether a client is connected to a namespace and not about to leave it."""
        return bool(self._manager.is_connected(sid, namespace))

    async def pre_connect(self, eio_sid: str, namespace: str) -> str | None:
        """Note a client whose connect handler is about to run; None if it is connected already."""
        enter = self._manager.pre_connect if self._in_two_steps else self._manager.connect
        sid: str | None = await enter(eio_sid, namespace)
        if sid is not None:
            connection = self._connections[eio_sid]
            client = Client(sid, connection, namespace, connection.session, State.CONNECTING)
            self._clients[sid] = connection.clients[namespace] = client
        return sid

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
        await self._manager.disconnect(sid, namespace, **options)

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
        for namespace in list(self._manager.get_namespaces()):
            for sid, _ in list(self._find(namespace, None)):
                self._manager.basic_disconnect(sid, namespace)
        self._clients.clear()
        self._silent.clear()

    def abandon(self, connection: Connection, reason: str) -> list[tuple[str, str]]:
        """The sid and namespace of each connected client of a session that has ended."""
        clients = connection.clients.values()
        return [(client.sid, client.namespace) for client in clients if client.state is State.CONNECTED]

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:
        """Call the callback of an event that a client has acknowledged."""
        if id != 0:  # under 0 these managers keep their counter, not a callback
            await self._manager.trigger_callback(sid, id, data)


AnyRooms = Rooms | ForeignManager


def rooms_of(manager: Any, connections: Mapping[str, Connection], loop: ServerLoop) -> AnyRooms:
    """The client manager of a server, in an adapter if it is one of python-socketio's."""
    return manager if isinstance(manager, Rooms) else ForeignManager(manager, connections, loop)


def packet_class_for(manager: Any, packet_class: Any, json: Any) -> Any:
    """The packet class with which a client manager encodes. It uses the server's JSON module."""
    if json is not None:
        if packet_class is socketio_packet.Packet:
            return packet_class
        return type("Packet", (packet_class,), {"json": json})
    if not isinstance(manager, Rooms) and packet_class is socketio_packet.Packet:
        return type("Packet", (packet_class,), {"json": JSONModule})
    return packet_class
