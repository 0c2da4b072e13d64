"""Frames between workers, however their bytes come."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from unittest import mock

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.workers import relay, websockets
from asyncsock.workers.frames import HEAD, FrameConnection
from asyncsock.workers.relay import Incoming, Poll, Refusal

frames = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 2**32 - 1), st.binary(max_size=40)), max_size=8
)


class Recording(FrameConnection):
    def __init__(self) -> None:
        super().__init__(mock.Mock())
        self.frames: list[tuple[int, int, bytes]] = []

    def received(self, kind: int, number: int, payload: bytes) -> None:
        self.frames.append((kind, number, payload))

    def ended(self) -> None:
        pass


def written(sent: list[tuple[int, int, bytes]]) -> bytes:
    return b"".join(HEAD.pack(len(payload), kind, number) + payload for kind, number, payload in sent)


@given(frames, st.lists(st.integers(0, 400)))
def test_any_split_of_the_bytes_gives_the_same_frames(
    sent: list[tuple[int, int, bytes]], cuts: list[int]
) -> None:
    data = written(sent)
    connection = Recording()
    places = [0, *sorted(cut for cut in cuts if cut < len(data)), len(data)]
    for begin, end in pairwise(places):
        connection.data_received(data[begin:end])
    assert connection.frames == sent


@given(frames)
def test_bytes_that_come_one_by_one_give_the_same_frames(sent: list[tuple[int, int, bytes]]) -> None:
    connection = Recording()
    for byte in written(sent):
        connection.data_received(bytes([byte]))
    assert connection.frames == sent


@given(frames)
def test_frames_that_are_sent_before_there_is_a_connection_are_written_in_their_order(
    sent: list[tuple[int, int, bytes]],
) -> None:
    connection = Recording()
    for frame in sent:
        connection.send(*frame)
    transport = mock.Mock(get_write_buffer_size=lambda: 0)
    connection.connection_made(transport)
    assert b"".join(call.args[0] for call in transport.write.mock_calls) == written(sent)


text = st.text(max_size=20)


@given(text, text, text, st.integers(0, 2**63 - 1), st.binary(max_size=40))
def test_a_poll_arrives_as_it_was_sent(method: str, sid: str, time: str, length: int, body: bytes) -> None:
    poll = Poll(method, sid, time, length, body)
    assert relay.decode_poll(relay.encode(poll)) == poll


@given(st.integers(0, 999), text, st.integers(0, 9), st.booleans())
def test_a_refusal_arrives_as_it_was_sent(status: int, message: str, code: int, logged: bool) -> None:
    refusal = Refusal(status, message, code, logged)
    assert relay.decode_refusal(relay.encode(refusal)) == refusal


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3), st.binary(max_size=30)), max_size=6))
def test_a_worker_answers_or_drops_who_sends_it_anything(sent: list[tuple[int, int, bytes]]) -> None:
    core: Any = mock.Mock()
    incoming = Incoming(core, mock.Mock(), mock.Mock())
    transport = mock.Mock(get_write_buffer_size=lambda: 0)
    incoming.connection_made(transport)
    incoming.data_received(written(sent))
    dropped = transport.abort.called
    assert core.logger.error.call_count == dropped
    assert dropped or all(kind in (relay.GONE, relay.RELEASE) for kind, _, _ in sent)


@given(st.binary(max_size=60))
def test_bytes_are_a_message_or_refused(data: bytes) -> None:
    for decode in (relay.decode_poll, relay.decode_refusal, websockets.decode):
        try:
            decode(data)
        except msgspec.MsgspecError:
            pass
