"""The processes that share a message queue: who is there, what they tell each other, and what they ask."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

import msgspec
import pytest

from asyncsock import AsyncServer
from asyncsock.cluster import NotAllAnswered, members
from asyncsock.queues import from_url
from asyncsock.queues.driver import Letter
from asyncsock.queues.inbox import MAX_BYTES, PART_BYTES, messages_with
from asyncsock.queues.redis import RedisDriver
from asyncsock.queues.wire import encode
from tests.support.brokers import Redis
from tests.support.cluster_in_process import Word, die, eventually, met, servers, started
from tests.support.log_records import errors, recorded
from tests.support.queue_drivers import publishing
from tests.support.raw_clients import within
from tests.support.socketio_in_process import connected


@pytest.fixture(params=["local", "redis", "redis+streams"])
def url(request: pytest.FixtureRequest) -> str:
    broker = request.getfixturevalue(f"{request.param.partition('+')[0]}_broker")
    return str(broker.url).replace("redis:", f"{request.param}:")


class Heard:
    """What one process has heard of the others."""

    def __init__(self, server: AsyncServer) -> None:
        self.words: list[tuple[str, Any]] = []
        self.joined: list[str] = []
        self.left: list[tuple[str, bool]] = []
        server.cluster.on("word", Word, lambda sender, word: self.words.append((sender, word.word)))
        server.cluster.on_joined.append(self.joined.append)
        server.cluster.on_left.append(lambda name, in_order: self.left.append((name, in_order)))


def answering(server: AsyncServer) -> None:
    server.cluster.on_ask("word", Word, Word, lambda sender, question: question)


# Who is there


async def test_processes_know_each_other_until_they_say_goodbye(url: str, channel: str) -> None:
    async with started(url, channel) as one:
        heard = Heard(one)
        async with started(url, channel) as two:
            name = two.cluster.name
            await met([one, two])
            assert heard.joined == [name]
        await eventually(lambda: not one.cluster.members())
        assert heard.left == [(name, True)]


@pytest.mark.parametrize("broker", ["redis", "rabbitmq", "nats", "local"])
async def test_what_a_process_tells_another_one_alone_comes_before_its_goodbye(
    broker: str, request: pytest.FixtureRequest, channel: str
) -> None:
    url = str(request.getfixturevalue(f"{broker}_broker").url)
    async with servers(url, channel, 2) as (one, two):
        heard, name = Heard(one), two.cluster.name
        two.cluster.tell("word", Word("last"), one.cluster.name)
        await two.cluster.stop()
        await eventually(lambda: heard.left == [(name, True)])
        assert heard.words == [(name, "last")]


async def test_a_process_that_falls_silent_is_given_up(url: str, channel: str, quick: None) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        heard = Heard(one)
        name = three.cluster.name
        await die(three)
        await eventually(lambda: one.cluster.members() == {two.cluster.name})
        assert heard.left == [(name, False)]


async def test_a_process_that_was_given_up_is_known_again_when_it_is_heard(
    url: str, channel: str, quick: None
) -> None:
    async with servers(url, channel, 2) as (one, two):
        heard_by_one, heard_by_two = Heard(one), Heard(two)
        one.cluster._lost(two.cluster.name)
        await met([one, two])
        assert heard_by_one.joined == [two.cluster.name]
        await eventually(
            lambda: heard_by_two.joined == [one.cluster.name]
        )  # which has forgotten what it knew


async def test_a_loop_that_was_busy_gives_nobody_up(url: str, channel: str, quick: None) -> None:
    async with servers(url, channel, 2) as (one, _two):
        heard = Heard(one)
        one.cluster._look()
        for _ in range(5):  # as many looks as fit after a pause, however long that was
            one.cluster._look()
        assert not heard.left


async def test_a_new_name_is_taken_at_each_start(url: str, channel: str) -> None:
    server = AsyncServer(client_manager=from_url(url, channel))
    names = []
    for _ in range(2):
        await within(server.startup())
        names.append(server.cluster.name)
        await server.shutdown()
    assert len(set(names)) == 2


async def test_a_process_without_a_queue_has_no_others() -> None:
    server = AsyncServer()
    await server.startup()
    answering(server)
    assert server.cluster.name
    assert server.cluster.members() == frozenset()
    await server.cluster.tell("word", Word(1))
    assert await server.cluster.ask("word", Word(1)) == {}
    await server.shutdown()


async def test_a_process_of_this_host_that_was_killed_is_given_up_at_once_by_all(
    local_broker: Any, channel: str
) -> None:
    async with servers(local_broker.url, channel, 3) as found:
        heard = [Heard(server) for server in found]
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.apps.silent_process", local_broker.url, channel
        )
        for each in heard:
            await eventually(lambda each=each: each.joined)
        killed.kill()
        for each in heard:
            await eventually(lambda each=each: each.left)
            assert each.left == [(each.joined[0], False)]
        await killed.wait()


# Telling


async def test_what_is_told_reaches_the_others_once_and_in_order(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        heard = [Heard(server) for server in (one, two, three)]
        for number in range(200):
            one.cluster.tell("word", Word(number))
        for each in heard[1:]:
            await eventually(lambda each=each: len(each.words) >= 200)
            assert each.words == [(one.cluster.name, number) for number in range(200)]
        assert not heard[0].words


async def test_what_is_told_to_one_process_reaches_no_other(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        heard_by_two, heard_by_three = Heard(two), Heard(three)
        await one.cluster.tell("word", Word("for two"), to=two.cluster.name)
        await one.cluster.tell("word", Word("for all"))
        await eventually(lambda: len(heard_by_two.words) == 2 and heard_by_three.words)
        assert sorted(heard_by_two.words) == [(one.cluster.name, "for all"), (one.cluster.name, "for two")]
        assert heard_by_three.words == [(one.cluster.name, "for all")]


async def test_what_is_told_to_all_keeps_its_order_with_events(url: str, channel: str) -> None:
    async with servers(url, channel, 2) as (one, two), connected(two) as client:
        two.cluster.on("word", Word, lambda sender, word: two.emit("told", word.word))
        for number in range(50):
            one.cluster.tell("word", Word(number))
            one.emit("emitted", number)
        expected = [each for number in range(50) for each in (["told", number], ["emitted", number])]
        assert [await within(client.event()) for _ in expected] == expected


async def test_what_is_large_comes_whole(url: str, channel: str) -> None:
    async with servers(url, channel, 2) as (one, two):
        heard = Heard(two)
        large = ["x" * (PART_BYTES - 1), "y" * 5_000_000, "z"]
        for word in large:
            one.cluster.tell("word", Word(word))
            one.cluster.tell("word", Word(word), to=two.cluster.name)
        await eventually(lambda: len(heard.words) == 6)
        assert sorted(word for _, word in heard.words) == sorted(large * 2)
        with pytest.raises(ValueError, match="bytes for other processes"):
            one.cluster.tell("word", Word("x" * MAX_BYTES))


async def test_a_process_that_only_writes_tells_all(url: str, channel: str) -> None:
    async with started(url, channel) as server:
        heard = Heard(server)
        writer = AsyncServer(client_manager=from_url(url, channel, write_only=True))
        await writer.cluster.tell("word", Word("x" * 2_000_000))
        await eventually(lambda: heard.words)
        assert heard.words == [("", "x" * 2_000_000)]
        assert not server.cluster.members()
        with pytest.raises(RuntimeError, match="only writes"):
            await writer.cluster.ask("word", Word(1))


# Asking


async def test_everybody_answers(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as found:
        one, two, three = (server.cluster for server in found)
        for each in (one, two, three):
            each.on_ask("word", Word, Word, lambda sender, _question, name=each.name: Word([sender, name]))
        expected = {name: Word([one.name, name]) for name in (two.name, three.name)}
        assert await within(one.ask("word", Word("hi"))) == expected
        assert await within(one.ask("word", Word("hi"), to=[two.name, "gone"])) == {
            two.name: expected[two.name]
        }
        assert await within(one.ask("word", Word("hi"), to=["gone"])) == {}


async def test_a_question_right_after_the_start_reaches_those_who_are_there(url: str, channel: str) -> None:
    async with started(url, channel) as one:
        answering(one)
        async with started(url, channel) as two:
            answering(two)
            assert await within(two.cluster.ask("word", Word(1))) == {one.cluster.name: Word(1)}


async def test_a_coroutine_may_answer(url: str, channel: str) -> None:
    async with servers(url, channel, 2) as (one, two):

        async def answer(_sender: str, question: Word) -> Word:
            await asyncio.sleep(0)
            return Word([question.word])

        for server in (one, two):
            server.cluster.on_ask("word", Word, Word, answer)
        assert await within(one.cluster.ask("word", Word(1))) == {two.cluster.name: Word([1])}


async def test_an_answer_that_does_not_come_in_time_is_missing(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        answering(one)
        answering(two)
        hanging = asyncio.Event()

        async def hang(_sender: str, question: Word) -> Word:
            await hanging.wait()
            return question

        three.cluster.on_ask("word", Word, Word, hang)
        with pytest.raises(NotAllAnswered) as raised:
            await within(one.cluster.ask("word", Word(1), timeout=0.3))
        assert raised.value.answers == {two.cluster.name: Word(1)}
        assert raised.value.missing == {three.cluster.name}
        hanging.set()


async def test_who_cannot_answer_is_not_waited_for(
    url: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(url, channel, 3) as (one, two, three):  # the third does not know such questions
        answering(one)

        def fail(_sender: str, _question: Word) -> Word:
            raise RuntimeError("no idea")

        two.cluster.on_ask("word", Word, Word, fail)
        with pytest.raises(NotAllAnswered) as raised:
            await within(one.cluster.ask("word", Word(1), timeout=None))
        assert raised.value.missing == {two.cluster.name, three.cluster.name}
        assert errors(caplog) == ["RuntimeError('no idea')"]


@pytest.mark.parametrize("in_order", [True, False])
async def test_who_is_lost_meanwhile_is_not_waited_for(
    url: str, channel: str, quick: None, in_order: bool
) -> None:
    async with servers(url, channel, 3) as (one, two, three):
        for server in (one, two):
            answering(server)
        asked = asyncio.Event()

        async def hang(_sender: str, _question: Word) -> Word:
            asked.set()
            return await asyncio.Future()

        three.cluster.on_ask("word", Word, Word, hang)
        question = asyncio.create_task(one.cluster.ask("word", Word(1), timeout=None))
        await within(asked.wait())
        await (three.cluster.stop() if in_order else die(three))
        assert await within(question) == {two.cluster.name: Word(1)}


# Bad input


def malformed(name: str) -> list[bytes]:
    """What a broker might bring in place of a message of a process."""

    def packed(*envelope: Any) -> bytes:
        return msgspec.msgpack.encode(envelope)

    word = msgspec.msgpack.encode({"word": 1})
    return [
        b"",
        b"\xff" * 100,
        b"\x91" * 100_000,
        packed(),
        packed("word", 9, 0, {"word": 1}),
        packed("word", 0, 0, 5),
        packed("word", 1, 1, 5),
        packed("word", 2, "x", {"word": 1}),
        packed(5, 0, 0, {"word": 1}),
        packed("cluster.hello", 0, 0, "x"),
        b"\x94" + packed("word", 0, 0)[1:] + b"\x91" * 100_000,
        word,
    ]


async def test_what_is_malformed_is_one_log_line_and_harms_nothing(
    redis_broker: Redis, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(redis_broker.url, channel, 2) as (one, two):
        heard = Heard(one)
        answering(one)
        async with publishing(RedisDriver(redis_broker.url, channel)) as publisher:
            number = 0
            for data in malformed(two.cluster.name):
                for fields in messages_with(data, "cluster", two.cluster.name):
                    number += 1
                    message = encode(fields, "hostile", number)
                    await publisher.publish([message, Letter(message, one.cluster.name)])
            for change in ({"inbox": "a b"}, {"to": 5}, {"attachments": ["no base64!"]}, {"is_first": False}):
                (fields,) = messages_with(b"", "cluster", "x")
                number += 1
                await publisher.publish([encode({**fields, **change}, "hostile", number)])
        two.cluster.tell("word", Word("last"))
        await eventually(lambda: heard.words)
        assert heard.words == [(two.cluster.name, "last")]
        assert len(recorded(caplog, logging.WARNING)) == 2  # of each process
        assert not errors(caplog)


async def test_there_are_not_more_processes_than_can_be(
    redis_broker: Redis, channel: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(members, "MOST", 3)
    async with started(redis_broker.url, channel) as server:
        heard = Heard(server)
        async with publishing(RedisDriver(redis_broker.url, channel)) as publisher:
            for number in range(10):
                data = msgspec.msgpack.encode(("word", 0, 0, {"word": number}))
                (fields,) = messages_with(data, "cluster", f"name-{number}")
                await publisher.publish([encode(fields, f"sender-{number}", 1)])
        await eventually(
            lambda: [each for each in recorded(caplog, logging.WARNING) if "more than 3" in each]
        )
        assert server.cluster.members() == {"name-0", "name-1", "name-2"}
        assert [word for _, word in heard.words] == [0, 1, 2]


# Outages


async def test_an_outage_makes_nobody_gone_and_what_was_missed_can_be_told_again(
    channel: str, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    with Redis() as broker:
        async with servers(broker.url, channel, 2) as (one, two):
            heard_by_one, heard_by_two = Heard(one), Heard(two)
            broker.stop()
            await eventually(lambda: not one.manager.is_in_touch and not two.manager.is_in_touch)
            await asyncio.sleep(2 * members.SILENCE)
            broker.start()
            await eventually(lambda: heard_by_one.joined and heard_by_two.joined)
            assert not heard_by_one.left
            assert not heard_by_two.left
            assert set(heard_by_one.joined) == {two.cluster.name}
            assert set(heard_by_two.joined) == {one.cluster.name}
