"""Clients that come back to any of several processes while all of them emit."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from tempfile import TemporaryDirectory

import pytest

from asyncsock import AsyncServer
from asyncsock.cluster.cluster import FIRST_HELLOS
from asyncsock.cluster.envelope import decode
from asyncsock.relocation import relocation
from asyncsock.relocation.messages import WANTED
from tests.support.cluster_in_process import eventually, met, servers, started
from tests.support.returning_visitors import DISCONNECT, InProcess, Visitor, in_process

COUNT = 3  # processes
STEPS = 400


@pytest.fixture
async def group() -> AsyncIterator[list[AsyncServer]]:
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        async with servers(f"local://{folder}", "channel", COUNT, connection_state_recovery=True) as found:
            yield found


class Traveller:
    """A client that is at one process after the other."""

    def __init__(self, group: list[AsyncServer], stack: AsyncExitStack) -> None:
        self._group = group
        self._visitor = Visitor(group[0], in_process(group[0]), stack, "/")
        self.got: list[tuple[int, int]] = []
        self.is_lost = True
        self.sid = ""

    def is_at(self, place: int) -> bool:
        return not self.is_lost and self._visitor.server is self._group[place]

    async def come(self, place: int) -> None:
        visitor = self._visitor
        visitor.server = self._group[place]
        visitor._open = in_process(visitor.server)
        await visitor.come()
        self.is_lost = False
        if self.sid:
            assert visitor.recovered
            assert visitor.sid == self.sid
            assert visitor.server.rooms(self.sid) == [self.sid, "room"]
        else:
            self.sid = visitor.sid
            visitor.server.enter_room(self.sid, "room")

    async def read(self, most: int) -> None:
        """Read some of what has been sent, and leave the rest."""
        assert isinstance(self._visitor.link, InProcess)
        for _ in range(min(most, self._visitor.link.arrived)):
            await self.read_to(len(self.got) + 1)

    async def read_to(self, number: int) -> None:
        while len(self.got) < number:
            self.got.append(tuple((await self._visitor.event())[1:]))

    async def lose(self) -> None:
        await self._visitor.lose()
        self.is_lost = True

    async def get_all(self, sent: list[list[int]], place: int) -> None:
        """Read what each process has sent: all of it, in order. First come back to one if need be."""
        if self.is_lost:
            await self.come(place)
        await self.read_to(sum(map(len, sent)))
        for process, numbers in enumerate(sent):
            assert [number for at, number in self.got if at == process] == numbers


@pytest.mark.parametrize("seed", range(4))
async def test_each_event_comes_once_and_in_order_wherever_the_clients_come_back(
    group: list[AsyncServer], seed: int
) -> None:
    choose = random.Random(seed)
    sent: list[list[int]] = [[] for _ in group]
    async with AsyncExitStack() as stack:
        travellers = [Traveller(group, stack) for _ in range(4)]
        for traveller in travellers:
            await traveller.come(choose.randrange(COUNT))
        for number in range(STEPS):
            traveller = choose.choice(travellers)
            action = choose.choice(["emit", "emit", "emit", "lose", "come", "read"])
            if action == "emit":
                place = choose.randrange(COUNT)
                to = choose.choice([None, "room", [each.sid for each in travellers]])
                group[place].emit("event", (place, number), to=to)
                sent[place].append(number)
            elif action == "come" and traveller.is_lost:
                await traveller.come(choose.randrange(COUNT))
            elif action == "lose" and not traveller.is_lost:
                await traveller.lose()
            elif action == "read" and not traveller.is_lost:
                await traveller.read(choose.randrange(5))
            for _ in range(choose.randrange(3)):
                await asyncio.sleep(0)
        for traveller in travellers:
            await traveller.get_all(sent, choose.randrange(COUNT))


async def test_of_two_connections_that_claim_a_client_of_another_process_the_one_that_answers_gets_it(
    group: list[AsyncServer],
) -> None:
    async with AsyncExitStack() as stack:
        visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
        sid = visitor.sid
        await visitor.lose()
        await visitor.begin(await in_process(group[1])(stack))  # nobody reads there
        await visitor.begin(await in_process(group[1])(stack))
        await visitor.until_connected()
        assert visitor.recovered
        assert visitor.sid == sid


async def test_a_process_that_stops_leaves_those_to_others_whom_it_was_still_asking_for(
    group: list[AsyncServer],
) -> None:
    async with AsyncExitStack() as stack:
        visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
        sid = visitor.sid
        await visitor.lose()
        await visitor.begin(await in_process(group[1])(stack))
        await group[1].shutdown()
        await visitor.begin(await in_process(group[2])(stack))
        await visitor.until_connected()
        assert visitor.recovered
        assert visitor.sid == sid


@pytest.mark.parametrize("seed", range(3))
async def test_processes_are_replaced_one_after_the_other_meanwhile(seed: int) -> None:
    choose = random.Random(seed)
    sent: list[list[int]] = []
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        async with AsyncExitStack() as stack:
            options = {"connection_state_recovery": True}

            async def start(own: AsyncExitStack) -> AsyncServer:
                sent.append([])
                return await own.enter_async_context(started(f"local://{folder}", "channel", **options))

            stacks = [await stack.enter_async_context(AsyncExitStack()) for _ in range(COUNT)]
            group = [await start(own) for own in stacks]
            await met(group)
            numbers = list(range(COUNT))  # of the processes that are there
            travellers = [Traveller(group, stack) for _ in range(6)]
            for traveller in travellers:
                await traveller.come(choose.randrange(COUNT))
            for number in range(STEPS):
                place = choose.randrange(COUNT)
                if number % 50 == 49:
                    stopping, here = stacks[place], [each for each in travellers if each.is_at(place)]
                    await stopping.aclose()
                    for traveller in here:
                        await traveller.lose()
                    stacks[place] = await stack.enter_async_context(AsyncExitStack())
                    numbers[place] = len(sent)
                    group[place] = await start(stacks[place])
                    await met(group)
                group[place].emit("event", (numbers[place], number), to=choose.choice([None, "room"]))
                sent[numbers[place]].append(number)
                traveller = choose.choice(travellers)
                if choose.random() < 0.5:
                    await (
                        traveller.come(choose.randrange(COUNT)) if traveller.is_lost else traveller.read(9)
                    )
                for _ in range(choose.randrange(3)):
                    await asyncio.sleep(0)
            for traveller in travellers:
                await traveller.get_all(sent, choose.randrange(COUNT))


async def test_a_client_is_found_that_claims_at_a_process_while_another_one_asks_for_it(
    group: list[AsyncServer],
) -> None:
    for place in (2, 0):  # 0 is where it is
        async with AsyncExitStack() as stack:
            visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
            sid = visitor.sid  # nobody reads at this connection any more, so that nothing answers the probe
            await visitor.begin(await in_process(group[1])(stack))  # nor here
            await visitor.begin(await in_process(group[place])(stack))
            await visitor.until_connected()
            assert visitor.recovered
            assert visitor.sid == sid


@pytest.mark.parametrize("place", [1, 3])
async def test_a_client_comes_back_as_it_was_last_and_not_as_another_process_remembers_it(place: int) -> None:
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        options = {"connection_state_recovery": True}
        async with servers(f"local://{folder}", "channel", 4, **options) as group, AsyncExitStack() as stack:
            visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
            sid = visitor.sid
            await visitor.lose()
            await group[0].shutdown()
            for server in group[1:]:
                await eventually(lambda recovery=server._recovery: recovery.parked())
            links = [await in_process(server)(stack) for server in group[1:3]]
            for link in links:  # each takes it before it hears that the other one has
                await visitor.begin(link)
            await visitor.until_connected()
            await links[0].lose()
            group[2].emit("event")
            assert (await visitor.event())[0] == "event"
            await visitor.lose()
            visitor.server, visitor._open = group[place], in_process(group[place])
            group[2].emit("missed")
            await visitor.come()
            assert visitor.recovered
            assert visitor.sid == sid
            assert await visitor.events() == [["missed"]]


async def test_a_process_that_has_just_started_finds_clients_of_one_that_is_slow_to_answer() -> None:
    with TemporaryDirectory(prefix="asyncsock-test-") as folder:
        url, options = f"local://{folder}", {"connection_state_recovery": True}
        async with started(url, "channel", **options) as first, AsyncExitStack() as stack:
            visitor = await Visitor(first, in_process(first), stack, "/").come()
            sid = visitor.sid
            await visitor.lose()
            told = first.cluster.told
            loop = asyncio.get_running_loop()
            first.cluster.told = lambda *args: loop.call_later(2 * FIRST_HELLOS, told, *args)  # type: ignore[method-assign]
            second = await stack.enter_async_context(started(url, "channel", **options))
            visitor.server, visitor._open = second, in_process(second)
            await visitor.come()
            assert visitor.recovered
            assert visitor.sid == sid


async def test_a_client_that_cannot_be_sent_to_another_process_stays_where_it_was(
    group: list[AsyncServer], caplog: pytest.LogCaptureFixture
) -> None:
    async with AsyncExitStack() as stack:
        visitor, other = [Visitor(group[0], in_process(group[0]), stack, "/") for _ in range(2)]
        await visitor.come()
        await group[0].save_session(visitor.sid, {"file": object()})
        await visitor.lose()
        other.pid = visitor.pid
        await other.begin(await in_process(group[1])(stack))
        await other.until_connected()
        assert not other.recovered
        assert f"client {visitor.sid}, and perhaps others, cannot come back to another" in caplog.text
        await visitor.come()
        assert visitor.recovered


@pytest.mark.parametrize("place", [1, 2])
async def test_nobody_waits_for_a_client_that_has_said_goodbye_where_it_was_last(
    group: list[AsyncServer], place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relocation, "SEARCH_TIME", 60.0)
    async with AsyncExitStack() as stack:
        visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
        await visitor.lose()
        visitor.server, visitor._open = group[1], in_process(group[1])
        await visitor.come()
        assert visitor.recovered
        await visitor.send(DISCONNECT)
        await visitor.lose()
        if place != 1:
            await group[1].shutdown()
        visitor.server, visitor._open = group[place], in_process(group[place])
        await visitor.come()
        assert not visitor.recovered


async def test_a_claim_does_not_fail_because_an_earlier_one_of_the_same_client_does(
    group: list[AsyncServer],
) -> None:
    async with AsyncExitStack() as stack:
        visitor = await Visitor(group[0], in_process(group[0]), stack, "/").come()
        sid = visitor.sid
        await visitor.lose()
        told, held = group[1].cluster.told, []

        def hold(sender: str, data: bytes) -> None:
            if decode(data).kind == WANTED:
                held.append(data)
            else:
                told(sender, data)

        group[1].cluster.told = hold  # type: ignore[method-assign]
        visitor.offset = "wrong"
        await visitor.begin(await in_process(group[2])(stack))
        await eventually(lambda: held)
        visitor.offset = None
        await visitor.begin(await in_process(group[2])(stack))
        group[1].cluster.told = told  # type: ignore[method-assign]
        told(group[2].cluster.name, held[0])
        await visitor.until_connected()
        assert visitor.recovered
        assert visitor.sid == sid
