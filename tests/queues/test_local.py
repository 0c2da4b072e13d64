"""`local://`: Unix sockets in a private directory, in place of a broker."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from asyncsock import AsyncServer
from asyncsock.queues import LoginRefused, MessageRefused, QueueManager, from_url, local, local_listener
from asyncsock.queues.local import LocalDriver
from asyncsock.rooms import Rooms
from tests.queues.test_emitters import run_program
from tests.support.log_records import recorded
from tests.support.other_users import as_nobody, as_root, hears_nothing, is_hung_up_on, is_kept_out
from tests.support.private_directories import not_private, private_folder
from tests.support.python_socketio_client import arrived, connected
from tests.support.queue_drivers import envelope, listening, numbered, publishing, said
from tests.support.server_process import serve

MEGABYTE = 1024 * 1024


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short path, as sockets need it."""
    with private_folder() as folder:
        yield folder


def driver(directory: Path, channel: str = "channel") -> LocalDriver:
    return LocalDriver(f"local://{directory}", channel)


def sockets(directory: Path) -> list[Path]:
    return list(directory.glob("*.bus"))


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return recorded(caplog, logging.WARNING)


# Messages


async def test_messages_of_each_publisher_arrive_in_their_order(directory: Path) -> None:
    async with (
        listening(driver(directory)) as first,
        listening(driver(directory)) as second,
        publishing(driver(directory)) as one,
        publishing(driver(directory)) as other,
    ):
        for number in range(0, 1000, 10):
            await one.publish(numbered(10, first=number))
            await other.publish(numbered(1, first=10_000 + number))
        for listener in (first, second):
            got = await listener.until(envelope(999))
            if envelope(10_990) not in got:
                got += await listener.until(envelope(10_990))
            numbers = said(got)
            assert [number for number in numbers if number < 10_000] == list(range(1000))
            assert [number for number in numbers if number >= 10_000] == list(range(10_000, 11_000, 10))


async def test_messages_that_were_published_together_arrive_together(directory: Path) -> None:
    listener = driver(directory)
    await listener.connect(subscribe=True)
    async with publishing(driver(directory)) as publisher:
        await publisher.publish(numbered(100))
        async for messages in listener.messages():
            assert messages == numbered(100)
            break
    await listener.close()


async def test_a_listener_hears_what_is_published_after_it_has_connected(directory: Path) -> None:
    async with AsyncExitStack() as stack:
        publisher = await stack.enter_async_context(publishing(driver(directory)))
        listeners = []
        for number in range(20):  # within one tick of the file system's clock
            listeners.append(await stack.enter_async_context(listening(driver(directory))))
            await publisher.publish([envelope(number)])
        for first, listener in enumerate(listeners):
            assert await listener.until(envelope(19)) == numbered(20 - first, first=first)


async def test_large_messages_arrive_whole_and_too_large_ones_are_refused(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    large = [bytes([number]) * (8 * MEGABYTE) for number in range(4)]
    async with listening(driver(directory)) as listener, publishing(driver(directory)) as publisher:
        await publisher.publish([b"before", *large])
        await publisher.publish([b"after"])
        assert await listener.until(b"after") == [b"before", *large, b"after"]
        monkeypatch.setattr(local, "MESSAGE_BYTES", MEGABYTE)
        with pytest.raises(MessageRefused):
            await publisher.publish([large[0]])
        await publisher.publish([b"after that"])
        assert await listener.until(b"after that") == [b"after that"]


@pytest.mark.parametrize("other", ["channel.other", "channe", "../channel", "channel/é", ""])
async def test_channels_do_not_mix(directory: Path, other: str) -> None:
    async with (
        listening(driver(directory)) as listener,
        listening(driver(directory, other)) as elsewhere,
        publishing(driver(directory)) as publisher,
        publishing(driver(directory, other)) as stranger,
    ):
        await publisher.publish([b"here"])
        await stranger.publish([b"there"])
        assert await listener.until(b"here") == [b"here"]
        assert await elsewhere.until(b"there") == [b"there"]
        await publisher.publish([b"end"])
        assert await listener.until(b"end") == [b"end"]
        assert len(sockets(directory)) == 2


async def test_what_a_process_publishes_comes_to_others_and_not_back(directory: Path) -> None:
    own_listener, own_publisher = driver(directory), driver(directory)
    own_publisher.own_listener = own_listener
    async with (
        listening(own_listener) as own,
        listening(driver(directory)) as other,
        publishing(own_publisher),
        publishing(driver(directory)) as stranger,
    ):
        await own_publisher.publish([b"ours"])
        assert await other.until(b"ours") == [b"ours"]
        await stranger.publish([b"theirs"])
        assert await own.until(b"theirs") == [b"theirs"]


async def test_a_stopped_listener_leaves_no_file(directory: Path) -> None:
    async with listening(driver(directory)), publishing(driver(directory)) as publisher:
        await publisher.publish([b"one"])
        assert len(sockets(directory)) == 1
    assert list(directory.iterdir()) == []


# Listeners that are dead or hang


def bound(directory: Path, backlog: int | None = None) -> socket.socket:
    """A socket as listeners have them."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(directory / "channel.0123abcd.bus"))
    if backlog is not None:
        listener.listen(backlog)
    return listener


async def test_the_file_of_a_listener_that_was_killed_is_removed(directory: Path) -> None:
    bound(directory, backlog=1).close()
    async with publishing(driver(directory)) as publisher, listening(driver(directory)) as listener:
        await publisher.publish([b"one"])
        assert await listener.until(b"one") == [b"one"]
        assert len(sockets(directory)) == 1


async def test_a_listener_that_hangs_delays_nobody_and_is_dropped_at_the_bound(
    directory: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local, "OUTBOX_BYTES", 4 * MEGABYTE)
    with bound(directory, backlog=1):
        async with publishing(driver(directory)) as publisher, listening(driver(directory)) as listener:
            for number in range(20):
                message = b"%d" % number * MEGABYTE
                await publisher.publish([message])
                assert await listener.until(message) == [message]
            assert len(sockets(directory)) == 1
    assert ["was dropped because it does not read" in line for line in warnings(caplog)] == [True]


async def test_a_burst_beyond_the_bound_loses_nothing_for_a_listener_that_reads(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OUTBOX_BYTES", 2 * MEGABYTE)
    burst = [b"%02d" % number * (MEGABYTE // 4) for number in range(40)]
    async with listening(driver(directory)) as listener, publishing(driver(directory)) as publisher:
        for message in burst:
            await publisher.publish([message])
        assert await listener.until(burst[-1]) == burst


async def test_a_listener_with_a_full_backlog_is_left_alone_until_there_is_room(directory: Path) -> None:
    with bound(directory, backlog=0) as hung, socket.socket(socket.AF_UNIX) as waiting:
        waiting.connect(hung.getsockname())
        async with publishing(driver(directory)) as publisher, listening(driver(directory)) as listener:
            await publisher.publish([b"one"])
            assert await listener.until(b"one") == [b"one"]
            hung.accept()[0].close()
            await publisher.publish([b"two"])
            with hung.accept()[0] as connection:
                assert connection.recv(100) == struct.pack("<I", 3) + b"two"


async def test_a_server_that_was_dropped_because_it_hung_hears_again(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "OUTBOX_BYTES", MEGABYTE)
    environment = {"KIND": "asyncsock", "QUEUE": f"local://{directory}", "CHANNEL": "channel"}
    with serve("tests.apps.cluster:asgi", env=environment) as server:
        async with (
            connected(server.url, mode="websocket") as client,
            publishing(driver(directory)) as publisher,
        ):
            heard = client.arrivals("said")
            server.process.send_signal(signal.SIGSTOP)
            while sockets(directory):
                await publisher.publish([envelope("x" * MEGABYTE)])
            server.process.send_signal(signal.SIGCONT)
            await asyncio.to_thread(server.wait_for_log, "is back after")
            await publisher.publish([envelope("again")])
            while (await arrived(heard)) != ("again",):
                pass
        assert server.log().count("is not reachable (ConnectionError: the socket of this process was") == 1


# What others send


@pytest.mark.parametrize("size", [0, local_listener.MESSAGE_BYTES + 1, 2**32 - 1])
async def test_a_malformed_message_closes_its_connection_with_one_log_line(
    directory: Path, caplog: pytest.LogCaptureFixture, size: int
) -> None:
    async with listening(driver(directory)) as listener, publishing(driver(directory)) as publisher:
        await publisher.publish([b"one"])
        reader, writer = await asyncio.open_unix_connection(sockets(directory)[0])
        writer.write(struct.pack("<I", 3) + b"two" + struct.pack("<I", size) + b"rest" * 100)
        assert await reader.read() == b""
        writer.close()
        await publisher.publish([b"three"])
        assert await listener.until(b"three") == [b"one", b"two", b"three"]
    assert warnings(caplog) == [
        f"message queue local://{directory}: a connection was closed: it sent a message of {size} bytes"
    ]


async def test_a_publisher_that_is_killed_within_a_message_disturbs_nobody(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(driver(directory)) as listener, publishing(driver(directory)) as publisher:
        _, writer = await asyncio.open_unix_connection(sockets(directory)[0])
        writer.write(struct.pack("<I", 1000) + b"half")
        await writer.drain()
        writer.close()
        await publisher.publish([b"one"])
        assert await listener.until(b"one") == [b"one"]
    assert warnings(caplog) == []


# Other users


@as_root
async def test_another_user_can_neither_list_nor_connect(directory: Path) -> None:
    async with listening(driver(directory)):
        (path,) = sockets(directory)
        assert await as_nobody(is_kept_out, path)


@as_root
async def test_another_user_who_gets_in_is_refused_at_both_ends(
    directory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(driver(directory)) as listener, publishing(driver(directory)) as publisher:
        (path,) = sockets(directory)
        directory.chmod(0o777)
        path.chmod(0o777)
        assert await as_nobody(is_hung_up_on, path)
        theirs = directory / "channel.stranger.bus"
        got_nothing = asyncio.create_task(as_nobody(hears_nothing, theirs))
        while not theirs.exists():
            await asyncio.sleep(0.01)
        while theirs.exists():
            await publisher.publish([b"secret"])
        assert await got_nothing
        await publisher.publish([b"end"])
        assert (await listener.until(b"end"))[-1] == b"end"
    assert ["it is another user's" in line for line in warnings(caplog)] == [True]


# The directory


async def test_the_directory_is_made_for_this_user_only(directory: Path) -> None:
    made = directory / "made"
    async with publishing(driver(made)) as publisher:
        await publisher.publish([b"for nobody"])
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


@not_private
@pytest.mark.parametrize("subscribe", [False, True])
async def test_a_directory_that_is_not_private_is_refused(
    directory: Path, make: Callable[[Path], None], why: str, subscribe: bool
) -> None:
    make(directory / "app")
    refused = driver(directory / "app")
    with pytest.raises(LoginRefused, match=why):
        await refused.connect(subscribe=subscribe)
    await refused.close()


async def test_a_url_without_a_directory_says_what_to_write_where_no_socket_is_shared() -> None:
    with pytest.raises(LoginRefused, match="name a directory, as in local:///run/app"):
        await LocalDriver("local://", "channel").connect(subscribe=True)


def test_a_path_that_is_too_long_for_a_socket_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="makes a path of 1.. bytes, and sockets take 107"):
        from_url(f"local:///{'x' * 100}")


def test_another_platform_says_what_to_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SUPPORTED", False)
    with pytest.raises(NotImplementedError, match="need Linux"):
        from_url("local:///run/app")


# Programs


async def test_a_program_without_a_server_reaches_its_clients(directory: Path) -> None:
    url = f"local://{directory}"
    environment = {"KIND": "asyncsock", "QUEUE": url, "CHANNEL": "channel"}
    with serve("tests.apps.cluster:asgi", env=environment) as server:
        async with connected(server.url, mode="websocket") as client:
            heard = client.arrivals("event")
            for how in ("script", "forked process"):
                ended, output = await run_program("tests/apps/emitting.py", url, "channel", how)
                assert (ended, "Traceback" in output) == (0, False)  # from 3.12 on, os.fork() warns
                assert await arrived(heard) == (how,)


async def test_a_program_that_emits_to_nobody_ends_without_an_error(directory: Path) -> None:
    url = f"local://{directory}/made"
    assert await run_program("tests/apps/emitting.py", url, "channel", "script") == (0, "")


async def test_a_server_that_was_given_a_client_manager_does_not_join_others(directory: Path) -> None:
    manager = Rooms()
    server = AsyncServer(client_manager=manager)
    server.join_workers(directory, "channel")
    assert server.manager is manager


async def test_a_server_that_joins_others_keeps_what_the_program_has_set(directory: Path) -> None:
    server: Any = AsyncServer()
    application = server.eio.core.application
    server.on("event", print)
    server.join_workers(directory, "channel")
    first = server.manager
    server.join_workers(directory, "channel")
    assert isinstance(first, QueueManager)
    assert server.manager is first
    assert server.eio.core.application is application
    assert server.handlers["/"]["event"] is print
