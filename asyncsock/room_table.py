"""Which clients there are, and in which room."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .connection import NO_CALLBACKS, NO_ROOMS, Client, Connection, State, Target

_NO_ROOMS: dict[Hashable, dict[str, Target]] = {}  # of a namespace without clients; never changed
_NO_LISTS = (dict, bytes, bytearray, memoryview)  # what has a length and is no list of rooms


class RoomTable:
    """The clients of one process and their rooms.

    A client and its rooms know each other, so that joining, leaving and disconnecting cost the client's own
    rooms only.

    Attributes:
        rooms: Where packets go, by namespace, room and sid. Room ``None`` has everybody in the namespace.
        clients: The clients by sid, each of which is a room of its own.
    """

    def __init__(self) -> None:
        self.rooms: dict[str, dict[Hashable, dict[str, Target]]] = {}
        self.clients: dict[str, Client] = {}

    def recipients(self, namespace: str, room: Any, skip_sid: Any = None) -> dict[str, Target]:
        """Where the packets for one or several rooms go.

        Args:
            namespace: The namespace.
            room: A room, a list of rooms, or None for everybody in the namespace.
            skip_sid: A sid, or a list of them, to leave out.

        Returns:
            The targets by sid. Do not change the dictionary: it may be the room itself.

        Raises:
            TypeError: It is neither a room nor a list of rooms.
        """
        members = self._members(namespace, room)
        if skip_sid is None:
            return members
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        return {sid: target for sid, target in members.items() if sid not in skipped}

    def _members(self, namespace: str, room: Any) -> dict[str, Target]:
        rooms = self.rooms.get(namespace, _NO_ROOMS)
        try:
            if room is None or isinstance(room, str) or not hasattr(room, "__len__"):
                return self._room(rooms, namespace, room)
            if isinstance(room, _NO_LISTS):
                check_recipients(room)
            several: dict[str, Target] = {}
            for name in room:
                if name is None:
                    continue  # in a list it means nobody: the list may come from a client
                several.update(self._room(rooms, namespace, name))
            return several
        except TypeError:
            check_recipients(room)
            raise

    def _room(
        self, rooms: dict[Hashable, dict[str, Target]], namespace: str, room: Hashable
    ) -> dict[str, Target]:
        members = rooms.get(room)
        if members is not None:
            return members
        client = self.find(room, namespace)
        return {client.sid: client.target} if client is not None else {}

    def find(self, sid: Any, namespace: str) -> Client | None:
        """The client with a sid, if it is in the namespace."""
        client = self.clients.get(sid)
        return client if client is not None and client.namespace == namespace else None

    def add(self, sid: str, connection: Connection, namespace: str, target: Target, state: State) -> Client:
        """Add a client. It is only in its own room."""
        client = connection.clients[namespace] = Client(sid, connection, namespace, target, state)
        self.clients[sid] = client
        rooms = self.rooms.get(namespace)
        if rooms is None:
            rooms = self.rooms[namespace] = {None: {}}
        rooms[None][sid] = target
        return client

    def remove(self, client: Client) -> None:
        """Remove a client from all rooms."""
        del self.clients[client.sid]
        if client.callbacks is not NO_CALLBACKS:
            client.callbacks.abandon()
        rooms = self.rooms[client.namespace]
        for room in client.rooms:
            _remove(rooms, room, client.sid)
        _remove(rooms, None, client.sid)
        if not rooms:
            del self.rooms[client.namespace]

    def redirect(self, client: Client, target: Target) -> None:
        """Change where the packets for a client go, in all of its rooms."""
        sid, rooms = client.sid, self.rooms[client.namespace]
        client.target = rooms[None][sid] = target
        for room in client.rooms:
            rooms[room][sid] = target

    def enter(self, client: Client, room: Hashable) -> bool:
        """Add a client to a room; return whether it was not in it."""
        if room in client.rooms:
            return False
        self.rooms[client.namespace].setdefault(room, {})[client.sid] = client.target
        if client.rooms is NO_ROOMS:
            client.rooms = {room: None}
        else:
            client.rooms[room] = None
        return True

    def leave(self, client: Client, room: Hashable) -> None:
        """Remove a client from a room, if it is in it."""
        if room in client.rooms:
            del client.rooms[room]
            _remove(self.rooms[client.namespace], room, client.sid)


def check_room(room: Any, argument: str = "room") -> None:
    """Refuse what cannot be a room.

    Raises:
        TypeError: It is not hashable; the error names the argument.
    """
    try:
        hash(room)
    except TypeError:
        raise TypeError(
            f"{argument}={room!r:.100}: a room is text, a number or another value that is hashable, "
            f"not of type {type(room).__name__}"
        ) from None


def check_recipients(to: Any) -> None:
    """Refuse what is neither a room nor a list of rooms.

    Raises:
        TypeError: It is something else; the error names the argument.
    """
    if isinstance(to, str) or not hasattr(to, "__len__"):
        check_room(to, "to")
        return
    if isinstance(to, _NO_LISTS):
        raise TypeError(
            f"to={to!r:.100}: it has to be a room or a list of rooms, not of type {type(to).__name__}"
        )
    for room in to:
        check_room(room, "to")


def _remove(rooms: dict[Hashable, dict[str, Target]], room: Hashable, sid: str) -> None:
    members = rooms[room]
    del members[sid]
    if not members:
        del rooms[room]
