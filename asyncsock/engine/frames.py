"""Reading WebSocket frames (RFC 6455).

Whole, masked text and binary messages, which is nearly everything that a client sends, are read here.
Any other frame (fragments, control frames, reserved bits, no mask) goes, whole, through the parser of
the ``websockets`` library, which also judges and answers it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

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
SHORT = 131  # bytes of the largest frame whose size is in its second byte


class FrameOwner(Protocol):
    """What gets the messages that a `FrameReader` has read."""

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


class FrameReader(msgspec.Struct, gc=False):
    """Reads frames from a byte stream that arrives in arbitrary pieces.

    It is in no reference cycle, so the garbage collector need not track it.

    Args:
        limit: The largest message that is accepted, in bytes.
    """

    limit: int
    _partial: bytearray | bytes = b""  # the beginning of a frame
    _wanted: int = 0  # how many bytes are needed to read on
    _parser: ServerProtocol | None = None  # in use while a fragmented message is open
    _fragments: list[Frame] | None = None  # of that message

    @property
    def unfinished(self) -> int:
        """Bytes that have arrived of a message that is not whole yet."""
        return len(self._partial) + sum([len(fragment.data) for fragment in self._fragments or []])

    def feed(self, data: bytes, owner: FrameOwner) -> None:
        """Read what has arrived. No input makes it raise."""
        # One long function: a function for each step would cost a call for each frame.
        if self._wanted:
            self._partial += data
            if len(self._partial) < self._wanted:
                return
            data = bytes(self._partial)
            self._partial = b""
            self._wanted = 0
        position = 0
        end = len(data)
        # Most reads bring one short text. Its second byte is the mask bit, 128, and the size, end - 6.
        short = 6 < end <= SHORT and data[0] == TEXT and data[1] == end + 122 and end <= self.limit
        if short and self._parser is None:
            try:
                text = apply_mask(data[6:], data[2:6]).decode()
            except UnicodeDecodeError:
                pass  # it is refused below
            else:
                owner.message(text)
                return
        while position < end:
            body = position + 6  # where the payload begins, after two bytes and the mask
            if end < body:
                if end - position > 1 and data[position + 1] < 128:
                    self._refuse_unmasked(data[position:], owner)
                else:
                    self._keep(data[position:], 6)
                return
            size = data[position + 1] & 127
            if size > 125:
                body += 2 if size == 126 else 8
                if end < body:
                    self._keep(data[position:], body - position)
                    return
                size = int.from_bytes(data[position + 2 : body - 4], "big")
            stop = body + size
            first = data[position]
            if data[position + 1] < 128 or size > self.limit:
                self._parse(data[position:], owner)  # the library refuses both when it reads the header
                return
            if end < stop:
                self._keep(data[position:], stop - position)
                return
            if (first != TEXT and first != BINARY) or self._parser is not None:
                if not self._other(data[position:stop], size, owner):
                    return
            else:
                payload = apply_mask(data[body:stop], data[body - 4 : body])
                try:
                    message = payload.decode() if first == TEXT else payload
                except UnicodeDecodeError:
                    _refuse_text(owner)
                    return
                owner.message(message)
            position = stop

    def _keep(self, data: bytes, wanted: int) -> None:
        self._partial = bytearray(data)
        self._wanted = wanted

    def _other(self, frame: bytes, size: int, owner: FrameOwner) -> bool:
        """Handle a whole frame that is not a whole message; return whether to go on."""
        if frame[0] == CLOSE and size in (0, 2):
            payload = apply_mask(frame[6:], frame[2:6])
            if payload in (b"", b"\x03\xe8", b"\x03\xe9"):  # no code, 1000 or 1001: all are valid
                code = int.from_bytes(payload, "big") or CloseCode.NO_STATUS_RCVD
                owner.end("", code, bytes((CLOSE, size)) + payload)
                return False
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
                self._fragments = self._fragments or []
                self._fragments.append(event)
                if event.fin and not self._deliver(owner):
                    return False
        answer = b"".join(parser.data_to_send())
        if parser.close_rcvd is not None:
            owner.end("", parser.close_rcvd.code, answer)
            return False
        if parser.parser_exc is not None:
            code = parser.close_sent.code if parser.close_sent else CloseCode.PROTOCOL_ERROR
            owner.end(str(parser.parser_exc), code, answer)
            return False
        if answer:
            owner.pong(answer)
        if not self._fragments:
            self._parser = None
        return True

    def _deliver(self, owner: FrameOwner) -> bool:
        fragments, self._fragments = self._fragments or [], None
        payload = b"".join([bytes(fragment.data) for fragment in fragments])
        try:
            message = payload.decode() if fragments[0].opcode is Opcode.TEXT else payload
        except UnicodeDecodeError:
            _refuse_text(owner)
            return False
        owner.message(message)
        return True


def _refuse_text(owner: FrameOwner) -> None:
    owner.end("text that is not UTF-8", CloseCode.INVALID_DATA, b"\x88\x02\x03\xef")
