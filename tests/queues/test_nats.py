"""NATS: the position in a stream of JetStream, servers without it, batches, and logins."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import nats
import pytest

from asyncsock.queues import LoginRefused, MessageRefused
from asyncsock.queues import nats as driver_module
from asyncsock.queues.driver import Letter
from asyncsock.queues.nats import NatsDriver
from tests.support.broker_process import Own
from tests.support.brokers import Nats
from tests.support.queue_drivers import envelope, listening, numbered, publishing
from tests.support.tcp_proxy import Proxy


class NatsWithout(Nats):
    """A NATS server without JetStream."""

    def command(self) -> list[str]:
        line = super().command()
        return line[: line.index("-js")]


class NatsWithToken(Nats):
    """A NATS server that asks for a token."""

    def command(self) -> list[str]:
        return [*super().command(), "--auth", "open/sesame"]

    def hello(self) -> tuple[bytes, bytes]:
        return b'CONNECT {"auth_token":"open/sesame"}\r\nPING\r\n', b"PONG"


@pytest.fixture(scope="module")
def plain() -> Iterator[Nats]:
    with NatsWithout() as broker:
        yield broker


async def test_a_listener_reads_on_where_it_was_cut(nats_broker: Nats, channel: str, own: Own[Proxy]):
    proxy = own(Proxy(nats_broker.port))
    driver = NatsDriver(nats_broker.url_at(proxy.port), channel)
    async with publishing(NatsDriver(nats_broker.url, channel)) as publisher:
        await publisher.publish([b"before anybody listened"])
        async with listening(driver) as listener:
            await publisher.publish(numbered(300))
            assert await listener.until(envelope(299)) == numbered(300)
            proxy.down()
            with pytest.raises(ConnectionError):
                await listener.task
        await publisher.publish(numbered(300, first=300))
        proxy.up()
        async with listening(driver) as listener:
            await publisher.publish(numbered(300, first=600))
            assert await listener.until(envelope(899)) == numbered(600, first=300)


async def test_what_was_published_before_a_sigkill_of_the_server_is_read_after_it(
    channel: str, own: Own[Nats]
):
    broker = own(Nats())
    listener, publisher = NatsDriver(broker.url, channel), NatsDriver(broker.url, channel)
    await listener.connect(subscribe=True)
    await publisher.connect(subscribe=False)
    await publisher.publish(numbered(300))
    await asyncio.to_thread(broker.kill)
    await asyncio.to_thread(broker.start)
    await listener.close()
    await publisher.close()
    async with publishing(publisher), listening(listener) as back:
        await publisher.publish(numbered(300, first=300))
        assert await back.until(envelope(599)) == numbered(600)


async def test_a_stream_that_was_made_anew_is_read_from_its_beginning(nats_broker: Nats, channel: str):
    listener, publisher = NatsDriver(nats_broker.url, channel), NatsDriver(nats_broker.url, channel)
    async with publishing(publisher):
        async with listening(listener) as before:
            await publisher.publish([b"old"])
            assert await before.until(b"old") == [b"old"]
        async with await nats.connect(nats_broker.url) as client:
            await client.jetstream().delete_stream(channel)
        await publisher.close()
        await publisher.connect(subscribe=False)
        for message in numbered(5):
            await publisher.publish([message])
        async with listening(listener) as back:
            assert await back.until(envelope(4)) == numbered(5)


async def test_a_listener_whose_stream_is_deleted_does_not_wait_for_ever(
    nats_broker: Nats, channel: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver_module, "SILENCE", 0.5)
    async with listening(NatsDriver(nats_broker.url, channel)) as listener:
        async with await nats.connect(nats_broker.url) as client:
            await client.jetstream().delete_stream(channel)
        with pytest.raises(asyncio.TimeoutError):
            await listener.task


async def test_heartbeats_keep_a_quiet_listener(
    nats_broker: Nats, channel: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver_module, "SILENCE", 1.5)  # a busy machine is silent for a second
    async with listening(NatsDriver(nats_broker.url, channel)) as listener:
        await asyncio.wait([listener.task], timeout=5)
        assert not listener.task.done()


async def test_a_stream_that_somebody_made_is_used_as_it_is(nats_broker: Nats, channel: str):
    async with await nats.connect(nats_broker.url) as client:
        made = client.jetstream()
        await made.add_stream(name=f"ours-{channel}", subjects=[channel, f"{channel}-more"], storage="memory")
        async with (
            listening(NatsDriver(nats_broker.url, channel)) as listener,
            publishing(NatsDriver(nats_broker.url, channel)) as publisher,
        ):
            await client.publish(f"{channel}-more", b"not for us")
            await publisher.publish([b"for us"])
            assert await listener.until(b"for us") == [b"for us"]
        assert (await made.stream_info(f"ours-{channel}")).state.messages == 2
        with pytest.raises(nats.js.errors.NotFoundError):
            await made.stream_info(channel)


async def test_a_channel_may_have_any_name(nats_broker: Nats, channel: str):
    name = f"a.b *>/{channel} ü"
    async with (
        listening(NatsDriver(nats_broker.url, name)) as listener,
        publishing(NatsDriver(nats_broker.url, name)) as publisher,
    ):
        await publisher.publish([b"one", b"two"])
        assert await listener.until(b"two") == [b"one", b"two"]


async def test_a_large_batch_is_sent_in_parts_and_in_order(nats_broker: Nats, channel: str):
    messages = [b"%d %s" % (number, b"x" * 300_000) for number in range(10)]
    async with (
        listening(NatsDriver(nats_broker.url, channel)) as listener,
        publishing(NatsDriver(nats_broker.url, channel)) as publisher,
    ):
        await publisher.publish(messages)
        assert await listener.until(messages[-1]) == messages


async def test_a_message_that_the_server_never_takes_is_refused(nats_broker: Nats, channel: str):
    async with (
        listening(NatsDriver(nats_broker.url, channel)) as listener,
        publishing(NatsDriver(nats_broker.url, channel)) as publisher,
    ):
        with pytest.raises(MessageRefused, match="takes 1048576 bytes; raise its max_payload"):
            await publisher.publish([b"first", b"x" * 2_000_000])
        await publisher.publish([b"first", b"last"])
        assert await listener.until(b"last") == [b"first", b"last"]


async def test_without_jetstream_messages_arrive_all_the_same(plain: Nats, channel: str):
    async with (
        listening(NatsDriver(plain.url, channel)) as one,
        listening(NatsDriver(plain.url, channel)) as another,
        publishing(NatsDriver(plain.url, channel)) as publisher,
    ):
        for first in range(0, 1000, 100):
            await publisher.publish(numbered(100, first=first))
        for listener in (one, another):
            assert await listener.until(envelope(999)) == numbered(1000)


async def test_without_jetstream_letters_arrive_too(plain: Nats, channel: str):
    listener = NatsDriver(plain.url, channel)
    listener.inbox = "one"
    async with listening(listener) as one, publishing(NatsDriver(plain.url, channel)) as publisher:
        await publisher.publish([b"for all", Letter(b"for one", "one")])
        got = await one.until(b"for one")
        if b"for all" not in got:
            got += await one.until(b"for all")
        assert {each: isinstance(each, Letter) for each in got} == {b"for all": False, b"for one": True}


@pytest.mark.parametrize("broker_type", [Nats, NatsWithout])
async def test_a_paused_server_hangs_nobody(
    channel: str, own: Own[Nats], monkeypatch: pytest.MonkeyPatch, broker_type: type[Nats]
):
    monkeypatch.setattr(driver_module, "SILENCE", 0.5)
    broker = own(broker_type())
    publisher = NatsDriver(broker.url, channel)
    await publisher.connect(subscribe=False)
    async with listening(NatsDriver(broker.url, channel)) as listener:
        broker.pause()
        with pytest.raises((ConnectionError, asyncio.TimeoutError, nats.errors.Error)):
            await publisher.publish([b"lost"])
        with pytest.raises((ConnectionError, asyncio.TimeoutError)):
            await listener.task
        await publisher.close()
        with pytest.raises(asyncio.TimeoutError):
            await publisher.connect(subscribe=False)
        await publisher.close()
        broker.resume()
    async with publishing(publisher):
        await publisher.publish([b"arrives"])


async def test_a_user_and_a_password_may_have_any_characters(channel: str, own: Own[Nats]):
    broker = own(Nats(user="ann", password="a/b@c:d %"))
    url = broker.url.replace(broker.login, "ann:a%2Fb%40c%3Ad%20%25@")
    async with publishing(NatsDriver(url, channel)) as publisher:
        await publisher.publish([b"accepted"])
    for wrong in ("ann:wrong@", ""):
        with pytest.raises(LoginRefused, match="NATS refused the login"):
            async with publishing(NatsDriver(broker.url.replace(broker.login, wrong), channel)):
                pass


async def test_a_token_is_a_login_without_a_password(channel: str, own: Own[Nats]):
    broker = own(NatsWithToken())
    async with publishing(NatsDriver(broker.url.replace("//", "//open%2Fsesame@"), channel)) as publisher:
        await publisher.publish([b"accepted"])


async def test_the_next_server_is_tried_after_one_that_is_away(nats_broker: Nats, channel: str):
    driver = NatsDriver(f"nats://127.0.0.1:1,127.0.0.1:{nats_broker.port}", channel)
    with pytest.raises(OSError):
        await driver.connect(subscribe=False)
    await driver.close()
    async with publishing(driver):
        await driver.publish([b"accepted"])


@pytest.mark.parametrize(
    "url", ["nats://", "nats://host:port", "nats://host:0", "nats://host:99999", "nats://a:1,nats://b:2"]
)
def test_a_malformed_url_is_refused_at_once(url: str):
    with pytest.raises(ValueError):
        NatsDriver(url, "channel")
