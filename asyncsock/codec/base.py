"""Socket.IO packets, and what a codec of them does (Socket.IO v5, "Packet encoding")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import msgspec
import orjson

from ..engine.errors import BadPacket
from ..engine.packet import Packet

CONNECT, DISCONNECT, EVENT, ACK, CONNECT_ERROR, BINARY_EVENT, BINARY_ACK = range(7)
EVENTS = frozenset([EVENT, BINARY_EVENT])
ACKS = frozenset([ACK, BINARY_ACK])
RESERVED_EVENTS = frozenset(["connect", "connect_error", "disconnect"])
ANY = "*"  # as the name of an event or a namespace: any of them
MAX_DEPTH = 200  # levels of nesting; orjson writes 254
SHALLOW = 2 * MAX_DEPTH  # a JSON text of so many characters cannot nest more deeply
MAX_ID = 2**53 - 1  # the largest integer that JavaScript counts to

Place = tuple[Any, Any]  # a list or a dictionary, and the index or the key in it


class Body(msgspec.Struct, gc=False):
    """Encoded data, and the binary attachments that were taken out of it."""

    data: Any
    attachments: Sequence[bytes] = ()


class Incoming(msgspec.Struct, gc=False, eq=False):
    """A packet from a client. Its binary attachments, if any, follow in messages of their own.

    It is compared by identity, so that it can name the handler that runs for it.

    Attributes:
        places: Where in its data its attachments belong, in their order.
        arrived: When it came, by `time.perf_counter`, if events are measured.
    """

    kind: int
    namespace: str
    id: int | None
    data: Any
    places: Sequence[Place] = ()
    arrived: float = 0.0


class Codec(Protocol):
    """Writes and reads packets. `encode` is apart from `assemble`, so that data is encoded once."""

    def encode(self, data: Any) -> Body:
        """Encode the data of a packet.

        Raises:
            NotEncodable: A value in the data cannot be encoded.
        """

    def detach(self, body: Body) -> Body:
        """A copy of encoded data that does not change when the original data does, and takes what it must."""

    def with_argument(self, body: Body, text: str) -> Body:
        """The data of an event with one more argument, which is ASCII without quotes and backslashes."""

    def assemble(self, kind: int, namespace: str, body: Body | None, id: int | None = None) -> list[Packet]:
        """The Engine.IO packets of a Socket.IO packet."""

    def acknowledge(self, namespace: str, id: int, result: Any) -> list[Packet]:
        """The Engine.IO packets of an acknowledgement with what a handler has returned.

        Raises:
            NotEncodable: A value in it cannot be encoded.
        """

    def decode(self, message: str | bytes) -> Incoming:
        """Decode a message.

        Raises:
            BadPacket: It is not a packet that a client may send.
        """

    def event_in(self, body: Body) -> str:
        """The name of an event whose name and arguments `encode` has encoded."""

    def load(self, body: Body) -> Any:
        """Decode what `encode` has encoded.

        Raises:
            ValueError: It cannot be decoded.
        """


def put_back(attachments: Sequence[bytes], places: Sequence[Place]) -> None:
    """Put attachments back into the data that they were taken from."""
    for number, (container, key) in enumerate(places):
        container[key] = attachments[number]


def event_arguments(data: Any) -> list[Any]:
    """The arguments of an event: a tuple stands for several, None for none."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]


def check_shape(packet: Incoming) -> None:
    """Refuse packets whose data is not what their type asks for (Socket.IO v5, "Exchange protocol").

    Raises:
        BadPacket: The client broke the protocol.
    """
    kind, data = packet.kind, packet.data
    if kind in EVENTS:
        if not isinstance(data, list) or not data or not isinstance(data[0], str):
            raise BadPacket("an event without a name")
        if data[0] in RESERVED_EVENTS:
            raise BadPacket(f"an event with the reserved name {data[0]!r}")
    elif kind in ACKS:
        if not isinstance(data, list) or packet.id is None:
            raise BadPacket("an acknowledgement without an id or an array")
    elif kind not in (CONNECT, DISCONNECT):
        raise BadPacket(f"an unexpected packet of type {kind}")


def is_plain(data: Any, *, text_keys: bool = False) -> bool:
    """Whether decoded data is nested at most `MAX_DEPTH` levels deep.

    Args:
        text_keys: Whether keys have to be text, too.
    """
    try:
        orjson.dumps(data, lambda value: None)  # the quickest walk there is
        return True
    except TypeError:  # such as half a surrogate pair
        pass
    level = [data]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                if text_keys and not all(type(key) is str for key in value):
                    return False
                inner += value.values()
            elif isinstance(value, list):
                inner += value
        if not inner:
            return True
        level = inner
    return False
