"""What is kept of events, and of clients that lost their connections, takes no more than it may."""

from __future__ import annotations

import logging
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asyncsock import AsyncServer
from tests.support.allocated import allocated
from tests.support.returning_visitors import visitors

MOST = 400_000  # bytes
TIMES = 10  # so much more is emitted
LEAST = 400  # bytes that an event takes, whatever is in it
ROOMS = [f"room-{number}" for number in range(500)]

Emit = tuple[Any, dict[str, Any]]  # the data and the options
EVENTS: dict[str, Callable[[int], Emit]] = {
    "small": lambda number: (number, {}),
    "large": lambda number: ("x" * 20_000, {}),
    "wide": lambda number: ("ž" * 10_000, {}),
    "binary": lambda number: ([bytes(5_000), bytes(5_000)], {}),
    "structured": lambda number: ([{"number": number, "text": "x"}] * 100, {}),
    "to a room": lambda number: (number, {"to": ROOMS[0]}),
    "each to another room": lambda number: (number, {"to": ROOMS[number % len(ROOMS)]}),
    "to many rooms": lambda number: (number, {"to": [f"room-{n}" for n in range(100)]}),
    "not to many": lambda number: (number, {"skip_sid": [f"sid-{n}-of-{number}" for n in range(100)]}),
}
SIZES = {"large": 20_000, "wide": 20_000, "binary": 10_000, "structured": 2_500}


@pytest.fixture
def server() -> AsyncServer:
    return AsyncServer(connection_state_recovery={"max_bytes": MOST})


@pytest.fixture
def taken() -> Iterator[Callable[[], int]]:
    """A function that says how many bytes have been taken since it was called first."""
    first: list[int] = []

    def measure() -> int:
        first.append(allocated())
        return first[-1] - first[0]

    logging.disable()  # as pytest keeps what is logged
    tracemalloc.start()
    yield measure
    tracemalloc.stop()
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("kind", EVENTS)
async def test_events_take_no_more_than_they_may(
    server: AsyncServer, taken: Callable[[], int], kind: str
) -> None:
    async with visitors(server) as guests:
        lost = await guests.come()
        for room in ROOMS:
            await server.enter_room(lost.sid, room)
        await lost.lose()
        count = TIMES * MOST // (LEAST + SIZES.get(kind, 0))
        data, options = EVENTS[kind](0)
        await server.emit("news", data, **options)
        taken()
        for number in range(count):
            data, options = EVENTS[kind](number)
            await server.emit("news", data, **options)
        del data, options
        assert MOST / 5 < taken() <= MOST


@pytest.mark.parametrize("rooms", [0, 1, 20])
async def test_clients_that_have_gone_take_no_more_than_they_may(
    server: AsyncServer, taken: Callable[[], int], rooms: int
) -> None:
    async def come_and_lose(number: int) -> None:
        async with visitors(server) as guests:
            guest = await guests.come()
            for room in range(rooms):
                await server.enter_room(guest.sid, f"room-{number}-{room}")
            await guest.lose()

    for number in range(20):  # until this process has all that it makes once
        await come_and_lose(number)
    taken()
    for number in range(TIMES * MOST // (1200 + 200 * rooms)):
        await come_and_lose(number)
    assert MOST / 5 < taken() <= MOST
