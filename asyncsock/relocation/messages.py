"""What processes tell each other of clients that may come back."""

from __future__ import annotations

import msgspec

from ..presence.messages import Written
from ..queues.wire import InboxName

WANTED, BUNDLE, TAKEN = "recovery.wanted", "recovery.bundle", "recovery.taken"


class MovedEvent(msgspec.Struct, array_like=True):
    """An event that clients have missed: its `Body`."""

    data: bytes
    attachments: list[bytes]


class MovedSpan(msgspec.Struct, array_like=True):
    """A `Span`, with places in `Bundle.events` for bodies."""

    epoch: str
    after: int
    last: int
    events: list[tuple[int, int]]


class MovedClient(msgspec.Struct):
    """A `Parked` client.

    Attributes:
        key: The digest of its private id.
        seconds: For how long it may still come back.
        kept: What the server has kept of its connection, in its own encoding.
        shown: What is shown of it to others: see `Presence.entries_of`.
    """

    key: bytes
    sid: str
    namespace: str
    rooms: list[str | int | float | bool]
    base: str | None
    spans: list[MovedSpan]
    is_whole: bool
    seconds: float
    user_session: bytes | None
    kept: bytes | None
    shown: list[Written]


class Bundle(msgspec.Struct):
    """Clients, to a process that has asked for one, or to all from one that stops.

    Attributes:
        events: What they have missed.
        seen: The number of the last message that the sender had seen of each process when it made this.
        heard: How many seconds ago the last event of each process had come to it, of those that had lately.
        age: For how many seconds the sender had listened by then.
        sent_at: When it was made, in seconds since 1970.
        is_for_all: Whether others have got it too.
        unknown: The clients that were asked for and are not there.
        given: Those of them that the sender has given to another process lately, and which.
    """

    events: list[MovedEvent]
    clients: list[MovedClient]
    seen: dict[str, int]
    heard: dict[str, float] = {}
    age: float = 0.0
    sent_at: float = 0.0
    is_for_all: bool = False
    unknown: list[bytes] = []
    given: list[tuple[bytes, InboxName]] = []


class WantedClient(msgspec.Struct, array_like=True):
    """A client that is asked for.

    Attributes:
        key: The digest of its private id.
        offset: The offset with which it wants to come back.
        follows: Whether it may be on its way to who is asked, which answers when it has come.
    """

    key: bytes
    offset: str | None
    follows: bool


class Wanted(msgspec.Struct):
    """Who are asked for."""

    clients: list[WantedClient]


class Taken(msgspec.Struct):
    """Which clients of a bundle for all have come back, and are to be forgotten by the others."""

    keys: list[bytes]
