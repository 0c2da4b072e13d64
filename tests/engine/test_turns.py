"""Turns of the event loop that are shared among clients."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from asyncsock.engine import turns
from asyncsock.engine.frames import FRAGMENTS, FrameReader
from asyncsock.engine.turns import SLICE, TURN_SLICES, Turns


class Slices:
    """A reader with so many slices to handle."""

    def __init__(self, turns: Turns, name: str, count: int, done: list[str]) -> None:
        self.turns = turns
        self.name = name
        self.left = count
        self.done = done

    def take_turn(self) -> None:
        self.left -= 1
        self.done.append(self.name)
        if self.left:
            self.turns.add(self)


async def one_turn() -> None:
    """Let the loop run what is ready once."""
    await asyncio.sleep(0)


async def test_readers_take_turns_and_a_turn_of_the_loop_has_few_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(turns, "TURN_TIME", 60.0)
    waiting = Turns()
    done: list[str] = []
    for name in "abc":
        waiting.add(Slices(waiting, name, 4, done))
    assert not done
    for count in (1, 2, 3):
        await one_turn()
        assert len(done) == count * TURN_SLICES
    assert "".join(done) == "abc" * 4
    assert not waiting.are_awaited


async def test_a_turn_ends_early_when_slices_take_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "TURN_TIME", 0.0)
    waiting = Turns()
    done: list[str] = []
    for name in "ab":
        waiting.add(Slices(waiting, name, 2, done))
    await one_turn()
    assert done == ["a"]


async def test_a_reader_that_fails_does_not_hold_up_the_others(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def take_turn(self) -> None:
            raise RuntimeError("broken")

    turns = Turns()
    done: list[str] = []
    turns.add(Broken())
    turns.add(Slices(turns, "a", 1, done))
    with caplog.at_level(logging.ERROR, "asyncsock.engine"):
        await one_turn()
    assert done == ["a"]
    assert not turns.are_awaited


class Owner:
    """Takes what a `FrameReader` reads, and may have it stop."""

    def __init__(self, stops_after: int = 1 << 30) -> None:
        self.stops_after = stops_after
        self.messages: list[str | bytes] = []
        self.pongs = 0
        self.error = ""

    @property
    def stopped(self) -> bool:
        return len(self.messages) >= self.stops_after

    def message(self, message: str | bytes) -> None:
        self.messages.append(message)

    def pong(self, frame: bytes) -> None:
        self.pongs += 1

    def end(self, error: str, code: int, answer: bytes) -> None:
        self.error = f"{code} {error}"


def frames(opcode: Opcode, payload: bytes, count: int, fin: bool = True) -> bytes:
    return Frame(opcode, payload, fin).serialize(mask=True) * count


@pytest.mark.parametrize(
    ("opcode", "payload", "a_slice"),
    [(Opcode.TEXT, b"4x", SLICE), (Opcode.BINARY, b"x" * 2048, SLICE // 3 + 1), (Opcode.PING, b"", SLICE)],
)
def test_frames_of_every_kind_are_read_a_slice_at_a_time(
    opcode: Opcode, payload: bytes, a_slice: int
) -> None:
    owner = Owner()
    reader = FrameReader(100_000)
    more = reader.feed(frames(opcode, payload, 5 * SLICE), owner)
    counts = []
    before = 0
    while True:
        counts.append(len(owner.messages) + owner.pongs - before)
        before += counts[-1]
        if not more:
            break
        more = reader.go_on(owner)
    assert max(counts) == a_slice
    assert sum(counts) == 5 * SLICE
    assert not reader.holds


def test_a_reader_stops_in_the_middle_of_what_has_arrived_and_goes_on_from_there() -> None:
    owner = Owner(stops_after=3)
    reader = FrameReader(100_000)
    assert reader.feed(b"".join([frames(Opcode.TEXT, b"%d" % number, 1) for number in range(10)]), owner)
    assert owner.messages == ["0", "1", "2"]
    reader.feed(frames(Opcode.TEXT, b"10", 1), owner)  # what comes meanwhile is kept behind the rest
    owner.stops_after = 1 << 30
    assert not reader.go_on(owner)
    assert owner.messages == [str(number) for number in range(11)]


@given(st.lists(st.integers(1, 400), min_size=1, max_size=8), st.integers(1, 70))
def test_nothing_is_lost_or_reordered_however_the_input_is_cut(cuts: list[int], stops: int) -> None:
    sent = [f"4{number}" for number in range(200)]
    data = b"".join([frames(Opcode.TEXT, text.encode(), 1) for text in sent])
    owner = Owner(stops)
    reader = FrameReader(100_000)
    start = 0
    for cut in [*cuts, len(data)]:
        more = reader.feed(data[start : start + cut], owner)
        start += cut
        while more:
            owner.stops_after += stops
            more = reader.go_on(owner)
    assert owner.messages == sent


def test_a_message_in_empty_fragments_without_end_is_refused_and_none_of_them_is_kept() -> None:
    owner = Owner()
    reader = FrameReader(100_000)
    reader.feed(frames(Opcode.TEXT, b"x", 1, fin=False), owner)
    fragment = frames(Opcode.CONT, b"", 1, fin=False)
    for _ in range(FRAGMENTS):
        assert not owner.error
        reader.feed(fragment, owner)
    assert reader.unfinished == 1
    reader.feed(fragment, owner)
    assert owner.error == "1008 a message in too many fragments"


def test_a_large_message_may_come_in_as_many_fragments_as_it_has_bytes() -> None:
    owner = Owner()
    reader = FrameReader(100_000)
    more = reader.feed(
        frames(Opcode.TEXT, b"x", 1, fin=False)
        + frames(Opcode.CONT, b"x", 5000, fin=False)
        + frames(Opcode.CONT, b"", 1),
        owner,
    )
    while more:
        more = reader.go_on(owner)
    assert owner.messages == ["x" * 5001]
