"""What a client needs to come back as the same, while it is connected and when that is lost."""

from __future__ import annotations

import os
from base64 import urlsafe_b64encode
from bisect import bisect_left
from collections.abc import Hashable, Iterator, Sequence
from hashlib import blake2b
from math import inf
from operator import itemgetter
from typing import Any, NamedTuple

from ..codec.base import Body
from .log import number_in

PID_BYTES = 18  # of randomness
MOST_TEXT = 64  # characters of a pid or an offset
# Bytes that a client takes that lost its connection, and each of its rooms and events from elsewhere.
COST, COST_OF_ROOM, COST_OF_EVENT = 1200, 200, 100

Stay = tuple[Hashable, int, int | None]


class Claim(NamedTuple):
    """What a client sends when it comes back.

    Attributes:
        pid: Its private id.
        offset: That of the last event it has got; None if it has got none.
    """

    pid: str
    offset: str | None

    @property
    def key(self) -> bytes:
        """What the server knows of the private id."""
        return key_of(self.pid)


def make_pid() -> str:
    """A new private id. It is a secret of its client: the server keeps `key_of` it."""
    return urlsafe_b64encode(os.urandom(PID_BYTES)).decode()


def key_of(pid: str) -> bytes:
    """A digest of a private id, from which nobody can tell it."""
    return blake2b(pid.encode(), digest_size=16).digest()


def read_claim(auth: Any) -> tuple[Any, Claim | None, bool]:
    """What a client claims in its CONNECT packet.

    Returns:
        The data of the packet without the claim; the claim, if there is one that can be true; and whether
        there is one at all.
    """
    if not isinstance(auth, dict) or "pid" not in auth:
        return auth, None, False
    rest = {key: value for key, value in auth.items() if key not in ("pid", "offset")}
    pid, offset = auth["pid"], auth.get("offset")
    if not _is_text(pid) or not (offset is None or _is_text(offset)):
        return rest, None, True
    return rest, Claim(pid, offset), True


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and len(value) <= MOST_TEXT


class Recoverable:
    """What a connected client would come back with.

    Attributes:
        start: The number of the last event before it connected.
        after: The number of the last event of which it is known that the client has it, or needs it not.
        base: The offset that stands for `after`: it is of another process, or of before the client was new.
        pid: The private id until the client has been told it.
        key: The digest of it, once there is one.
        left: The rooms that it was in: each with the numbers of the last events before it came and left.
        released_at: When it began to get events, on the loop's clock; infinite before that.
        may_return: Whether it has lost its connection, and was not sent away.
        recovered: Whether it has come back.
    """

    __slots__ = (
        "after",
        "base",
        "key",
        "left",
        "may_return",
        "pid",
        "recovered",
        "released_at",
        "start",
    )

    def __init__(self, start: int) -> None:
        self.start = self.after = start
        self.base: str | None = None
        self.pid: str | None = None
        self.key: bytes | None = None
        self.left: list[tuple[Hashable, int, int]] = []
        self.released_at = inf
        self.may_return = False
        self.recovered = False

    def leave(self, room: Hashable, joined: int, now: int, first: int) -> None:
        """Note that the client leaves a room.

        Args:
            room: The room.
            joined: The number of the last event before it came.
            now: The number of the last event.
            first: The number of the first event that can still be missed.
        """
        left = self.left
        left.append((room, joined, now))
        past = bisect_left(left, first, key=itemgetter(2))
        if past * 2 > len(left):
            del left[:past]


class Span(NamedTuple):
    """What a client has missed that another process had kept for it.

    Attributes:
        epoch: The log of that process.
        after: The number of the event after which all are here that the client is to get.
        last: The number of the last event there.
        events: Those events, with their numbers.
    """

    epoch: str
    after: int
    last: int
    events: list[tuple[int, Body]]


class Parked:
    """A client that has lost its connection and may come back.

    Attributes:
        sid: Its sid.
        namespace: Its namespace.
        rooms: The rooms that it had joined, each with the number of the last event before that.
        state: What it comes back with.
        user_session: What `save_session` has stored for it.
        kept: What the server has kept of its connection.
        shown: What another process has shown of it to others.
        spans: What other processes had kept for it, in order, if it comes from one.
        is_whole: Whether the first of them begins where `state.base` says.
        is_copy: Whether other processes may have it too.
        until: When it is forgotten, on the loop's clock.
    """

    __slots__ = (
        "is_copy",
        "is_whole",
        "kept",
        "namespace",
        "rooms",
        "shown",
        "sid",
        "spans",
        "state",
        "until",
        "user_session",
    )

    def __init__(
        self,
        sid: str,
        namespace: str,
        rooms: dict[Hashable, int],
        state: Recoverable,
        user_session: Any,
        kept: Any,
    ) -> None:
        self.sid = sid
        self.namespace = namespace
        self.rooms = rooms
        self.state = state
        self.user_session = user_session
        self.kept = kept
        self.shown: Sequence[Any] = ()
        self.spans: list[Span] = []
        self.is_whole = True
        self.is_copy = False
        self.until = 0.0

    @property
    def places(self) -> tuple[Hashable, ...]:
        """The rooms that it is in, everybody's and its own first."""
        return (None, self.sid, *self.rooms)

    @property
    def size(self) -> int:
        """Bytes that it takes, about. Events that it shares with others are counted for each."""
        bodies = [body for span in self.spans for _, body in span.events]
        events = sum(COST_OF_EVENT + sum(map(len, [body.data, *body.attachments])) for body in bodies)
        return COST + COST_OF_ROOM * (len(self.rooms) + len(self.state.left)) + events

    def missed_elsewhere(self, offset: str | None) -> list[Body] | None:
        """What it has missed after an event, of what other processes had kept; None if that is not known."""
        state = self.state
        if offset is None or offset == state.base:
            spans = self.spans if self.is_whole else None
        else:
            spans = self._spans_after(offset)
        return [body for span in spans for _, body in span.events] if spans is not None else None

    def _spans_after(self, offset: str) -> list[Span] | None:
        for index, span in enumerate(self.spans):
            number = number_in(offset, span.epoch)
            if number is None or number > span.last:
                continue
            if number < span.after and not (index or self.is_whole):
                return None
            rest = [(at, body) for at, body in span.events if at > number]
            return [span._replace(events=rest), *self.spans[index + 1 :]]
        return None

    def stays(self) -> Iterator[Stay]:
        """The rooms that it is and was in, its own and everybody's among them: see `EventLog.missed`."""
        yield None, self.state.start, None
        yield self.sid, self.state.start, None
        for room, joined in self.rooms.items():
            yield room, joined, None
        yield from self.state.left
