"""Whom a message of an operation is for, in a form that takes every room and namespace that JSON can name."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec

from ..cluster import Malformed

Room = str | int | float | bool | None
Rooms = Room | list[Room]


class Address(NamedTuple):
    """Clients of a namespace.

    Attributes:
        namespace: The namespace.
        to: The room, or the rooms, that they are in; None for everybody.
        more: Further rooms, or sids: what they are to join or to leave, or who is left out.
    """

    namespace: str
    to: Rooms = None
    more: Rooms = None


def write_address(namespace: str, to: Any = None, more: Any = None) -> bytes:
    """An address to send.

    Raises:
        TypeError: A room is of a type that cannot be sent.
    """
    return json.dumps([namespace, _plain(to), _plain(more)]).encode()


def _plain(rooms: Any) -> Any:
    is_list = hasattr(rooms, "__len__") and not isinstance(rooms, str)
    for room in rooms if is_list else [rooms]:
        if not isinstance(room, (str, int, float, bool, type(None))):
            raise TypeError(
                f"{room!r:.100} cannot be sent through a message queue: rooms are text, numbers or lists "
                "of them"
            )
    return list(rooms) if is_list else rooms


def read_address(text: bytes) -> Address:
    """An address that was sent.

    Raises:
        Malformed: It is malformed.
    """
    try:
        return msgspec.convert(json.loads(text), Address)
    except (ValueError, RecursionError) as error:
        raise Malformed(f"a malformed address of another process: {error}") from None
