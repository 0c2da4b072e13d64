"""Claims of clients that did not lose the connection of which they speak, or that are malformed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from tests.support.raw_clients import warnings
from tests.support.recovering_clients import Visitor, Welcome, visitor
from tests.support.recovery_load import APP
from tests.support.server_process import Server, Start

MODES = ["polling", "websocket"]
SERIALIZERS = ["default", "msgpack"]
LONG = 100_000
# Private ids, made of one that is right.
PIDS: dict[str, Callable[[str], Any]] = {
    "of nobody": lambda pid: pid[::-1],
    "cut short": lambda pid: pid[:-1],
    "with one letter more": lambda pid: pid + "A",
    "in other letters": lambda pid: pid.swapcase(),
    "with a line": lambda pid: pid + "\n",
    "null": lambda pid: None,
    "a number": lambda pid: 7,
    "a large number": lambda pid: 2**63,
    "a fraction": lambda pid: 0.5,
    "true": lambda pid: True,
    "empty": lambda pid: "",
    "a list": lambda pid: [pid],
    "an object": lambda pid: {"pid": pid},
    "long": lambda pid: pid * (LONG // len(pid)),
    "wide": lambda pid: "ž" * len(pid),
    "zeros": lambda pid: "\0" * len(pid),
}
# Offsets, made of one that is right.
OFFSETS: dict[str, Callable[[str], Any]] = {
    "of another server": lambda offset: offset[::-1],
    "to come": lambda offset: offset + "0",
    "far out of range": lambda offset: offset + "9" * 40,
    "endless": lambda offset: offset * (LONG // len(offset)),
    "negative": lambda offset: offset[:6] + "-1",
    "with a sign": lambda offset: offset[:6] + "+1",
    "with a space": lambda offset: offset[:6] + " 1",
    "with a line": lambda offset: offset + "\n",
    "with a power": lambda offset: offset[:6] + "1e0",
    "in other digits": lambda offset: offset[:6] + "١",
    "without a number": lambda offset: offset[:6],
    "empty": lambda offset: "",
    "a number": lambda offset: 1,
    "true": lambda offset: True,
    "a list": lambda offset: [offset],
    "an object": lambda offset: {"offset": offset},
}
CLAIMS: dict[str, Callable[[Visitor], dict[str, Any]]] = {
    **{
        f"pid {name}": lambda lost, make=make: {**lost.claim, "pid": make(lost.pid)}
        for name, make in PIDS.items()
    },
    **{
        f"offset {name}": lambda lost, make=make: {**lost.claim, "offset": make(lost.offset)}
        for name, make in OFFSETS.items()
    },
}


@pytest.fixture(params=SERIALIZERS)
def serializer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Visits:
    """Clients of one server, and what it logs of them."""

    def __init__(self, server: Server, mode: str, serializer: str) -> None:
        self.server = server
        self._way = mode, serializer
        self.secrets: list[str] = []

    @asynccontextmanager
    async def connected(self, auth: Any = None) -> AsyncIterator[tuple[Visitor, Welcome]]:
        async with visitor(self.server, *self._way) as client:
            welcome = await client.connect(auth)
            self.secrets.append(welcome.pid)
            yield client, welcome

    @asynccontextmanager
    async def with_news(self) -> AsyncIterator[tuple[Visitor, Welcome]]:
        """A client that has got an event."""
        async with self.connected() as (client, welcome):
            await self.say(client, welcome, "first")
            yield client, welcome

    async def say(self, client: Visitor, welcome: Welcome, text: str) -> None:
        """Have the server emit an event to a client that asks for it."""
        await client.emit("say", [["told", [text], {"to": welcome.sid}]])
        assert await client.event() == ["told", text]

    async def lost(self) -> tuple[Visitor, Welcome]:
        """A client that has got an event and has lost its connection."""
        async with self.with_news() as (client, welcome):
            await client.drop()
        await asyncio.to_thread(self.server.wait_for_log, f"{welcome.sid} has gone")
        return client, welcome

    def lines_about(self, client: Visitor) -> list[str]:
        return [line for line in self.server.log().splitlines() if f"session {client.session}" in line]

    def check_log(self) -> None:
        """There is no private id in it, and nothing to worry about."""
        log = self.server.log()
        assert [secret for secret in self.secrets if secret in log] == []
        assert warnings(log) == []


@pytest.fixture
def visits(running: Start, mode: str, serializer: str) -> Visits:
    return Visits(running(APP, "uvicorn", SERIALIZER=serializer), mode, serializer)


async def is_ordinary(visits: Visits, claim: Any) -> bool:
    """Whether somebody who claims that is let in as a new client, of which the log says one line more."""
    known = visits.secrets.copy()
    lines = []
    for auth in (None, claim):
        async with visits.connected(auth) as (client, welcome):
            await visits.say(client, welcome, "hello")
            lines.append(visits.lines_about(client))
            await client.drop()
    assert len(lines[1]) == len(lines[0]) + 1, lines
    return welcome.pid not in known


@pytest.mark.parametrize("claim", CLAIMS)
async def test_a_wrong_claim_makes_an_ordinary_connection_and_takes_nothing_from_the_right_one(
    visits: Visits, claim: str
) -> None:
    client, welcome = await visits.lost()
    assert await is_ordinary(visits, CLAIMS[claim](client))
    async with visits.connected(client.claim) as (_, again):
        assert again == welcome
    visits.check_log()


async def test_a_claim_that_says_more_is_right_all_the_same(visits: Visits) -> None:
    client, welcome = await visits.lost()
    async with visits.connected({**client.claim, "token": "mine", "sid": "another"}) as (_, again):
        assert again == welcome
    visits.check_log()


async def test_somebody_else_does_not_become_a_client_that_is_connected(visits: Visits) -> None:
    async with visits.with_news() as (client, welcome):
        news = asyncio.ensure_future(client.event())  # it reads, so that it answers pings
        async with visits.connected(client.claim) as (thief, other):
            assert other.sid != welcome.sid
            assert other.pid != welcome.pid
            await thief.emit("say", [["told", ["second"], {"to": welcome.sid}]])
            assert await news == ["told", "second"]
        await client.drop()
    async with visits.connected(client.claim) as (_, again):
        assert again == welcome
    visits.check_log()


async def test_of_two_who_come_at_once_with_the_same_claim_one_is_recovered(visits: Visits) -> None:
    client, welcome = await visits.lost()
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(visitor(visits.server, *visits._way)) for _ in range(2)]

        async def claim(one: Visitor) -> Welcome:
            answer = await one.connect(client.claim)
            reading.append(asyncio.ensure_future(one.packet()))  # it answers pings from now on
            return answer

        reading: list[asyncio.Future[Any]] = []
        answers = await asyncio.gather(*[claim(one) for one in clients])
        assert sorted(answer == welcome for answer in answers) == [False, True]
        assert sorted(answer.sid == welcome.sid for answer in answers) == [False, True]
        for task in reading:
            task.cancel()
    visits.check_log()


@pytest.mark.parametrize("way", ["it says goodbye", "the server sends it away"])
async def test_a_client_that_did_not_lose_its_connection_is_not_recovered(visits: Visits, way: str) -> None:
    async with visits.with_news() as (client, welcome):
        if way == "it says goodbye":
            await client.leave()
        else:
            await client.emit("leave")
        await asyncio.to_thread(visits.server.wait_for_log, f"{welcome.sid} has gone")
    assert await is_ordinary(visits, client.claim)
    visits.check_log()


async def test_a_client_that_comes_back_too_late_is_not_recovered(
    running: Start, mode: str, serializer: str
) -> None:
    seconds = 0.3
    options = json.dumps({"max_disconnection_duration": seconds})
    server = running(APP, "uvicorn", SERIALIZER=serializer, RECOVERY_OPTIONS=options)
    visits = Visits(server, mode, serializer)
    client, _ = await visits.lost()
    await asyncio.sleep(2 * seconds)
    assert await is_ordinary(visits, client.claim)
    visits.check_log()


async def test_a_claim_does_not_hold_in_another_namespace(visits: Visits) -> None:
    client, welcome = await visits.lost()
    async with visitor(visits.server, *visits._way) as other:
        answer = await other.connect(client.claim, "/other")
        assert (answer.sid, answer.pid) != welcome
    async with visits.connected(client.claim) as (_, again):
        assert again == welcome
    visits.check_log()
