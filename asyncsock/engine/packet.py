"""Outgoing Engine.IO packets: encoded and framed once, shared by every recipient and every transport."""

from __future__ import annotations

from base64 import b64encode

TEXT_FRAME = 0x81  # FIN and the opcode (RFC 6455 section 5.2)
BINARY_FRAME = 0x82
_SHORT_TEXT_HEADS = [bytes((TEXT_FRAME, size)) for size in range(126)]


class Packet:
    """One Engine.IO packet, ready to be written to any transport.

    Args:
        data: A text packet with its type digit, in UTF-8 (``b'4hello'``), or the bytes of a binary message.
        binary: Whether ``data`` is a binary message.

    ``frame`` is the unmasked WebSocket frame. It is kept instead of the data, which is its tail.
    """

    __slots__ = ("_text", "binary", "frame", "start")

    def __init__(self, data: bytes, binary: bool = False) -> None:
        opcode = BINARY_FRAME if binary else TEXT_FRAME
        size = len(data)
        if size < 126:
            self.frame = (bytes((opcode, size)) if binary else _SHORT_TEXT_HEADS[size]) + data
            self.start = 2
        elif size < 65536:
            self.frame = bytes((opcode, 126)) + size.to_bytes(2, "big") + data
            self.start = 4
        else:
            self.frame = bytes((opcode, 127)) + size.to_bytes(8, "big") + data
            self.start = 10
        self.binary = binary
        self._text: str | None = None

    @property
    def data(self) -> bytes:
        """The packet without its WebSocket frame header."""
        return self.frame[self.start :]

    @property
    def text(self) -> str:
        """A text packet as a string, decoded once for all the recipients that need it."""
        text = self._text
        if text is None:
            text = self._text = self.frame[self.start :].decode()
        return text

    @property
    def polling(self) -> bytes:
        """The packet as a part of a polling payload: binary messages in base64 after a ``b``."""
        return b"b" + b64encode(self.data) if self.binary else self.data


CLOSE = Packet(b"1")
PING = Packet(b"2")
PROBE_ANSWER = Packet(b"3probe")
NOOP = Packet(b"6")


def message_packet(data: str | bytes | bytearray) -> Packet:
    """A ``message`` packet with a text or a binary payload."""
    if isinstance(data, str):
        return Packet(b"4" + data.encode())
    return Packet(bytes(data), binary=True)
