"""Reading WebSocket frames (RFC 6455).

Whole, masked text and binary messages, which is nearly everything that a client sends, pings and pongs are
read here. Any other frame (fragments, closes, reserved bits, no mask) goes, whole, through the parser of the
``websockets`` library, which also judges and answers it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol

import msgspec
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from .turns import SLICE, UNIT_BITS

if TYPE_CHECKING:

    def apply_mask(data: bytes, mask: bytes) -> bytes: ...

else:
    try:
        from websockets.speedups import apply_mask
    except ImportError:  # not compiled, or under another name

        def apply_mask(data: bytes, mask: bytes) -> bytes:
            size = len(data)
            repeated = mask * (size // 4) + mask[: size % 4]
            return (int.from_bytes(data, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")


TEXT = 0x81
BINARY = 0x82
CLOSE = 0x88
PING = 0x89
PONG = 0x8A
SHORT = 131  # bytes of the largest frame whose size is in its second byte
HELD = sys.maxsize  # in place of the bytes that are wanted: nothing is read until `FrameReader.go_on`
# Fragments that a message may have, and one more for each of its bytes, so that empty ones have an end.
FRAGMENTS = 1000


class FrameOwner(Protocol):
    """What gets the messages that a `FrameReader` has read.

    Attributes:
        stopped: Whether to leave the rest unread.
    """

    stopped: bool

    def message(self, message: str | bytes) -> None:
        """A text or a binary message has arrived."""

    def pong(self, frame: bytes) -> None:
        """A ping has arrived; `frame` is the answer."""

    def end(self, error: str, code: int, answer: bytes) -> None:
        """The peer closed the connection, or broke the protocol.

        Args:
            error: What is wrong, or an empty string after a close frame.
            code: The close code.
            answer: The close frame to send.
        """


class Fragments(msgspec.Struct, gc=False):
    """The beginning of a message that comes in fragments."""

    is_text: bool
    count: int = 0
    payload: bytearray = msgspec.field(default_factory=bytearray)


class FrameReader(msgspec.Struct, gc=False):
    """Reads frames from a byte stream that arrives in arbitrary pieces.

    It reads a slice at once (see `Turns`), and keeps the rest until it is told to go on.

    It is in no reference cycle, so the garbage collector need not track it.

    Args:
        limit: The largest message that is accepted, in bytes.
    """

    limit: int
    _partial: bytearray | bytes = b""  # the beginning of a frame, or what is held
    _wanted: int = 0  # how many bytes are needed to read on, or HELD
    _position: int = 0  # where to read on in what is held
    _parser: ServerProtocol | None = None  # in use while a fragmented message is open
    _fragments: Fragments | None = None  # of that message

    @property
    def unfinished(self) -> int:
        """Bytes that have arrived and are not handled yet."""
        return len(self._partial) + (len(self._fragments.payload) if self._fragments else 0)

    @property
    def is_empty(self) -> bool:
        """Whether all that has arrived is read, up to the end of a frame."""
        return not self._wanted

    @property
    def holds(self) -> bool:
        """Whether something waits for `go_on`."""
        return self._wanted == HELD

    def hold(self, data: bytes) -> None:
        """Keep what has arrived until `go_on` is called. Nothing may be kept yet."""
        self._partial, self._wanted = data, HELD

    def go_on(self, owner: FrameOwner) -> bool:
        """Read another slice of what is held. Returns what `feed` returns."""
        if self._wanted != HELD:
            return False
        data, position = bytes(self._partial), self._position
        self._partial, self._position, self._wanted = b"", 0, 0
        return self.feed(data, owner, position)

    def only_text(self, data: bytes) -> str | None:
        """Read what has arrived if it is one text, as most of it is; None leaves it to `feed`.

        Args:
            data: So few bytes (`SMALL_READ`) that they need no turn.
        """
        end = len(data)
        if end <= SHORT:
            # The second byte is the mask bit, 128, and the size, end - 6.
            if end < 7 or data[1] != end + 122:
                return None
            mask, payload = data[2:6], data[6:]
        else:
            if data[1] != 254 or data[2] << 8 | data[3] != end - 8:
                return None
            mask, payload = data[4:8], data[8:]
        if data[0] != TEXT or end > self.limit or self._wanted or self._parser is not None:
            return None
        try:
            return apply_mask(payload, mask).decode()
        except UnicodeDecodeError:
            return None  # `feed` refuses it

    def feed(self, data: bytes, owner: FrameOwner, position: int = 0) -> bool:
        """Read what has arrived, or a slice of it. No input makes it raise.

        Args:
            data: What has arrived.
            owner: What gets the messages.
            position: Where to begin in the data.

        Returns:
            Whether the slice is used up: the owner is to call `go_on`, in a later turn.
        """
        # One long function: a function for each step would cost a call for each frame.
        if self._wanted:
            self._partial += data
            if len(self._partial) < self._wanted:
                return False
            data = bytes(self._partial)
            self._partial = b""
            self._wanted = 0
        left = SLICE
        end = len(data)
        while position < end:
            body = position + 6  # where the payload begins, after two bytes and the mask
            if end < body:
                if end - position > 1 and data[position + 1] < 128:
                    self._refuse_unmasked(data[position:], owner)
                else:
                    self._keep(data[position:], 6)
                return False
            size = data[position + 1] & 127
            if size > 125:
                body += 2 if size == 126 else 8
                if end < body:
                    self._keep(data[position:], body - position)
                    return False
                if size == 126:
                    size = data[position + 2] << 8 | data[position + 3]
                else:
                    size = int.from_bytes(data[position + 2 : body - 4], "big")
            stop = body + size
            first = data[position]
            if data[position + 1] < 128 or size > self.limit:
                self._parse(data[position:], owner)  # the library refuses both when it reads the header
                return False
            if end < stop:
                self._keep(data[position:], stop - position)
                return False
            if (first != TEXT and first != BINARY) or self._parser is not None:
                if not self._other(data[position:stop], size, owner):
                    return False
            else:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                try:
                    message = payload.decode() if first == TEXT else payload
                except UnicodeDecodeError:
                    _refuse_text(owner)
                    return False
                owner.message(message)
            position = stop
            left -= 1 + (size >> UNIT_BITS)
            if left <= 0 or owner.stopped:
                if position < end:
                    self._partial, self._position, self._wanted = data, position, HELD
                return True
        return False

    def _keep(self, data: bytes, wanted: int) -> None:
        self._partial = bytearray(data)
        self._wanted = wanted

    def _other(self, frame: bytes, size: int, owner: FrameOwner) -> bool:
        """Handle a whole frame that is not a whole message; return whether to go on."""
        if size > 125 or frame[1] != 128 + size:
            return self._parse(frame, owner)  # its size is not in its second byte
        if frame[0] == CLOSE and size in (0, 2):
            payload = apply_mask(frame[6:], frame[2:6])
            if payload in (b"", b"\x03\xe8", b"\x03\xe9"):  # no code, 1000 or 1001: all are valid
                code = int.from_bytes(payload, "big") or CloseCode.NO_STATUS_RCVD
                owner.end("", code, bytes((CLOSE, size)) + payload)
                return False
        if frame[0] in (PING, PONG):  # they are no part of a message, open or not
            if frame[0] == PING:
                owner.pong(bytes((PONG, size)) + apply_mask(frame[6:], frame[2:6]))
            return True
        return self._parse(frame, owner)

    def _refuse_unmasked(self, data: bytes, owner: FrameOwner) -> None:
        self._parse(data + bytes(8), owner)  # enough for the parser to see the header whole

    def _parse(self, frame: bytes, owner: FrameOwner) -> bool:
        parser = self._parser
        if parser is None:
            parser = self._parser = ServerProtocol(state=OPEN, max_size=self.limit)
        parser.receive_data(frame)
        for event in parser.events_received():
            if isinstance(event, Frame) and event.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                fragments = self._fragments = self._fragments or Fragments(event.opcode is Opcode.TEXT)
                fragments.count += 1
                fragments.payload += event.data
                if event.fin and not self._deliver(fragments, owner):
                    return False
                if fragments.count > FRAGMENTS + len(fragments.payload):
                    owner.end(
                        "a message in too many fragments", CloseCode.POLICY_VIOLATION, b"\x88\x02\x03\xf0"
                    )
                    return False
        answer = b"".join(parser.data_to_send())
        if parser.close_rcvd is not None:
            owner.end("", parser.close_rcvd.code, answer)
            return False
        if parser.parser_exc is not None:
            code = parser.close_sent.code if parser.close_sent else CloseCode.PROTOCOL_ERROR
            # without the parser's words: a client is told the code alone, as by every kind of server
            owner.end(str(parser.parser_exc), code, bytes((CLOSE, 2)) + code.to_bytes(2, "big"))
            return False
        if answer:
            owner.pong(answer)
        if not self._fragments:
            self._parser = None
        return True

    def _deliver(self, fragments: Fragments, owner: FrameOwner) -> bool:
        self._fragments = None
        try:
            message = fragments.payload.decode() if fragments.is_text else bytes(fragments.payload)
        except UnicodeDecodeError:
            _refuse_text(owner)
            return False
        owner.message(message)
        return True


def _refuse_text(owner: FrameOwner) -> None:
    owner.end("text that is not UTF-8", CloseCode.INVALID_DATA, b"\x88\x02\x03\xef")
