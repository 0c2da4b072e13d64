"""Clients of all processes: which there are, and rooms and disconnections for many at once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ..cluster import Cluster, NotAllAnswered
from ..engine.awaitables import SENT, Sent
from ..room_table import check_recipients, check_room
from ..rooms import refuse_sid_room
from .addresses import read_address, write_address
from .answers import AnswersMissing
from .local_clients import LocalClients, all_of
from .remote_socket import RemoteSocket, packed


class Fetch(msgspec.Struct):
    """Asks a process for its clients."""

    address: bytes


class Sockets(msgspec.Struct):
    """The clients of a process."""

    sockets: list[RemoteSocket]


class PackedSockets(msgspec.Struct):
    """`Sockets` as they are sent."""

    sockets: list[msgspec.Raw]


class Move(msgspec.Struct):
    """Has clients join or leave the further rooms of the address."""

    address: bytes


class Disconnect(msgspec.Struct):
    """Has clients disconnected."""

    address: bytes
    close: bool


class ClientOperations:
    """What the servers of all processes do with their clients when one of them asks for it.

    Args:
        cluster: The processes.
        local: The clients of this one.
    """

    def __init__(self, cluster: Cluster, local: LocalClients) -> None:
        self._cluster = cluster
        self._local = local
        cluster.on_ask("fetch_sockets", Fetch, Sockets, self._answer_fetch)  # type: ignore[arg-type]
        cluster.on("sockets_join", Move, self._told_join)
        cluster.on("sockets_leave", Move, self._told_leave)
        cluster.on("disconnect_sockets", Disconnect, self._told_disconnect)

    # Here and elsewhere

    async def fetch(self, to: Any, namespace: str) -> list[RemoteSocket]:
        """What there is to know of clients; see `ReachesAll.fetch_sockets`."""
        check_recipients(to)
        if self._cluster.queue is None or self._local.has(to, namespace):
            return self._local.fetch(to, namespace)
        try:
            answers = await self._cluster.ask("fetch_sockets", Fetch(write_address(namespace, to)))
        except NotAllAnswered as error:
            found = self._local.fetch(to, namespace) + _together(error.answers)
            raise AnswersMissing(found, len(error.missing)) from None
        return self._local.fetch(to, namespace) + _together(answers)

    def join(self, room: Any, to: Any, namespace: str) -> Sent:
        """Add clients to one room or several."""
        rooms = _several(room)
        for name in rooms:
            refuse_sid_room("", name)
        sent = self._tell("sockets_join", Move, namespace, to, rooms)
        self._local.enter(rooms, to, namespace)
        return sent

    def leave(self, room: Any, to: Any, namespace: str) -> Sent:
        """Remove clients from one room or several."""
        rooms = _several(room)
        sent = self._tell("sockets_leave", Move, namespace, to, rooms)
        self._local.leave(rooms, to, namespace)
        return sent

    def disconnect(self, to: Any, namespace: str, close: bool) -> Sent:
        """Disconnect clients."""
        sent = self._tell("disconnect_sockets", partial(Disconnect, close=close), namespace, to)
        waiting = self._local.disconnect(to, namespace, close)
        return all_of([sent, *waiting]) if waiting else sent

    def _tell(
        self, kind: str, message: Callable[[bytes], Any], namespace: str, to: Any, more: Any = None
    ) -> Sent:
        check_recipients(to)
        if self._cluster.queue is None or self._local.has(to, namespace):
            return SENT
        return self._cluster.tell(kind, message(write_address(namespace, to, more)))

    # For others

    def _answer_fetch(self, _sender: str, question: Fetch) -> PackedSockets:
        address = read_address(question.address)
        return PackedSockets([packed(each) for each in self._local.fetch(address.to, address.namespace)])

    def _told_join(self, _sender: str, message: Move) -> None:
        address = read_address(message.address)
        self._local.enter(_several(address.more), address.to, address.namespace)

    def _told_leave(self, _sender: str, message: Move) -> None:
        address = read_address(message.address)
        self._local.leave(_several(address.more), address.to, address.namespace)

    def _told_disconnect(self, _sender: str, message: Disconnect) -> None:
        address = read_address(message.address)
        self._local.disconnect(address.to, address.namespace, message.close)


def _several(room: Any) -> list[Any]:
    rooms = list(room) if isinstance(room, (list, tuple, set, frozenset)) else [room]
    for name in rooms:
        check_room(name)
    return rooms


def _together(answers: dict[str, Sockets]) -> list[RemoteSocket]:
    return [found for answer in answers.values() for found in answer.sockets]
