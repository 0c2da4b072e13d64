"""Which clients there are, and in which room."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from .connection import NO_ROOMS, Client, Connection, State, Target


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
        """
        members = self._members(namespace, room)
        if skip_sid is None:
            return members
        skipped = skip_sid if isinstance(skip_sid, list) else [skip_sid]
        return {sid: target for sid, target in members.items() if sid not in skipped}

    def _members(self, namespace: str, room: Any) -> dict[str, Target]:
        rooms = self.rooms.get(namespace)
        if rooms is None:
            return {}
        if room is None or isinstance(room, str) or not hasattr(room, "__len__"):
            return self._room(rooms, namespace, room)
        several: dict[str, Target] = {}
        for name in room:
            if name is None:
                continue  # in a list it means nobody: the list may come from a client
            several.update(self._room(rooms, namespace, name))
        return several

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

    def enter(self, client: Client, room: Hashable) -> None:
        """Add a client to a room."""
        self.rooms[client.namespace].setdefault(room, {})[client.sid] = client.target
        if client.rooms is NO_ROOMS:
            client.rooms = {room: None}
        else:
            client.rooms[room] = None

    def leave(self, client: Client, room: Hashable) -> None:
        """Remove a client from a room, if it is in it."""
        if room in client.rooms:
            del client.rooms[room]
            _remove(self.rooms[client.namespace], room, client.sid)


def _remove(rooms: dict[Hashable, dict[str, Target]], room: Hashable, sid: str) -> None:
    members = rooms[room]
    del members[sid]
    if not members:
        del rooms[room]
