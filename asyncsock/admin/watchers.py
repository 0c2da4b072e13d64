"""The browsers that watch, in all processes, and what they are sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec

from ..cluster import Cluster
from ..codec.base import EVENT, Codec
from ..connection import Client
from ..disconnections import Disconnector
from ..engine.server import EngineServer
from ..rooms import Rooms
from .arrivals import HERE, Arrivals, Message

AT_ONCE = 1_000_000  # bytes of messages that go to another process together
UNREAD = 1000  # packets that wait for a browser, with which it gets no more events of clients
EVENTS = frozenset(["event_received", "event_sent"])


class Watch(msgspec.Struct):
    """Says whether browsers watch at this process, and which one is new."""

    is_watched: bool
    newcomer: str = ""


class Show(msgspec.Struct):
    """Messages for the browsers that watch at a process, or for one of them."""

    messages: list[Message]
    to: str = ""


class Encoded(msgspec.Struct):
    """`Show` as it is sent."""

    messages: list[msgspec.Raw]
    to: str = ""


class Watchers:
    """Knows at which processes browsers watch, and sends them messages.

    Args:
        cluster: The processes.
        engine: The engine of this one's server.
        disconnector: Knows its clients.
        codec: Encodes its packets.
        namespace: The namespace of the Admin UI.
        has_lists: Whether each process sends a new browser a list of its clients.

    Attributes:
        on_change: Called when somebody begins to watch, or nobody watches any more.
        on_newcomer: Called with the process and the sid of each new browser; "" for this process.
    """

    def __init__(
        self,
        cluster: Cluster,
        engine: EngineServer,
        disconnector: Disconnector,
        codec: Codec,
        namespace: str,
        has_lists: bool,
    ) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.on_newcomer: Callable[[str, str], None] = lambda process, sid: None
        self._cluster = cluster
        self._engine = engine
        self._disconnector = disconnector
        self._codec = codec
        self._namespace = namespace
        self._arrivals = Arrivals(lambda messages, sid: self._deliver(messages, [sid]))
        self._has_lists = has_lists
        self._here: set[str] = set()  # their sids
        self._elsewhere: set[str] = set()  # the processes at which others are
        cluster.on("admin.watch", Watch, self._told_watch)
        cluster.on("admin.show", Show, self._told_show)
        cluster.on_joined.append(self._joined)
        cluster.on_left.append(self._left)

    @property
    def are_there(self) -> bool:
        """Whether anybody watches."""
        return bool(self._here or self._elsewhere)

    def has(self, process: str, sid: str) -> bool:
        """Whether a browser may still watch."""
        return sid in self._here if not process else process in self._elsewhere

    # At this process

    def add(self, sid: str) -> None:
        """A browser that has logged in watches from now on."""
        self._here.add(sid)
        if self._has_lists:
            self._arrivals.add(sid, self._cluster.members())
        self.on_change()
        self.on_newcomer(HERE, sid)
        self._cluster.tell("admin.watch", Watch(True, sid))

    def discard(self, sid: str) -> None:
        """A browser has left."""
        if sid in self._here:
            self._here.remove(sid)
            self._arrivals.discard(sid)
            if not self._here:
                self._cluster.tell("admin.watch", Watch(False))
            self.on_change()

    # At others

    def _told_watch(self, process: str, watch: Watch) -> None:
        if not process:
            return
        if watch.is_watched:
            self._elsewhere.add(process)
        else:
            self._elsewhere.discard(process)
        self.on_change()
        if watch.newcomer:
            self.on_newcomer(process, watch.newcomer)

    def _joined(self, process: str) -> None:
        for sid in self._here or ():  # it shows what it has to each
            self._cluster.tell("admin.watch", Watch(True, sid), process)

    def _left(self, process: str, _in_order: bool) -> None:
        self._elsewhere.discard(process)
        self._arrivals.lost(process)
        self.on_change()

    def _told_show(self, process: str, show: Show) -> None:
        if show.to:
            self._take(process, show.to, show.messages)
        else:
            self._take_for_all(process, show.messages)

    # Messages

    def show(self, messages: list[Message]) -> None:
        """Send messages to all who watch."""
        self._take_for_all(HERE, messages)
        queue = self._cluster.queue
        if queue is None or not queue.is_in_touch:
            return  # nothing is kept for those who cannot be reached
        for part in _parts(messages) if self._elsewhere else ():
            for process in self._elsewhere:
                self._cluster.tell("admin.show", Encoded(part), process)

    def show_to(self, process: str, sid: str, messages: list[Message]) -> None:
        """Send messages to one of them."""
        if process:
            for part in _parts(messages):
                self._cluster.tell("admin.show", Encoded(part, sid), process)
        else:
            self._take(HERE, sid, messages)

    def _take_for_all(self, process: str, messages: list[Message]) -> None:
        arriving, others = self._arrivals.among(self._here)
        self._deliver(messages, others)
        for sid in arriving:
            self._deliver(self._arrivals.take(process, messages, sid, is_for_all=True), [sid])

    def _take(self, process: str, sid: str, messages: list[Message]) -> None:
        self._deliver(self._arrivals.take(process, messages, sid, is_for_all=False), [sid])

    def _deliver(self, messages: list[Message], sids: list[str]) -> None:
        rooms = self._disconnector.rooms
        if not isinstance(rooms, Rooms):
            return
        clients = [client for sid in sids if sid in self._here and (client := rooms.clients.get(sid))]
        if not clients:
            return  # it has left meanwhile
        for message in messages:
            packets = self._codec.assemble(EVENT, self._namespace, self._codec.encode(message))
            takes = [client for client in clients if message[0] not in EVENTS or _keeps_up(client)]
            self._engine.outboxes.fan_out([client.target for client in takes], packets)


def _keeps_up(client: Client) -> bool:
    return len(client.target.outbox) < UNREAD


def _parts(messages: list[Message]) -> Iterator[list[msgspec.Raw]]:
    """Messages for other processes, as many together as may be."""
    part: list[msgspec.Raw] = []
    size = 0
    for message in messages:
        encoded = msgspec.msgpack.encode(message)
        if part and size + len(encoded) > AT_ONCE:
            yield part
            part, size = [], 0
        part.append(msgspec.Raw(encoded))
        size += len(encoded)
    yield part
