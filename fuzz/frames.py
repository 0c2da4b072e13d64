"""Frames: whatever the bytes, our reader reads what the parser of the ``websockets`` library reads."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from asyncsock.engine.frames import FrameReader, apply_mask
from asyncsock.engine.turns import SMALL_READ
from fuzz.mutations import Finding, mutated, pieces

LIMIT = 1000
CASES = 2000  # in a batch


@dataclass
class Read:
    """What was read from a stream of frames."""

    stopped = False  # which the reader asks: it may read everything at once
    messages: list[str | bytes] = field(default_factory=list)
    pongs: bytes = b""
    code: int | None = None

    def message(self, message: str | bytes) -> None:
        self.messages.append(message)

    def pong(self, frame: bytes) -> None:
        self.pongs += frame

    def end(self, error: str, code: int, answer: bytes) -> None:
        self.code = code


def by_us(arriving: list[bytes]) -> Read:
    reader, read = FrameReader(LIMIT), Read()
    for data in arriving:
        text = reader.only_text(data) if len(data) <= SMALL_READ else None
        if text is not None:
            read.message(text)
            continue
        more = reader.feed(data, read)
        while more and read.code is None:
            more = reader.go_on(read)
        if read.code is not None:
            break
    return read


def by_websockets(arriving: list[bytes]) -> Read:
    """What the library reads, and the decoding of texts, which it leaves to its users."""
    parser, read = ServerProtocol(state=OPEN, max_size=LIMIT), Read()
    fragments: list[Frame] = []
    for data in arriving:
        parser.receive_data(data)
        for event in parser.events_received():
            assert isinstance(event, Frame)
            if event.opcode is Opcode.PING:
                read.pong(Frame(Opcode.PONG, event.data).serialize(mask=False))
            if event.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
                continue
            fragments.append(event)
            if event.fin:
                payload = b"".join(bytes(fragment.data) for fragment in fragments)
                is_text = fragments[0].opcode is Opcode.TEXT
                fragments = []
                try:
                    read.message(payload.decode() if is_text else payload)
                except UnicodeDecodeError:
                    read.code = CloseCode.INVALID_DATA
                    return read
        if parser.close_rcvd is not None:
            read.code = parser.close_rcvd.code
        elif parser.parser_exc is not None:
            read.code = parser.close_sent.code if parser.close_sent else CloseCode.PROTOCOL_ERROR
        if read.code is not None:
            break
    return read


def alike(ours: Read, theirs: Read) -> bool:
    if theirs.code == CloseCode.MESSAGE_TOO_BIG:
        # They count control frames as parts of the message that these interrupt, and may refuse more.
        return ours.code is not None and ours.messages[: len(theirs.messages)] == theirs.messages
    return ours == theirs


def frame(random: Random, opcode: int, payload: bytes) -> bytes:
    """A frame, with the mask and the bits that `random` gives it."""
    size, masked = len(payload), 0x80 if random.random() < 0.98 else 0
    head = bytes([(0x80 if random.random() < 0.7 else 0) | opcode])
    if size < 126:
        head += bytes([masked | size])
    elif size < 1 << 16:
        head += bytes([masked | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([masked | 127]) + size.to_bytes(8, "big")
    mask = random.randbytes(4) if masked else b""
    return head + mask + (apply_mask(payload, mask) if masked else payload)


def stream(random: Random) -> bytes:
    """Some frames, often valid ones, with changes."""
    frames = []
    for _ in range(random.randrange(1, 6)):
        size = random.choice((0, 1, 5, 124, 125, 126, 127, 300, LIMIT - 1, LIMIT, LIMIT + 1, 70_000))
        payload = random.choice((b"x", "é".encode(), b"\xff", random.randbytes(3))) * size
        opcode = random.choice((*[Opcode.TEXT] * 3, *[Opcode.CONT] * 3, *Opcode))
        if opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            payload = random.choice((b"", b"\x03\xe8", b"\x03\xe8bye", b"\x03\xed", payload))[:125]
        frames.append(frame(random, opcode, payload[:size]))
    data = b"".join(frames)
    return mutated(random, data) if random.random() < 0.7 else data


def batch(random: Random) -> int:
    """Compare both on some streams; return how many.

    Raises:
        Finding: they differ.
    """
    for _ in range(CASES):
        data = stream(random)
        # The library refuses some frames at their first bytes, and we when they are whole: make them so.
        arriving = [*pieces(random, data), bytes(2 * LIMIT)]
        try:
            ours = by_us(arriving)
        except Exception as error:
            raise Finding(f"the reader raised {error!r}", data) from error
        theirs = by_websockets(arriving)
        if not alike(ours, theirs):
            arrived = [len(each) for each in arriving]
            raise Finding(f"we read {ours}\nthey read {theirs}\nfrom {arrived}", data)
    return CASES
