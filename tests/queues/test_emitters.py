"""Emitting through a message queue from processes that have no server."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from decimal import Decimal
from typing import Any

import flask
import pytest
from celery import Celery
from flask import Flask
from flask.json.provider import DefaultJSONProvider

from asyncsock import AsyncServer, SocketIO, queues
from asyncsock.queues import LoginRefused, NotPublished, wire
from asyncsock.queues.manager import QueueManager
from tests.support.brokers import Redis
from tests.support.ports import free_port
from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_process import ROOT, Server, serve

Own = Callable[[AbstractContextManager[Redis]], Redis]

WAYS = [
    "script",
    "thread",
    "coroutine",
    "coroutine that does not await",
    "forked process",
    "application without a server",
    "client manager",
]


@pytest.fixture
def server(redis_broker: Redis, channel: str) -> Iterator[Server]:
    environment = {"KIND": "asyncsock", "QUEUE": redis_broker.url, "CHANNEL": channel}
    with serve("tests.apps.cluster:asgi", env=environment) as running:
        yield running


@pytest.fixture
async def client(server: Server) -> AsyncIterator[Client]:
    async with connected(server.url, mode="websocket") as connected_client:
        yield connected_client


async def run_program(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_processes_without_a_server_reach_its_clients(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    heard = client.arrivals("event")
    for how in WAYS:
        ended = await run_program("tests/apps/emitting.py", redis_broker.url, channel, how)
        assert ended == (0, ""), how
        assert await arrived(heard) == (how,)


@pytest.mark.slow
async def test_a_flood_to_a_room_without_members_costs_a_server_one_decode_each(
    redis_broker: Redis, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def count(owner: Any, name: str) -> None:
        function = getattr(owner, name)

        def counted(*arguments: Any) -> Any:
            calls[name] += 1
            return function(*arguments)

        monkeypatch.setattr(owner, name, counted)

    count(wire, "decode")
    for owner, name in ((wire, "event_arguments"), (QueueManager, "_body"), (QueueManager, "_send_unseen")):
        count(owner, name)
    server = AsyncServer(client_manager=queues.from_url(redis_broker.url, channel=channel))
    await server.startup()
    assert await run_program("tests/apps/emitting.py", redis_broker.url, channel, "flood") == (0, "")
    while calls["decode"] < 50_001:
        await asyncio.sleep(0.05)
    await server.shutdown()
    assert calls == {"decode": 50_001}


async def test_a_celery_task_reaches_the_clients_of_a_server(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    heard = client.arrivals("event")
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "tests.apps.celery_tasks", "worker", "-c", "1", "-l", "ERROR"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "QUEUE": redis_broker.url, "CHANNEL": channel},
        start_new_session=True,
    )
    try:
        with Celery(broker=redis_broker.url) as celery:
            for text in ("from a task", "from the next"):
                await asyncio.to_thread(celery.send_task, "tell", [text])
        texts = [await asyncio.wait_for(heard.get(), 30) for _ in range(2)]
        assert texts == [("from a task",), ("from the next",)]
    finally:
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait()


async def test_rooms_can_be_changed_without_a_server(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    heard = client.arrivals("event")
    sid = client.socket.get_sid()
    writer = SocketIO(message_queue=redis_broker.url, channel=channel)
    await writer.server.enter_room(sid, "room")
    await writer.emit("event", "inside", to="room")
    await writer.close_room("room")
    await writer.emit("event", "nobody", to="room")
    await writer.emit("event", ("several", b"arguments"), to=sid)
    assert [await arrived(heard), await arrived(heard)] == [("inside",), ("several", b"arguments")]


async def test_many_threads_emit_through_one_object(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    heard = client.arrivals("event")
    writer = SocketIO(message_queue=redis_broker.url, channel=channel)

    def emit_ten(thread: int) -> None:
        for number in range(10):
            writer.emit("event", [thread, number])

    await asyncio.gather(*[asyncio.to_thread(emit_ten, thread) for thread in range(8)])
    events = [(await arrived(heard))[0] for _ in range(80)]
    for thread in range(8):
        assert [number for source, number in events if source == thread] == list(range(10))


@pytest.mark.parametrize("call", ["SocketIO.call", "AsyncServer.call", "SocketIO.emit"])
@pytest.mark.parametrize("on_a_loop", [False, True], ids=["in sync code", "on a loop"])
async def test_who_only_writes_to_the_queue_gets_no_answers_and_says_so(
    redis_broker: Redis, channel: str, call: str, on_a_loop: bool
) -> None:
    def ask() -> None:
        writer = SocketIO(message_queue=redis_broker.url, channel=channel)
        if call == "SocketIO.emit":
            writer.emit("event", to="somebody", callback=print)
        else:
            asker = writer if call == "SocketIO.call" else writer.server
            asker.call("event", to="somebody")

    with pytest.raises(RuntimeError, match="need.* a server.*only writes to the message queue"):
        ask() if on_a_loop else await asyncio.to_thread(ask)


async def test_the_json_provider_of_the_application_encodes_for_the_queue_too(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    class Provider(DefaultJSONProvider):
        def dumps(self, obj: Any, **kwargs: Any) -> str:
            return super().dumps(obj, **{**kwargs, "default": repr})

    heard = client.arrivals("event")
    app = Flask("writer")
    writer = SocketIO(app, message_queue=redis_broker.url, channel=channel, json=flask.json)
    app.json = Provider(app)
    await writer.emit("event", Decimal(1))
    assert await arrived(heard) == ("Decimal('1')",)


async def test_data_that_cannot_be_encoded_raises_where_it_is_emitted(
    redis_broker: Redis, channel: str
) -> None:
    writer = SocketIO(message_queue=redis_broker.url, channel=channel)
    with pytest.raises(TypeError, match="not JSON serializable"):
        writer.emit("event", object())
    with pytest.raises(TypeError, match="object"):
        await writer.emit("event", "data", to=object())


async def test_what_could_not_be_published_raises_and_is_not_sent_later(
    own: Own, channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsock.queues.emitter.TIMEOUT", 0.5)
    broker = own(Redis())
    environment = {"KIND": "asyncsock", "QUEUE": broker.url, "CHANNEL": channel}
    with serve("tests.apps.cluster:asgi", env=environment) as server:
        async with connected(server.url, mode="websocket") as client:
            heard = client.arrivals("event")
            writer = SocketIO(message_queue=broker.url, channel=channel)
            await writer.emit("event", "before")
            broker.kill()
            with pytest.raises(NotPublished, match=r"not published within 0\.5 s .*onnect"):
                await asyncio.to_thread(writer.emit, "event", "lost")
            with pytest.raises(NotPublished):
                await writer.emit("event", "lost as well")
            broker.start()
            server.wait_for_log("is back after")
            await writer.emit("event", "after")
            assert [await arrived(heard), await arrived(heard)] == [("before",), ("after",)]


def test_a_refused_login_raises_at_once(own: Own, channel: str) -> None:
    broker = own(Redis(password="right"))
    for login in ("", ":wrong@"):
        url = f"redis://{login}127.0.0.1:{broker.port}/0"
        with pytest.raises(LoginRefused, match="Redis"):
            SocketIO(message_queue=url, channel=channel).emit("event")


def test_a_broker_that_is_not_there_is_named_without_the_password(
    channel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncsock.queues.emitter.TIMEOUT", 0.3)
    port = free_port()
    with pytest.raises(NotPublished) as raised:
        SocketIO(message_queue=f"redis://me:secret@127.0.0.1:{port}/0", channel=channel).emit("event")
    assert f"redis://me@127.0.0.1:{port}/0" in str(raised.value)
    assert "secret" not in str(raised.value)


async def test_an_object_that_first_only_emits_can_get_its_application_later(
    redis_broker: Redis, channel: str, client: Client
) -> None:
    heard = client.arrivals("event")
    socketio = SocketIO(message_queue=redis_broker.url, channel=channel)
    await socketio.emit("event", "before")
    app = Flask(__name__)
    socketio.init_app(app)
    answers = client.arrivals("answer")

    @socketio.on("question")
    async def question() -> None:
        await socketio.emit("answer", to=client.socket.get_sid())

    async with socketio.async_test_client(app) as local:
        await local.emit("question")
        assert await arrived(answers) == ()
    assert await arrived(heard) == ("before",)
