"""The WebSocket frame reader: any split of the bytes, any bytes at all."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from asyncsock.engine.frames import FrameReader
from asyncsock.engine.turns import SMALL_READ
from fuzz import frames as fuzzed_frames

LIMIT = 100_000


@dataclass
class Recorder:
    """Keeps what a reader reports."""

    stopped = False
    messages: list[str | bytes] = field(default_factory=list)
    answers: bytes = b""
    ended: list[tuple[str, int]] = field(default_factory=list)

    def message(self, message: str | bytes) -> None:
        self.messages.append(message)

    def pong(self, frame: bytes) -> None:
        self.answers += frame

    def end(self, error: str, code: int, answer: bytes) -> None:
        self.answers += answer
        self.ended.append((error, code))


def frame(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin).serialize(mask=True)


def read(*chunks: bytes, limit: int = LIMIT) -> Recorder:
    """Feed chunks until the connection ends, as a transport does."""
    reader, recorder = FrameReader(limit), Recorder()
    for chunk in chunks:
        if recorder.ended:
            break
        text = reader.only_text(chunk) if len(chunk) <= SMALL_READ else None
        if text is not None:
            recorder.message(text)
            continue
        more = reader.feed(chunk, recorder)
        while more and not recorder.ended:
            more = reader.go_on(recorder)
    return recorder


def split(data: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts})
    for start, stop in zip([0, *places], [*places, len(data)], strict=True):
        if start < stop:
            yield data[start:stop]


texts = st.text(max_size=300) | st.sampled_from(["x" * 125, "x" * 126, "é" * 40_000])
binaries = st.binary(max_size=300) | st.sampled_from([b"y" * 65_535, b"y" * 65_536])
messages = st.lists(texts | binaries, max_size=6)


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[str | bytes], bytes]:
    """Messages, and the bytes of frames that carry them: whole or in fragments, with pings between."""
    sent = draw(messages)
    stream = b""
    for message in sent:
        data = message.encode() if isinstance(message, str) else message
        opcode = Opcode.TEXT if isinstance(message, str) else Opcode.BINARY
        pieces = list(split(data, draw(st.lists(st.integers(0), max_size=3)))) or [b""]
        for index, piece in enumerate(pieces):
            kind = opcode if index == 0 else Opcode.CONT
            stream += frame(kind, piece, fin=index == len(pieces) - 1)
            if draw(st.booleans()):
                stream += frame(Opcode.PING, b"p")
    return sent, stream


@given(streams(), st.lists(st.integers(0), max_size=20))
def test_any_split_of_the_bytes_gives_the_same_messages(
    stream: tuple[list[str | bytes], bytes], cuts: list[int]
) -> None:
    sent, data = stream
    recorder = read(*split(data, cuts))
    assert recorder.messages == sent
    assert not recorder.ended


def test_one_byte_at_a_time_gives_the_same_messages() -> None:
    data = b"".join([frame(Opcode.TEXT, b"a" * size) for size in (0, 1, 125, 126, 1000)])
    recorder = read(*[data[i : i + 1] for i in range(len(data))])
    assert recorder.messages == ["a" * size for size in (0, 1, 125, 126, 1000)]


def test_any_bytes_are_read_as_the_websockets_library_reads_them() -> None:
    assert fuzzed_frames.batch(Random("the same each time")) > 1000


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=10))
def test_random_bytes_never_raise(chunks: list[bytes]) -> None:
    read(*chunks, limit=1000)


@given(streams(), st.data())
def test_a_damaged_stream_never_raises(stream: tuple[list[str | bytes], bytes], data: st.DataObject) -> None:
    damaged = bytearray(stream[1])
    for _ in range(data.draw(st.integers(1, 5))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    read(*split(bytes(damaged), data.draw(st.lists(st.integers(0), max_size=5))))


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"\x81\x02hi", 1002, id="a frame without a mask"),
        pytest.param(b"\x81\x00", 1002, id="an empty frame without a mask"),
        pytest.param(b"\xc1\x80abcd", 1002, id="a reserved bit"),
        pytest.param(b"\x83\x80abcd", 1002, id="a reserved opcode"),
        pytest.param(frame(Opcode.CONT, b"x"), 1002, id="a continuation of nothing"),
        pytest.param(b"\x09\x80abcd", 1002, id="a fragmented ping"),
        pytest.param(b"\x89\xfe\x00\x7eabcd" + bytes(126), 1002, id="a ping of 126 bytes"),
        pytest.param(
            frame(Opcode.TEXT, b"x", fin=False) + frame(Opcode.TEXT, b"x"), 1002, id="a message in a message"
        ),
        pytest.param(frame(Opcode.TEXT, b"\xff"), 1007, id="text that is not UTF-8"),
        pytest.param(
            frame(Opcode.TEXT, b"\xff", fin=False) + frame(Opcode.CONT, b""), 1007, id="fragments not UTF-8"
        ),
        pytest.param(b"\x81\xff" + (2**63).to_bytes(8, "big") + b"mask", 1009, id="a length of 2**63"),
        pytest.param(frame(Opcode.TEXT, bytes(LIMIT + 1))[:14], 1009, id="a frame over the limit"),
        pytest.param(
            frame(Opcode.BINARY, bytes(LIMIT), fin=False) + frame(Opcode.CONT, bytes(2)),
            1009,
            id="fragments over the limit",
        ),
    ],
)
def test_a_broken_frame_is_answered_with_its_close_code(data: bytes, code: int) -> None:
    recorder = read(data)
    assert recorder.ended
    assert recorder.ended[0][1] == code
    assert recorder.answers.endswith(code.to_bytes(2, "big")) or code.to_bytes(2, "big") in recorder.answers
    assert recorder.answers[0] == 0x88


@pytest.mark.parametrize("size", [1, 124, 125, 126, 131, 132, SMALL_READ - 8, SMALL_READ - 7])
def test_a_text_may_be_as_large_as_the_limit(size: int) -> None:
    data = frame(Opcode.TEXT, b"x" * size)
    assert read(data, limit=size).messages == ["x" * size]
    refused = read(data, limit=size - 1)
    assert (refused.messages, refused.ended[0][1]) == ([], 1009)


def test_a_frame_that_is_cut_off_is_not_taken_for_a_shorter_one() -> None:
    data = frame(Opcode.TEXT, b"x" * 126)
    for place in range(1, len(data)):
        assert read(data[:place], data[place:]).messages == ["x" * 126]


def test_a_message_amid_the_fragments_of_another_is_refused_whenever_it_comes() -> None:
    recorder = read(frame(Opcode.TEXT, b"a", fin=False), frame(Opcode.TEXT, b"b"))
    assert (recorder.messages, recorder.ended[0][1]) == ([], 1002)


def test_a_message_after_a_fragmented_one_is_read() -> None:
    data = frame(Opcode.TEXT, b"a", fin=False) + frame(Opcode.CONT, b"b") + frame(Opcode.TEXT, b"c")
    assert read(data).messages == ["ab", "c"]


def test_a_ping_is_answered_with_its_data() -> None:
    assert read(frame(Opcode.PING, b"hello")).answers == b"\x8a\x05hello"


def test_an_unasked_pong_is_ignored() -> None:
    recorder = read(frame(Opcode.PONG, b"x"), frame(Opcode.TEXT, b"a"))
    assert (recorder.messages, recorder.answers) == (["a"], b"")


@pytest.mark.parametrize("payload", [b"", b"\x03\xe8", b"\x03\xe9", b"\x03\xe8bye", b"\x0f\xa0own code"])
def test_a_close_frame_is_echoed(payload: bytes) -> None:
    recorder = read(frame(Opcode.CLOSE, payload))
    assert recorder.ended[0][0] == ""
    assert recorder.answers == b"\x88" + bytes([len(payload)]) + payload


def test_nothing_is_read_after_a_close_frame() -> None:
    assert read(frame(Opcode.CLOSE, b"") + frame(Opcode.TEXT, b"late")).messages == []


def test_a_long_frame_in_small_pieces_costs_each_byte_once() -> None:
    # Quadratic work on 20 MB in 1 KB pieces would copy 200 GB.
    data = frame(Opcode.BINARY, os.urandom(1024) * 20_000)
    pieces = [data[start : start + 1024] for start in range(0, len(data), 1024)]
    assert len(read(*pieces, limit=30_000_000).messages[0]) == 1024 * 20_000


def test_the_module_needs_no_event_loop() -> None:
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
    assert read(frame(Opcode.TEXT, b"x")).messages == ["x"]


def test_pings_and_pongs_within_a_fragmented_message_are_no_part_of_it() -> None:
    between = frame(Opcode.PING, b"ping") + frame(Opcode.PONG, b"pong")
    parts = [b"x" * (LIMIT - 1), b"y"]
    recorder = read(frame(Opcode.TEXT, parts[0], fin=False) + between + frame(Opcode.CONT, parts[1]))
    assert recorder.messages == [b"".join(parts).decode()]
    assert recorder.answers == b"\x8a\x04ping"


def test_a_ping_whose_size_is_written_in_two_bytes_gets_its_payload_back() -> None:
    ping = b"\x89\xfe\x00\x05" + bytes(4) + b"hello"
    assert read(ping).answers == b"\x8a\x05hello"
