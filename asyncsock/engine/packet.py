"""Outgoing Engine.IO packets: encoded and framed once, shared by every recipient and every transport."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from struct import Struct

import msgspec

TEXT_FRAME = 0x81  # FIN and the opcode
BINARY_FRAME = 0x82
_head_of_16_bits, _head_of_64_bits = Struct("!BBH").pack, Struct("!BBQ").pack
OVERHEAD = 100  # bytes that a packet takes besides its frame: its objects and its place in an outbox


class Packet(msgspec.Struct, gc=False, eq=False):
    """One Engine.IO packet, ready to be written to any transport.

    It is made once, and one object is in the outboxes of all recipients: it must not be changed.

    Args:
        frame: The unmasked WebSocket frame; the packet is what follows its header.
        binary: Whether it is a binary message.
    """

    frame: bytes
    binary: bool = False
    _text: str | None = None

    @property
    def data(self) -> bytes:
        """The packet without its WebSocket frame header."""
        size = self.frame[1]
        return self.frame[2 if size < 126 else 4 if size == 126 else 10 :]

    @property
    def text(self) -> str:
        """A text packet as a string, decoded once for all the recipients that need it."""
        text = self._text
        if text is None:
            text = self._text = self.data.decode()
        return text

    @property
    def polling(self) -> bytes:
        """The packet as a part of a polling payload: binary messages in base64 after a ``b``."""
        return b"b" + b64encode(self.data) if self.binary else self.data


def text_packet(data: bytes) -> Packet:
    """A text packet with its type digit, in UTF-8, such as ``b'4hello'``."""
    size = len(data)
    return Packet((_SHORT_TEXT_HEADS[size] if size < 126 else _head(TEXT_FRAME, size)) + data)


def binary_packet(data: bytes) -> Packet:
    """A binary message."""
    return Packet(_head(BINARY_FRAME, len(data)) + data, binary=True)


def in_base64(packets: list[Packet]) -> list[Packet]:
    """The packets for a client that wants binary messages as text: in base64, as in a polling payload."""
    return [text_packet(packet.polling) if packet.binary else packet for packet in packets]


def message_packet(data: str | bytes | bytearray) -> Packet:
    """A ``message`` packet with a text or a binary payload."""
    return text_packet(b"4" + data.encode()) if isinstance(data, str) else binary_packet(bytes(data))


def size_of(packets: Sequence[Packet]) -> int:
    """Bytes that packets take, as if they were in no other outbox."""
    return sum([len(packet.frame) for packet in packets]) + OVERHEAD * len(packets)


def _head(opcode: int, size: int) -> bytes:
    """What precedes the payload in an unmasked frame (RFC 6455 section 5.2)."""
    if size < 126:
        return bytes((opcode, size))
    return _head_of_16_bits(opcode, 126, size) if size < 65536 else _head_of_64_bits(opcode, 127, size)


_SHORT_TEXT_HEADS = [_head(TEXT_FRAME, size) for size in range(126)]

CLOSE = text_packet(b"1")
PING = text_packet(b"2")
PROBE_ANSWER = text_packet(b"3probe")
NOOP = text_packet(b"6")
