"""ZeroMQ: what passes the proxy, how its loss is noticed, and python-socketio at the other side."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import zmq
import zmq.asyncio

from asyncsock.queues import zmq as driver_module
from asyncsock.queues.zmq import ZmqDriver
from tests.support.broker_process import Own
from tests.support.brokers import HOST, ZmqProxy
from tests.support.ports import free_port
from tests.support.queue_drivers import TIMEOUT, Peer, envelope, listening, numbered, publishing
from tests.support.required_parts import require
from tests.support.tcp_proxy import Proxy

LOST = (ConnectionError, asyncio.TimeoutError)

# As tests/apps/peer.py, under eventlet, without which python-socketio has no ZeroMQ.
PEER = """
import eventlet, json, sys
from eventlet import tpool
import socketio
manager = socketio.ZmqManager(sys.argv[1], sys.argv[2])
def emit():
    while line := tpool.execute(sys.stdin.readline):
        manager.emit("said", json.loads(line), namespace="/")
eventlet.spawn(emit)
for message in manager._listen():
    print(json.dumps(message), flush=True)
"""


@asynccontextmanager
async def eventlet_peer(url: str, channel: str) -> AsyncIterator[Peer]:
    require(importlib.util.find_spec("eventlet"), "eventlet")
    pipe = asyncio.subprocess.PIPE
    line = (sys.executable, "-W", "ignore", "-c", PEER, url, channel)
    process = await asyncio.create_subprocess_exec(*line, stdin=pipe, stdout=pipe)
    try:
        yield Peer(process)
    finally:
        process.kill()
        await process.wait()


@asynccontextmanager
async def proxy_that(passes_on: Callable[[bytes, Callable[[bytes], Any]], Any]) -> AsyncIterator[str]:
    """The URL of a proxy of which a function gets each message, and what publishes one."""
    with (
        zmq.asyncio.Context() as context,
        context.socket(zmq.PULL) as sink,
        context.socket(zmq.PUB) as source,
    ):
        ports = free_port(), free_port()
        for socket, port in zip((sink, source), ports, strict=True):
            socket.linger = 0
            socket.bind(f"tcp://{HOST}:{port}")

        async def pass_on() -> None:
            while True:
                passes_on(await sink.recv(), source.send)

        passing = asyncio.create_task(pass_on())
        yield f"zmq+tcp://{HOST}:{ports[0]}+{ports[1]}"
        passing.cancel()
        await asyncio.wait([passing])


class Deaf:
    """Watches descriptors, and never tells of one."""

    def add_reader(self, descriptor: int, callback: Callable[[], None]) -> None: ...

    def remove_reader(self, descriptor: int) -> None: ...

    def close(self) -> None: ...


async def test_python_socketio_and_we_hear_each_other(zmq_proxy: ZmqProxy, channel: str):
    async with (
        listening(ZmqDriver(zmq_proxy.url, channel)) as listener,
        publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher,
        eventlet_peer(zmq_proxy.url, channel) as other_side,
    ):
        await other_side.hears(publisher)
        await listener.until(envelope("begin"))
        await publisher.publish(numbered(20))
        assert await other_side.until(19) == list(range(20))
        for number in range(20, 25):
            await other_side.emit(number)
        assert await other_side.until(24) == list(range(20, 25))
        await publisher.publish([envelope("end")])
        heard = [json.loads(message)["data"][0] for message in await listener.until(envelope("end"))]
        assert heard == [*range(25), "end"]


class WindowsLoop(asyncio.SelectorEventLoop):
    """As asyncio's event loop is on Windows: it watches no descriptors."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    remove_reader = asyncio.AbstractEventLoop.remove_reader


def run_on_windows_loop(main: Callable[[], Coroutine[Any, Any, None]]) -> None:
    loop = WindowsLoop()
    try:
        loop.run_until_complete(asyncio.wait_for(main(), TIMEOUT + 10))  # `until` tells first what came
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()


def test_an_event_loop_that_watches_no_descriptors_has_a_thread_for_it(
    zmq_proxy: ZmqProxy, channel: str
) -> None:
    async def main() -> None:
        for _ in range(2):  # the second connects again
            async with (
                listening(ZmqDriver(zmq_proxy.url, channel)) as listener,
                publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher,
            ):
                for first in range(0, 2000, 200):  # far from the 500 that the proxy keeps for a listener
                    await publisher.publish(numbered(200, first=first))
                    assert await listener.until(envelope(first + 199)) == numbered(200, first=first)
        assert not [thread for thread in threading.enumerate() if thread.name == "Tornado selector"]

    run_on_windows_loop(main)


def test_without_the_package_of_that_thread_the_error_names_it(
    zmq_proxy: ZmqProxy, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tornado.platform.asyncio", None)

    async def main() -> None:
        driver = ZmqDriver(zmq_proxy.url, channel)
        with pytest.raises(ImportError, match=r"need the package 'tornado': pip install 'asyncsock\[zmq\]'"):
            await driver.connect(subscribe=True)
        await driver.close()

    run_on_windows_loop(main)


async def test_channels_share_a_proxy_and_hear_only_their_own(zmq_proxy: ZmqProxy, channel: str):
    async with (
        listening(ZmqDriver(zmq_proxy.url, channel)) as listener,
        publishing(ZmqDriver(zmq_proxy.url, f"{channel}-other")) as other,
        publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher,
    ):
        for number in range(10):
            await other.publish([b'"for others"'])
            await publisher.publish(numbered(10, first=10 * number))
        assert await listener.until(envelope(99)) == numbered(100)


async def test_nothing_is_missed_from_the_moment_of_being_connected(zmq_proxy: ZmqProxy, channel: str):
    async with publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher:
        for _ in range(10):
            driver = ZmqDriver(zmq_proxy.url, channel)
            await driver.connect(subscribe=True)
            await publisher.publish([b'"now"'])
            messages = driver.messages()
            got: list[bytes] = []
            while not got:
                got += await anext(messages)
            assert got == [b'"now"']
            await driver.close()


async def test_bursts_arrive_whole_and_in_order(zmq_proxy: ZmqProxy, channel: str):
    async with (
        listening(ZmqDriver(zmq_proxy.url, channel)) as listener,
        publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher,
    ):
        for first in range(0, 10_000, 500):  # at most what the proxy keeps for a listener that is behind
            await publisher.publish(numbered(200, first=first))
            assert await listener.until(envelope(first + 199)) == numbered(200, first=first)


async def test_the_loss_of_the_proxy_ends_the_messages_at_once(channel: str, own: Own[ZmqProxy]):
    proxy = own(ZmqProxy())
    publisher, listener = ZmqDriver(proxy.url, channel), ZmqDriver(proxy.url, channel)
    await publisher.connect(subscribe=False)
    async with listening(listener) as before:
        await asyncio.to_thread(proxy.kill)
        with pytest.raises(ConnectionError, match="ended the connection"):
            await before.task
    with pytest.raises(ConnectionError, match="away|ended the connection"):
        await publisher.publish([b'"lost"'])
    await publisher.close()
    await asyncio.to_thread(proxy.start)
    async with listening(listener) as back, publishing(publisher):
        await publisher.publish([b'"arrives"'])
        assert await back.until(b'"arrives"') == [b'"arrives"']


async def test_connecting_waits_for_a_proxy_that_is_not_there_yet(channel: str, own: Own[ZmqProxy]):
    proxy = own(ZmqProxy())
    proxy.kill()
    driver = ZmqDriver(proxy.url, channel)
    connecting = asyncio.create_task(driver.connect(subscribe=False))
    await asyncio.wait([connecting], timeout=0.5)
    assert not connecting.done()
    await asyncio.to_thread(proxy.start)
    await connecting
    await driver.publish([b'"arrives"'])
    await driver.close()


async def test_connecting_through_a_slow_proxy_ends(channel: str):
    late = partial(asyncio.get_running_loop().call_later, 2.5 * driver_module.PROBE_AGAIN)
    async with proxy_that(lambda message, publish: late(publish, message)) as url:
        driver = ZmqDriver(url, channel)
        await driver.connect(subscribe=True)
        await driver.close()


async def test_publishing_waits_until_the_proxy_has_the_messages(
    channel: str, own: Own[ZmqProxy], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver_module, "SILENCE", 0.5)
    proxy = own(ZmqProxy())
    publisher = ZmqDriver(proxy.url, channel)
    async with listening(ZmqDriver(proxy.url, channel)) as listener, publishing(publisher):
        proxy.pause()
        publish = asyncio.create_task(publisher.publish([b'"late"']))
        with pytest.raises(ConnectionError, match="silent"):
            await listener.task
        assert not publish.done()
        proxy.resume()
        await publish


async def test_a_publisher_whose_probe_the_proxy_drops_probes_again(
    channel: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver_module, "PUBLISHED_PROBE_AGAIN", 0.1)
    last, dropped = b"", []

    def drop_one(message: bytes, publish: Callable[[bytes], Any]) -> None:
        nonlocal last
        if envelope("last") in last and not dropped:  # so this is the probe after it
            dropped.append(message)
        else:
            publish(message)
        last = message

    async with (
        proxy_that(drop_one) as url,
        listening(ZmqDriver(url, channel)) as listener,
        publishing(ZmqDriver(url, channel)) as publisher,
    ):
        messages = [*numbered(3), envelope("last")]
        await asyncio.wait_for(publisher.publish(messages), TIMEOUT)
        assert len(dropped) == 1
        assert await listener.until(envelope("last")) == messages


async def test_publishing_ends_though_no_descriptor_tells_of_the_answer(
    zmq_proxy: ZmqProxy, channel: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(driver_module, "PUBLISHED_PROBE_AGAIN", 0.1)
    monkeypatch.setattr(driver_module, "_watcher_of", lambda loop: Deaf())
    async with publishing(ZmqDriver(zmq_proxy.url, channel)) as publisher:
        await asyncio.wait_for(publisher.publish([b'"heard"']), TIMEOUT)


async def test_messages_lost_with_their_connection_do_not_pass_for_published_after_zeromq_connects_again(
    zmq_proxy: ZmqProxy, channel: str, own: Own[Proxy], monkeypatch: pytest.MonkeyPatch
):
    """Not even where the loss is told late, as by an event loop that was busy."""
    monkeypatch.setattr(driver_module, "PUBLISHED_PROBE_AGAIN", 1)
    monkeypatch.setattr(driver_module, "_watcher_of", lambda loop: Deaf())
    between = own(Proxy(zmq_proxy.port))
    async with publishing(ZmqDriver(zmq_proxy.url_at(between.port), channel)) as publisher:
        between.silence()
        publish = asyncio.create_task(publisher.publish([b'"lost"']))
        await asyncio.sleep(0)  # it has pushed
        between.cut()
        between.forward()
        while between.accepted == 1:
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionError, match="ended the connection"):
            await asyncio.wait_for(publish, TIMEOUT)


async def test_a_quiet_listener_is_kept(zmq_proxy: ZmqProxy, channel: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(driver_module, "SILENCE", 1.5)  # a busy machine is silent for a second
    async with listening(ZmqDriver(zmq_proxy.url, channel)) as listener:
        await asyncio.wait([listener.task], timeout=5)
        assert not listener.task.done()


async def test_a_publisher_whose_connection_was_cut_while_idle_pushes_nothing_twice(
    zmq_proxy: ZmqProxy, channel: str, own: Own[Proxy]
):
    between = own(Proxy(zmq_proxy.port))
    publisher = ZmqDriver(zmq_proxy.url_at(between.port), channel)
    async with listening(ZmqDriver(zmq_proxy.url, channel)) as listener:
        await publisher.connect(subscribe=False)
        between.cut()
        while not publisher._lost:
            await asyncio.sleep(0.01)
        with pytest.raises(ConnectionError, match="was away"):
            await publisher.publish([b'"once"'])
        await publisher.close()
        async with publishing(publisher):
            await publisher.publish([b'"once"', b'"end"'])
        assert await listener.until(b'"end"') == [b'"once"', b'"end"']


async def test_what_is_no_envelope_is_passed_on_to_be_refused(zmq_proxy: ZmqProxy, channel: str):
    driver = ZmqDriver(zmq_proxy.url, channel)
    async with listening(ZmqDriver(zmq_proxy.url, channel)) as listener, publishing(driver):
        for junk in (b"", b"\x80\x04\x95", b"[]", b'{"type":"message","channel":5}', b'{"type":"message"}'):
            driver._push(junk)
        await driver.publish([b'"end"'])
        assert b'"end"' in await listener.until(b'"end"')


@pytest.mark.parametrize(
    "url",
    ["zmq+tcp://host", "zmq+tcp://host:1", "zmq+tcp://host:1+0", "zmq+tcp://host:1+65536", "zmq+tcp://:1+2"],
)
def test_a_malformed_url_is_refused_at_once(url: str):
    with pytest.raises(ValueError, match=r"sinkport\+sourceport"):
        ZmqDriver(url, "channel")
