"""Parked clients as messages, and back."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

import msgspec

from ..codec.base import Body
from ..presence.presence import Presence
from ..recovery.clients import Parked, Recoverable, Span
from ..recovery.recovery import Recovery
from .messages import Bundle, MovedClient, MovedEvent, MovedSpan

BUNDLE_BYTES = 4 * 1024 * 1024  # of events, after which another bundle begins
MOST_CLIENTS = 5000  # in a bundle
NO_EPOCH = "\n"  # of events that no client can have got from the process that has sent them

Pack = Callable[[Any], bytes]
Unpack = Callable[[bytes], Any]


class NotMovable(TypeError):
    """A client has something that cannot be sent to another process."""


class Packer:
    """Makes bundles of parked clients.

    Args:
        recovery: The clients.
        presence: Who is shown to others.
        pack: Encodes `Parked.kept`; it raises for what it cannot encode.
    """

    def __init__(self, recovery: Recovery, presence: Presence, pack: Pack) -> None:
        self._recovery = recovery
        self._presence = presence
        self._pack = pack
        self._events: list[MovedEvent] = []
        self._places: dict[int, int] = {}  # in them, by the identity of a body's data
        self._kept_alive: list[Body] = []
        self._clients: list[MovedClient] = []
        self._size = 0

    def bundles(
        self,
        clients: Iterable[Parked],
        now: float,
        age: float,
        seen: dict[str, int],
        failed: Callable[[Parked, Exception], None],
    ) -> Iterator[Bundle]:
        """Bundles of clients, none of which is too large for a message.

        Args:
            clients: The clients.
            now: The time on the loop's clock.
            age: For how many seconds this process has listened.
            seen: What this process has seen.
            failed: Called with each client that cannot be sent.
        """
        for parked in clients:
            try:
                client = self._moved(parked, now)
            except (NotMovable, TypeError, ValueError, OverflowError, RecursionError) as error:
                failed(parked, error)
                continue
            if client is None:
                continue
            self._clients.append(client)
            if self._size > BUNDLE_BYTES or len(self._clients) >= MOST_CLIENTS:
                yield self._take(seen, age)
        if self._clients:
            yield self._take(seen, age)

    def _take(self, seen: dict[str, int], age: float) -> Bundle:
        heard = self._recovery.log.heard_lately()
        bundle = Bundle(self._events, self._clients, seen, heard, age, time.time())
        self._events, self._places, self._kept_alive, self._clients, self._size = [], {}, [], [], 0
        return bundle

    def _moved(self, parked: Parked, now: float) -> MovedClient | None:
        state = parked.state
        assert state.key is not None
        own = self._recovery.span_of(parked)
        is_whole = own.after <= state.after
        if parked.spans:
            if not is_whole:
                return None  # nobody can tell what it has missed
            is_whole = parked.is_whole
        session = parked.user_session
        return MovedClient(
            state.key,
            parked.sid,
            parked.namespace,
            [_movable(room) for room in parked.rooms],
            state.base,
            [self._span(span) for span in (*parked.spans, own)],
            is_whole,
            parked.until - now,
            msgspec.msgpack.encode(session) if session is not None else None,
            self._pack(parked.kept) if parked.kept is not None else None,
            self._presence.entries_of(parked.sid) or list(parked.shown),
        )

    def _span(self, span: Span) -> MovedSpan:
        events = [(number, self._place(body)) for number, body in span.events]
        return MovedSpan(span.epoch, span.after, span.last, events)

    def _place(self, body: Body) -> int:
        if not isinstance(body.data, bytes):
            raise NotMovable("this serializer's events cannot be sent to another process")
        place = self._places.get(id(body.data))
        if place is None:
            place = self._places[id(body.data)] = len(self._events)
            self._kept_alive.append(body)
            self._events.append(MovedEvent(body.data, list(body.attachments)))
            self._size += len(body.data) + sum(map(len, body.attachments))
        return place


def _movable(room: Hashable) -> Any:
    if type(room) in (str, int, float, bool):
        return room
    raise NotMovable(f"the room {room!r:.100} cannot be sent to another process: rooms are text or numbers")


def unpack(bundle: Bundle, unpack_kept: Unpack, is_old: bool) -> Iterator[tuple[Parked, float]]:
    """The clients of a bundle, and for how many seconds each may come back.

    Args:
        bundle: The bundle.
        unpack_kept: Decodes `Parked.kept`.
        is_old: Whether it was made before this process was there.

    Raises:
        ValueError: The bundle is malformed.
    """
    bodies = [Body(event.data, tuple(event.attachments)) for event in bundle.events]
    age = max(time.time() - bundle.sent_at, 0.0) if is_old else 0.0  # the clocks of hosts may differ
    for moved in bundle.clients:
        state = Recoverable(0)
        state.key, state.base = moved.key, moved.base
        session = msgspec.msgpack.decode(moved.user_session) if moved.user_session is not None else None
        kept = unpack_kept(moved.kept) if moved.kept is not None else None
        rooms: dict[Hashable, int] = dict.fromkeys(moved.rooms, 0)
        parked = Parked(moved.sid, moved.namespace, rooms, state, session, kept)
        parked.spans = [_span(span, bodies) for span in moved.spans]
        parked.shown = moved.shown
        parked.is_whole, parked.is_copy = moved.is_whole, bundle.is_for_all
        yield parked, moved.seconds - age


def _span(span: MovedSpan, bodies: list[Body]) -> Span:
    if any(not 0 <= place < len(bodies) for _, place in span.events):
        raise ValueError("a bundle without an event that a client has missed")
    return Span(span.epoch, span.after, span.last, [(number, bodies[place]) for number, place in span.events])
