"""The log of events: who has missed which, whatever number they ask from, and within which bounds."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.codec.base import Body
from asyncsock.codec.json_codec import JSONCodec
from asyncsock.recovery.clients import Parked, Recoverable
from asyncsock.recovery.log import COST_OF_ROOM, MOST_HEARD, UNDER_WAY, EventLog
from asyncsock.recovery.options import RecoveryOptions
from tests.support.allocated import allocated

NAMESPACES = ["/", "/other"]
ROOMS = ["a", "b", 3]
SIDS = ["s1", "s2", "s3", "s4"]


class Clock:
    """In the place of the `time` module."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("asyncsock.recovery.log.time", clock)
    return clock


def body(text: str = "x") -> Body:
    encoded: Body = JSONCodec().encode(["event", text])
    return encoded


def make_log(seconds: float = 100, max_bytes: int = 1_000_000) -> EventLog:
    return EventLog(JSONCodec(), seconds, max_bytes)


@dataclass
class Someone:
    """A client, and the numbers of the events that are for it."""

    sid: str
    namespace: str
    state: Recoverable
    rooms: dict[Any, int] = field(default_factory=dict)
    due: list[int] = field(default_factory=list)
    is_lost: bool = False

    @property
    def parked(self) -> Parked:
        return Parked(self.sid, self.namespace, self.rooms, self.state, None, None)

    def is_in(self, namespace: str, room: Any, skipped: list[str]) -> bool:
        if namespace != self.namespace or self.sid in skipped:
            return False
        own = {self.sid, *self.rooms}
        return room is None or bool(own & set(room if isinstance(room, list) else [room]))


class World:
    """A log with clients that connect, come and go between rooms, and lose their connections."""

    def __init__(self, max_bytes: int) -> None:
        self.log = make_log(max_bytes=max_bytes)
        self.people: dict[str, Someone] = {}

    def connect(self, sid: str, namespace: str) -> None:
        if sid not in self.people:
            self.people[sid] = Someone(sid, namespace, Recoverable(self.log.number))

    def join(self, sid: str, room: Any) -> None:
        someone = self._connected(sid)
        if someone and room not in someone.rooms:
            someone.rooms[room] = self.log.number

    def leave(self, sid: str, room: Any) -> None:
        someone = self._connected(sid)
        if someone and room in someone.rooms:
            joined = someone.rooms.pop(room)
            if self.log.has_since(joined, someone.namespace, room):
                someone.state.leave(room, joined, self.log.number, self.log.first)

    def lose(self, sid: str) -> None:
        if someone := self._connected(sid):
            someone.is_lost = True

    def emit(self, namespace: str, room: Any, skipped: Any, text: str) -> None:
        self.log.add(namespace, room, skipped, body(text))
        left_out = skipped if isinstance(skipped, list) else [skipped]
        for someone in self.people.values():
            if someone.is_in(namespace, room, left_out):
                someone.due.append(self.log.number)

    def write_out(self, back: int) -> None:
        """Make the packets of an event that somebody has missed."""
        if self.log._events:
            self.log.packets_of(self.log._events[-1 - back % len(self.log._events)])

    def _connected(self, sid: str) -> Someone | None:
        someone = self.people.get(sid)
        return someone if someone and not someone.is_lost else None


sids, rooms = st.sampled_from(SIDS), st.sampled_from(ROOMS)
recipients = st.one_of(st.none(), rooms, sids, st.lists(st.one_of(rooms, sids), max_size=3))
skipped = st.one_of(st.none(), sids, st.lists(sids, max_size=3))
texts = st.sampled_from(["", "x" * 300])
steps = st.one_of(
    st.tuples(st.just("connect"), sids, st.sampled_from(NAMESPACES)),
    st.tuples(st.just("join"), sids, rooms),
    st.tuples(st.just("leave"), sids, rooms),
    st.tuples(st.just("lose"), sids),
    st.tuples(st.just("emit"), st.sampled_from(NAMESPACES), recipients, skipped, texts),
    st.tuples(st.just("emit"), st.just("/"), recipients, st.none(), texts),
    st.tuples(st.just("write_out"), st.integers(0, 50)),
)


def play(max_bytes: int, taken: list[Any]) -> Iterator[World]:
    world = World(max_bytes)
    for name, *arguments in taken:
        getattr(world, name)(*arguments)
        yield world


@given(st.lists(steps, max_size=80), st.sampled_from([0, 1500, 5000, 1_000_000]))
def test_each_client_has_missed_exactly_what_was_for_it(taken: list[Any], max_bytes: int) -> None:
    for world in play(max_bytes, taken):
        log = world.log
        for someone in world.people.values():
            for after in range(log.first - 1, log.number + 1):
                missed = log.missed(someone.sid, someone.namespace, someone.parked.stays(), after)
                assert [event.number for event in missed] == [n for n in someone.due if n > after]


@given(st.lists(steps, max_size=80), st.sampled_from([0, 1500, 5000, 1_000_000]))
def test_the_log_stays_within_its_bound_and_its_index_has_nothing_else(
    taken: list[Any], max_bytes: int
) -> None:
    for world in play(max_bytes, taken):
        log = world.log
        kept = list(log._events)
        size = sum(event.size for event in kept) + COST_OF_ROOM * len(log._by_room)
        assert log.size == size <= max_bytes
        assert [event.number for event in kept] == list(range(log.first, log.number + 1))
        indexed: dict[Any, list[int]] = {}
        for event in kept:
            for room in event.rooms:
                indexed.setdefault((event.namespace, room), []).append(event.number)
        assert {key: [e.number for e in events] for key, events in log._by_room.items()} == indexed


@given(st.lists(steps, max_size=40), st.integers(0, 4000))
def test_what_is_reserved_is_taken_from_the_bound(taken: list[Any], reserved: int) -> None:
    for world in play(5000, taken):
        world.log.reserved = reserved
        world.log.shrink()
        assert world.log.size <= 5000 - reserved


def test_events_are_forgotten_when_they_are_too_old(clock: Clock) -> None:
    log = make_log(seconds=10)
    for text in ("one", "two"):
        log.add("/", None, None, body(text))
        clock.now += 6
    log.shrink()
    assert (log.first, log.number) == (2, 2)
    clock.now += 60
    log.shrink()
    assert (log.first, log.number, log.size, log._by_room) == (3, 2, 0, {})


def test_an_event_that_is_larger_than_the_bound_is_not_kept_and_is_sent() -> None:
    log = make_log(max_bytes=1000)
    (packet,) = log.add("/", None, None, body("x" * 2000))
    assert packet.text.endswith(f'"{log.offset(1)}"]')
    assert (log.first, log.size) == (2, 0)


def test_a_log_that_was_cleared_tells_everybody_that_something_was_missed() -> None:
    log = make_log()
    log.add("/", None, None, body())
    log.clear()
    assert log.first - 1 > 1
    assert (log.size, log._by_room) == (0, {})


def test_the_time_of_an_event_tells_which_number_was_the_last(clock: Clock) -> None:
    log = make_log()
    for _ in range(3):
        log.add("/", None, None, body())
        clock.now += 1
    assert [log.number_before(1000 + seconds) for seconds in (0, 0.5, 1.5, 9)] == [0, 1, 2, 3]


# Offsets


def test_an_offset_is_understood_by_its_own_log_only() -> None:
    log, another = make_log(), make_log()
    log.add("/", None, None, body())
    assert [log.number_of(log.offset(number)) for number in (0, 1)] == [0, 1]
    assert another.number_of(log.offset(1)) is None


@pytest.mark.parametrize(
    "digits", ["2", "", "-1", "+1", " 1", "1 ", "1.0", "1e0", "0x1", "one", "²", "١", "9" * 64]
)
def test_what_is_no_offset_of_an_event_is_none(digits: str) -> None:
    log = make_log()
    log.add("/", None, None, body())
    assert log.number_of(log.epoch + digits) is None
    assert log.number_of(digits) is None


@given(st.text(max_size=64))
def test_any_text_may_be_claimed_as_an_offset(text: str) -> None:
    log = make_log()
    assert log.number_of(text) in (None, 0)


# Leaving rooms


def test_a_client_that_changes_rooms_all_day_keeps_only_the_stays_that_matter() -> None:
    log, state = make_log(max_bytes=20_000), Recoverable(0)
    most = 0
    for number in range(2000):
        joined = log.number
        log.add("/", f"room {number}", None, body())
        state.leave(f"room {number}", joined, log.number, log.first)
        most = max(most, len(state.left))
    assert most < 100


# Costs


@pytest.mark.parametrize(
    "room",
    [
        lambda number: "room",
        lambda number: f"room {number}",
        lambda number: [f"room {number} {i}" for i in range(20)],
    ],
    ids=["one room", "rooms of their own", "20 rooms each"],
)
@pytest.mark.parametrize("attachment", [0, 10_000])
@pytest.mark.parametrize("is_written", [False, True])
def test_the_log_takes_no_more_memory_than_it_says(
    room: Callable[[int], Any], attachment: int, is_written: bool
) -> None:
    codec = JSONCodec()
    tracemalloc.start()
    try:
        log = make_log(max_bytes=1_000_000)
        number = 0
        while log.first == 1:
            number += 1
            data = {"number": number, **({"data": os.urandom(attachment)} if attachment else {})}
            log.add("/", room(number), None, codec.encode(["event", data]))
            if is_written and log.last is not None:
                log.packets_of(log.last)
        del data
        taken = allocated()
    finally:
        tracemalloc.stop()
    assert 400_000 < taken < 1_050_000


def test_what_is_encoded_takes_no_more_memory_than_it_must_once_it_is_detached() -> None:
    tracemalloc.start()
    try:
        bodies = [JSONCodec().encode(["event", number]) for number in range(1000)]
        bodies = [JSONCodec().detach(body) for body in bodies]
        taken = allocated()
    finally:
        tracemalloc.stop()
    assert taken < 200_000


def test_the_packets_of_a_missed_event_are_made_once_for_all() -> None:
    log = make_log()
    log.add("/", None, None, body())
    event = log.last
    assert event is not None
    assert log.packets_of(event) is log.packets_of(event)


def test_what_a_client_has_missed_costs_what_it_has_missed() -> None:
    """Not what everybody has: by the number of events that are looked at, not by the clock."""
    looked_at = 0

    class Counting(str):
        def __eq__(self, other: object) -> bool:
            nonlocal looked_at
            looked_at += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    log = make_log(max_bytes=100_000_000)
    for number in range(5000):
        log.add("/", f"room {number % 500}", Counting("nobody"), body())
    parked = Parked("s1", "/", {"room 7": 0}, Recoverable(0), None, None)
    assert len(log.missed("s1", "/", parked.stays(), 2500)) == 5
    assert looked_at <= 5


def test_the_default_bounds_are_those_of_the_docs() -> None:
    assert RecoveryOptions() == (120, 64 * 1024 * 1024)


def test_of_how_many_processes_events_have_come_is_bounded(clock: Clock) -> None:
    log = make_log()
    for number in range(3 * MOST_HEARD):
        clock.now += 0.001
        log.has_passed((f"process {number}", 1), "/", None, None, 1, body)
        log.add("/", None, None, body())
        log.mark_last((f"other {number}", 1))
    assert len(log._heard) == MOST_HEARD
    last = 3 * MOST_HEARD - 1
    assert {f"process {last}", f"other {last}"} <= log.heard_lately().keys()
    clock.now += 2 * UNDER_WAY
    assert log.heard_lately() == {}
