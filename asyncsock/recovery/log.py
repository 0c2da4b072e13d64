"""The events that the clients of this process were sent lately, and may have missed."""

from __future__ import annotations

import os
import time
from base64 import urlsafe_b64encode
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from operator import attrgetter
from typing import Any, NamedTuple

from ..codec.base import EVENT, Body, Codec
from ..engine.packet import Packet, size_of

EPOCH_LENGTH = 6  # characters
MOST_DIGITS = 18
COST = 400  # bytes that an event takes besides its packets
COST_OF_NAME = 80  # for each room and each sid that it names, whose text it may be the last to have
COST_OF_ROOM = 1000  # bytes that a room takes while there are events of it
UNDER_WAY = 10.0  # seconds that a message may be under way to one process after it has come to another
MOST_HEARD = 1000  # processes of which is known when their last event came
PASSED_BYTES = 4 * 1024 * 1024  # of events that nobody here was to get
Source = tuple[str, int]  # who has published an event, and its number there

_time = attrgetter("time")


class Event:
    """An event that was sent to rooms.

    Attributes:
        number: It counts the events of this process.
        time: When it was sent, on the clock of the event loop.
        namespace: The namespace.
        rooms: The rooms; None is everybody in the namespace.
        skipped: The sids that were left out.
        body: The name and the arguments, encoded, without the offset.
        size: Bytes that it takes.
        source: Who has published it, if it is in other processes too.
    """

    __slots__ = ("_packets", "body", "namespace", "number", "rooms", "size", "skipped", "source", "time")

    def __init__(
        self,
        number: int,
        time: float,
        namespace: str,
        rooms: tuple[Hashable, ...],
        skipped: tuple[str, ...],
        body: Body,
        size: int,
    ) -> None:
        self.number = number
        self.time = time
        self.namespace = namespace
        self.rooms = rooms
        self.skipped = skipped
        self.body = body
        self.size = size
        self.source: Source | None = None
        self._packets: list[Packet] | None = None


class PassedEvent(NamedTuple):
    """An event of the message queue that nobody here was to get.

    Attributes:
        make_body: Makes its `Event.body`.
    """

    time: float
    namespace: str
    rooms: tuple[Hashable, ...]
    skipped: tuple[str, ...]
    source: Source
    size: int
    make_body: Callable[[], Body]

    @property
    def body(self) -> Body:
        """See `Event`."""
        return self.make_body()


class EventLog:
    """The events of the last seconds, in their order. Beyond the bounds, the oldest are forgotten.

    An offset is the name of this log and the number of an event.

    Args:
        codec: Encodes the packets.
        seconds: How long events are kept.
        max_bytes: How much they, and `reserved`, may take.

    Attributes:
        number: The number of the last event.
        size: Bytes that the events and the lists of those of each room take.
        reserved: Bytes of the bound that something else takes.
    """

    def __init__(self, codec: Codec, seconds: float, max_bytes: int) -> None:
        self._codec = codec
        self._seconds = seconds
        self.max_bytes = max_bytes
        self.epoch = urlsafe_b64encode(os.urandom(6))[:EPOCH_LENGTH].decode()
        self.number = 0
        self.reserved = 0
        self.size = 0
        self._events: deque[Event] = deque()
        self._passed: deque[PassedEvent] = deque()
        self._passed_size = 0
        self._heard: OrderedDict[str, float] = OrderedDict()  # when the last event of each process has come
        self._by_room: dict[tuple[str, Hashable], deque[Event]] = {}

    def add(self, namespace: str, room: Any, skip_sid: Any, body: Body) -> list[Packet]:
        """Keep an event that is being sent. Returns its packets, of which the last argument is its offset.

        Args:
            namespace: The namespace.
            room: A room, a list of rooms, or None for everybody.
            skip_sid: A sid, or a list of them, to leave out.
            body: The event.
        """
        self.number = number = self.number + 1
        packets = self._assemble(number, namespace, body)
        rooms, skipped = rooms_in(room), sids_in(skip_sid)
        size = size_of(packets) + COST + COST_OF_NAME * (len(rooms) + len(skipped))
        body = self._codec.detach(body)
        event = Event(number, time.monotonic(), namespace, rooms, skipped, body, size)
        self._events.append(event)
        by_room = self._by_room
        for name in event.rooms:
            of_room = by_room.get((namespace, name))
            if of_room is None:
                of_room = by_room[namespace, name] = deque()
                self.size += COST_OF_ROOM
            of_room.append(event)
        self.size += size
        self.shrink()
        return packets

    def passing(self, namespace: str, body: Body) -> list[Packet]:
        """The packets of an event that is not kept. Its offset is that of the event before it."""
        return self._assemble(self.number, namespace, body)

    @property
    def last(self) -> Event | None:
        """The last event, if it is kept."""
        return self._events[-1] if self._events else None

    def packets_of(self, event: Event) -> list[Packet]:
        """The packets of an event, made once for all clients that have missed it."""
        if event._packets is None:
            packets = self._assemble(event.number, event.namespace, event.body)
            if event.number < self.first:  # it has just been forgotten
                return packets
            event._packets = packets
            event.size += (size := size_of(packets))
            self.size += size
            self.shrink()
        return event._packets

    def _assemble(self, number: int, namespace: str, body: Body) -> list[Packet]:
        body = self._codec.with_argument(body, self.offset(number))
        return self._codec.assemble(EVENT, namespace, body)

    def shrink(self) -> None:
        """Forget events that are too old or too many."""
        events = self._events
        limit, oldest = self.max_bytes - self.reserved, time.monotonic() - self._seconds
        while events and (self.size > limit or events[0].time < oldest):
            event = events.popleft()
            self.size -= event.size
            for name in event.rooms:
                of_room = self._by_room[event.namespace, name]
                of_room.popleft()
                if not of_room:
                    del self._by_room[event.namespace, name]
                    self.size -= COST_OF_ROOM

    @property
    def first(self) -> int:
        """The number of the first event that is kept, or of the next one."""
        return self._events[0].number if self._events else self.number + 1

    def clear(self) -> None:
        """Forget all events: some were lost on the way here, so that nobody knows what was missed."""
        self.number += 1  # so that everybody has missed something
        self._events.clear()
        self._by_room.clear()
        self._passed.clear()
        self.size = self._passed_size = 0

    # Where events come from

    def mark_last(self, source: Source) -> None:
        """Note who has published the last event, which is in other processes too."""
        self._hear(source[0], time.monotonic())
        if self._events:  # it may have been too large to be kept
            self._events[-1].source = source

    def _hear(self, process: str, now: float) -> None:
        self._heard[process] = now
        self._heard.move_to_end(process)
        if len(self._heard) > MOST_HEARD:
            self._heard.popitem(last=False)

    def heard_lately(self) -> dict[str, float]:
        """How many seconds ago the last event of each process has come; of those of which one has lately."""
        now = time.monotonic()
        return {name: now - at for name, at in self._heard.items() if at >= now - UNDER_WAY}

    def has_passed(
        self,
        source: Source,
        namespace: str,
        room: Any,
        skip_sid: Any,
        size: int,
        make_body: Callable[[], Body],
    ) -> None:
        """Note an event that nobody here was to get: somebody may come from another process who is."""
        now = time.monotonic()
        self._hear(source[0], now)
        event = PassedEvent(now, namespace, rooms_in(room), sids_in(skip_sid), source, size + COST, make_body)
        passed = self._passed
        passed.append(event)
        self._passed_size += event.size
        while self._passed_size > PASSED_BYTES or passed[0].time < now - UNDER_WAY:
            self._passed_size -= passed.popleft().size
            if not passed:
                break

    def unseen(
        self, seen: Mapping[str, int], own: Mapping[str, int], age: float
    ) -> list[Event | PassedEvent]:
        """The events here that another process had not seen, in their order.

        Args:
            seen: The number of the last message that it had seen from each process.
            own: The same of this one.
            age: How many seconds ago it began to listen. It need not have seen what came before, of a process
                that may have ended by then.
        """
        behind = {sender for sender, number in own.items() if number > seen.get(sender, 0)}
        if not behind:
            return []
        now = time.monotonic()
        oldest, began = now - UNDER_WAY, now - age
        found: list[Event | PassedEvent] = []
        either: list[Iterable[Event | PassedEvent]] = [reversed(self._events), reversed(self._passed)]
        for events in either:
            for event in events:
                if event.time < oldest:
                    break
                if event.source is None:
                    continue
                sender, number = event.source
                is_known = sender in seen or event.time >= began
                if sender in behind and is_known and number > seen.get(sender, 0):
                    found.append(event)
        return sorted(found, key=_time)

    # Offsets

    def offset(self, number: int) -> str:
        """The offset of an event."""
        return f"{self.epoch}{number}"

    def number_of(self, offset: str) -> int | None:
        """The number of an event with an offset; None if no event here has had it."""
        number = number_in(offset, self.epoch)
        return number if number is not None and number <= self.number else None

    def number_before(self, time: float) -> int:
        """The number of the last event that was sent before a time of the loop's clock."""
        return self.first - 1 + bisect_left(self._events, time, key=_time)

    # Who has missed what

    def has_since(self, number: int, namespace: str, room: Hashable) -> bool:
        """Whether a room has had an event after one with a number."""
        of_room = self._by_room.get((namespace, room))
        return of_room is not None and of_room[-1].number > number

    def missed(
        self, sid: str, namespace: str, stays: Iterable[tuple[Hashable, int, int | None]], after: int
    ) -> list[Event]:
        """The events that a client should have, in their order.

        Args:
            sid: The client.
            namespace: Its namespace.
            stays: Its rooms, with the numbers of the last events before it came and before it left; None if
                it has not left.
            after: The number of the last event that it has.
        """
        found: dict[int, Event] = {}
        for room, joined, left in stays:
            start = max(after, joined)
            for event in reversed(self._by_room.get((namespace, room), ())):
                if event.number <= start:
                    break
                if (left is None or event.number <= left) and sid not in event.skipped:
                    found[event.number] = event
        return [found[number] for number in sorted(found)]


def number_in(offset: str, epoch: str) -> int | None:
    """The number of an event with an offset, if it is one of the log with a name."""
    digits = offset[EPOCH_LENGTH:]
    if (
        not offset.startswith(epoch)
        or not (digits.isascii() and digits.isdigit())
        or len(digits) > MOST_DIGITS
    ):
        return None
    return int(digits)


def sids_in(skip_sid: Any) -> tuple[str, ...]:
    """The sids that an event leaves out."""
    return () if skip_sid is None else tuple(skip_sid) if isinstance(skip_sid, list) else (skip_sid,)


def rooms_in(room: Any) -> tuple[Hashable, ...]:
    """The rooms that the recipients of an event are in; None stands for everybody, but not in a list."""
    if room is None or isinstance(room, str) or not hasattr(room, "__len__"):
        return (room,)
    return tuple({name: None for name in room if name is not None})
