"""Who is online, in several processes: what each of them knows, and what its clients are told."""

from __future__ import annotations

import logging
import os
from typing import Any

import pytest

from asyncsock import AsyncServer
from asyncsock.presence.messages import Part, Told, Written, write
from asyncsock.presence.people import Change
from asyncsock.queues import from_url
from tests.support.cluster_in_process import die, eventually, met, servers, started
from tests.support.log_records import errors, recorded
from tests.support.returning_visitors import in_process, visitors
from tests.support.socketio_in_process import Client, connected

FEW = ["local", "redis"]
ALL = [*FEW, "streams", "rabbitmq", "nats", "kafka", "zmq", "kombu"]
FIXTURES = {"streams": "redis_broker", "kombu": "rabbitmq_broker", "zmq": "zmq_proxy"}
SCHEMES = {"streams": ("redis:", "redis+streams:"), "kombu": ("amqp:", "pyamqp:")}
ROOM = "room"
ADA, GRACE = {"name": "Ada"}, {"name": "Grace"}


@pytest.fixture(params=ALL if "WHOLE_TABLE" in os.environ else FEW)
def url(request: pytest.FixtureRequest) -> str:
    broker = request.param
    url: str = request.getfixturevalue(FIXTURES.get(broker, f"{broker}_broker")).url
    return url.replace(*SCHEMES.get(broker, ("", "")), 1)


def diff(joins: dict[str, Any] | None = None, leaves: dict[str, Any] | None = None) -> list[Any]:
    return ["presence_diff", {"joins": joins or {}, "leaves": leaves or {}}, ROOM]


def state(people: dict[str, Any]) -> list[Any]:
    return ["presence_state", people, ROOM]


async def know(there: list[AsyncServer], people: dict[str, Any]) -> None:
    """Wait until servers know who is in the room, and no others."""
    for server in there:
        await eventually(lambda server=server: server.presence(ROOM) == people)


async def watching(server: AsyncServer, client: Client) -> None:
    """Have a client see who is in the room."""
    await server.track(client.sid, "watcher", None, ROOM)
    assert (await client.event())[:3] == state(server.presence(ROOM))


async def test_each_process_knows_who_is_at_the_others_and_tells_its_clients(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        async with connected(one) as ada, connected(two) as grace, connected(three) as other:
            three.enter_room(other.sid, ROOM)
            await one.track(ada.sid, "ada", ADA, ROOM)
            await know([one, two, three], {"ada": [ADA]})
            await two.track(grace.sid, "grace", GRACE, ROOM)
            assert await grace.event() == state({"ada": [ADA], "grace": [GRACE]})
            assert await ada.event() == state({"ada": [ADA]})
            assert await ada.event() == diff({"grace": [GRACE]})
            assert await other.event() == diff({"ada": [ADA]})
            assert await other.event() == diff({"grace": [GRACE]})
            await ada.leave()
            assert await other.event() == diff(leaves={"ada": [ADA]})
            assert await grace.event() == diff(leaves={"ada": [ADA]})
        await know([one, two, three], {})


async def test_a_key_with_tabs_at_several_processes_joins_once_and_leaves_once(
    url: str, channel: str
) -> None:
    async with servers(url, channel, 3) as there:
        async with connected(there[0]) as other:
            await watching(there[0], other)
            for first in there:
                for last in there[:2]:
                    async with connected(first) as tab, connected(last) as second:
                        for server, client in ((first, tab), (last, second)):
                            await server.track(client.sid, "ada", ADA, ROOM)
                            await server.track(client.sid, client.sid)  # which arrives after that
                        await eventually(lambda: len(there[0].presence()) == 2)
                        await tab.leave()
                        await second.leave()
                    await know(there, {"watcher": [None]})
                    await eventually(lambda: not there[0].presence())
            seen = [event for event in await other.events() if event[2] == ROOM]
            assert seen == [diff({"ada": [ADA]}), diff(leaves={"ada": [ADA]})] * 6


async def test_a_process_that_is_new_knows_who_is_there(url: str, channel: str) -> None:
    async with started(url, channel) as one, connected(one) as ada:
        for room in (ROOM, "another"):
            await one.track(ada.sid, "ada", ADA, room)
        await one.track(ada.sid, "ada", GRACE, "another")
        async with started(url, channel) as two:
            await know([two], {"ada": [ADA]})
            assert two.presence("another") == {"ada": [GRACE]}


async def test_a_large_state_comes_in_parts(channel: str, redis_broker: Any) -> None:
    async with started(redis_broker.url, channel) as one, connected(one) as ada:
        meta = {"about": "x" * 200_000}
        for number in range(10):
            await one.track(ada.sid, "ada", meta, number)
        async with started(redis_broker.url, channel) as two:
            for number in range(10):
                await eventually(lambda number=number: two.presence(number) == {"ada": [meta]})


async def test_a_process_that_dies_takes_its_people_with_it(url: str, channel: str, quick: None) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        async with connected(one) as other, connected(three) as ada, connected(three) as tab:
            await watching(one, other)
            async with connected(two) as second:
                await two.track(second.sid, "grace", GRACE, ROOM)
                await three.track(tab.sid, "grace", GRACE, ROOM)
                await three.track(ada.sid, "ada", ADA, ROOM)
                await know([one, two], {"watcher": [None], "grace": [GRACE], "ada": [ADA]})
                await die(three)
                await know([one, two], {"watcher": [None], "grace": [GRACE]})
            joined, other_joined, left, other_left = [await other.event() for _ in range(4)]
            assert [joined, other_joined] == [diff({"grace": [GRACE]}), diff({"ada": [ADA]})]
            assert [left, other_left] == [diff(leaves={"ada": [ADA]}), diff(leaves={"grace": [GRACE]})]


async def test_the_people_of_a_process_that_stops_leave_when_it_has(url: str, channel: str) -> None:
    async with started(url, channel) as one, connected(one) as other:
        await watching(one, other)
        async with started(url, channel) as two, connected(two) as ada:
            await met([one, two])
            await two.track(ada.sid, "ada", ADA, ROOM)
            assert await other.event() == diff({"ada": [ADA]})
        assert await other.event() == diff(leaves={"ada": [ADA]})


async def test_whoever_is_back_at_another_process_in_time_has_neither_left_nor_joined(
    url: str, channel: str
) -> None:
    options = {"presence": {"leave_after": 60}}
    async with started(url, channel, **options) as one, connected(one) as other, connected(one) as tab:
        await watching(one, other)
        async with started(url, channel, **options) as two:
            await met([one, two])
            async with connected(one) as ada:
                await one.track(ada.sid, "ada", ADA, ROOM)
                await ada.leave()
            async with connected(two) as ada:  # back at the other process, which then stops
                await two.track(ada.sid, "ada", ADA, ROOM)
                await know([two], {"watcher": [None], "ada": [ADA]})
        await eventually(lambda: not one.cluster.members())
        await one.track(tab.sid, "ada", ADA, ROOM)
        assert await other.events() == [diff({"ada": [ADA]})]


async def test_whoever_comes_back_to_another_process_as_something_else_is_not_shown_twice(
    url: str, channel: str
) -> None:
    async with servers(url, channel, 2, presence={"leave_after": 60}) as (one, two):
        async with connected(one) as ada:
            await one.track(ada.sid, "ada", ADA, ROOM)
            await ada.leave()
        await know([two], {"ada": [ADA]})
        async with connected(two) as ada:
            await two.track(ada.sid, "ada", GRACE, ROOM)
            await know([one, two], {"ada": [GRACE]})


async def test_a_process_that_is_new_knows_whom_one_that_has_stopped_left_behind(
    url: str, channel: str
) -> None:
    options = {"presence": {"leave_after": 60}}
    async with started(url, channel, **options) as one, started(url, channel, **options) as two:
        async with started(url, channel, **options) as three, connected(three) as ada:
            await met([one, two, three])
            await three.track(ada.sid, "ada", ADA, ROOM)
            await know([one, two], {"ada": [ADA]})
        await eventually(lambda: not (one.cluster.members() & {three.cluster.name}))
        async with started(url, channel, **options) as four:
            await know([four], {"ada": [ADA]})


@pytest.mark.parametrize("who_has_it", ["the one that it left", "one that has stopped"])
async def test_a_client_that_is_restored_in_another_process_has_neither_left_nor_joined(
    url: str, channel: str, who_has_it: str
) -> None:
    options = {"connection_state_recovery": True}
    async with started(url, channel, **options) as one, started(url, channel, **options) as two:
        three = AsyncServer(client_manager=from_url(url, channel), **options)
        await three.startup()
        async with connected(one) as other, visitors(three) as guests:
            await met([one, two, three])
            await watching(one, other)
            ada = await guests.come()
            await three.track(ada.sid, "ada", ADA, ROOM)
            await know([one, two], {"watcher": [None], "ada": [ADA]})
            await ada.lose()
            if who_has_it == "one that has stopped":
                await three.shutdown()
                await eventually(lambda: len(one.cluster.members()) == 1)
            ada.server = two
            await ada.begin(await in_process(two)(guests.stack))
            await ada.until_connected()
            assert ada.recovered
            await know([one, two], {"watcher": [None], "ada": [ADA]})
            assert (await ada.events())[-1] == state({"watcher": [None], "ada": [ADA]})
            await two.disconnect(ada.sid)
            await know([one, two], {"watcher": [None]})
            events = [event[:3] for event in await other.events()]  # without offsets
            assert events == [diff({"ada": [ADA]}), diff(leaves={"ada": [ADA]})]
        await three.shutdown()


async def test_a_process_that_has_missed_a_change_asks_for_all(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        async with connected(one) as ada:
            told = one.cluster.tell
            one.cluster.tell = lambda *args: told(*args, three.cluster.name)  # the other one does not hear it
            await one.track(ada.sid, "ada", ADA, ROOM)
            await know([three], {"ada": [ADA]})
            one.cluster.tell = told
            assert two.presence(ROOM) == {}
            await one.track(ada.sid, "ada", ADA, "another")
            await know([two, three], {"ada": [ADA]})


async def test_what_is_malformed_is_one_log_line_and_changes_nothing(
    redis_broker: Any, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(redis_broker.url, channel, 2) as (one, two):
        good = write(Change(("/", ROOM), "sid", "ada", one._presence._checked("ada", ADA, ROOM)))
        bad = [
            *[b"", b"[" * 100_000, b"{}", b"[1,2,3]", b'["/","room"]', b'["/","room",5]', b'["/",[1],"ada"]'],
            *[b'["/",NaN,"ada"]', b'["/",{},"ada"]', b'[null,"room","ada"]'],
        ]
        changes = [Written("sid", names, b"1") for names in bad]
        changes += [Written("sid", good.names, text) for text in (b"", b"\xff", b"{", b"[" * 100_000)]
        changes += [Written("sid", good.names, b"1", (b"picture",))]
        for number, change in enumerate(changes, 1):
            two.cluster.tell("presence.told", Told(number, [good, change]))
            two.cluster.tell("presence.part", Part(number, 0, [change], True), one.cluster.name)
        two.cluster.tell("presence.part", Part(1, 5, [good], True), one.cluster.name)
        two.cluster.tell("presence.told", Told(-5, [good]))
        two.cluster.tell("presence.told", Told(1, [good]))
        await know([one], {"ada": [ADA]})
        assert len(recorded(caplog, logging.WARNING)) == 1
        assert not errors(caplog)
