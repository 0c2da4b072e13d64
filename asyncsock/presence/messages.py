"""What processes tell each other of their people."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from ..codec.base import Body
from ..codec.json_codec import JSONCodec
from .people import Change, Meta

PART_BYTES = 512 * 1024  # of a state that are told at once


class Written(msgspec.Struct, array_like=True):
    """A change.

    Attributes:
        names: The namespace, the room and the key, as JSON: msgpack has no half surrogate pairs.
    """

    sid: str
    names: bytes
    text: bytes = b""
    attachments: tuple[bytes, ...] = ()
    moves: int = 0


class Told(msgspec.Struct):
    """What has changed in a process. The numbers of these messages have no gap."""

    number: int
    changes: list[Written]


class Part(msgspec.Struct):
    """A part of all that a process has.

    Attributes:
        number: That of its last change.
        start: How many changes were in the parts before.
        of: The name of the process, if it is not the sender: it has stopped.
        seconds: After how many its people leave then.
    """

    number: int
    start: int
    changes: list[Written]
    is_last: bool
    of: str = ""
    seconds: float = 0.0


class Asked(msgspec.Struct):
    """Asks a process for all that it has."""


def write(change: Change) -> Written:
    """A change in the form in which it is told."""
    (namespace, room), sid, key, meta, moves = change
    return Written(sid, json.dumps([namespace, room, key]).encode(), meta.text, meta.attachments, moves)


def read(written: Written, codec: JSONCodec) -> Change:
    """Read a change.

    Raises:
        ValueError: It is malformed.
    """
    names = json.loads(written.names)
    if not isinstance(names, list) or len(names) != 3:
        raise ValueError("not a namespace, a room and a key")
    namespace, room, key = names
    if not isinstance(namespace, str) or not is_room(room) or not isinstance(key, str | None):
        raise ValueError("not a namespace, a room and a key")
    place = namespace, room
    if key is None:
        return Change(place, written.sid, None)
    value = codec.load(Body(written.text, written.attachments))
    meta = Meta(written.text, written.attachments, value)
    return Change(place, written.sid, key, meta, written.moves)


def is_room(room: Any) -> bool:
    """Whether a room can be named to other processes: text, a number, or None, which is everybody."""
    return isinstance(room, str | int | float | None) and room == room  # NaN is no name: it is not itself


def parts(number: int, changes: Sequence[Change], of: str, seconds: float) -> Iterator[Part]:
    """The messages with all that a process has."""
    start, size, written = 0, 0, list[Written]()
    for change in changes:
        each = write(change)
        cost = len(each.sid) + len(each.names) + len(each.text) + sum(map(len, each.attachments))
        if written and size + cost > PART_BYTES:
            yield Part(number, start, written, False, of, seconds)
            start, size, written = start + len(written), 0, []
        written.append(each)
        size += cost
    yield Part(number, start, written, True, of, seconds)
