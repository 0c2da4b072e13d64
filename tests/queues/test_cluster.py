"""What works across the processes of a cluster, with each broker and in each direction.

A client of the `near` server makes it act; clients of the `far` server, another process, are to notice.
"""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, NamedTuple

import pytest
import redis.asyncio

from tests.support.python_socketio_client import Client, arrived, connected
from tests.support.server_process import Server, serve

SHARED_CHANNEL = f"cluster-{uuid.uuid4().hex[:8]}"
# The broker, the kind of the near server and of the far one. Others have servers for Redis and RabbitMQ,
# blocking ones also for Kombu and ZeroMQ, and for Kafka one that listens but cannot publish.
BROKERS = ("redis", "streams", "rabbitmq", "kafka", "nats", "zmq", "kombu", "local")
OTHERS = [
    *[("redis", "flask-socketio"), ("redis", "python-socketio")],
    *[("rabbitmq", "flask-socketio"), ("rabbitmq", "python-socketio")],
    *[("kombu", "flask-socketio"), ("zmq", "flask-socketio")],
]
OURS = [(broker, "asyncsock", "asyncsock") for broker in BROKERS]
BOTH_WAYS = [
    *OURS,
    *[(broker, *kinds) for broker, other in OTHERS for kinds in (("asyncsock", other), (other, "asyncsock"))],
]
CASES = [*BOTH_WAYS, ("kafka", "asyncsock", "flask-socketio")]
FIXTURES = {"streams": "redis_broker", "kombu": "rabbitmq_broker", "zmq": "zmq_proxy"}
SCHEMES = {"streams": ("redis:", "redis+streams:"), "kombu": ("amqp:", "pyamqp:")}


class Pair(NamedTuple):
    """Two servers of a cluster, in processes of their own."""

    near: Server
    far: Server
    url: str  # of the broker
    both_ways: bool  # whether the far server can publish
    far_is_ours: bool


@pytest.fixture(scope="module")
def open_server() -> Iterator[Callable[..., Server]]:
    """Starts servers of the shared clusters, each when it is first needed."""
    opened: dict[tuple[str, ...], Server] = {}
    with ExitStack() as stack:

        def open_once(url: str, kind: str, name: str, channel: str = SHARED_CHANNEL) -> Server:
            key = (url, kind, name, channel)
            if key not in opened:
                environment = {"KIND": kind, "QUEUE": url, "CHANNEL": channel, "NEEDS": "kafka"}
                how = {"target": "tests.apps.cluster:asgi"}
                if kind == "flask-socketio":
                    how = {"target": "tests/apps/cluster.py", "server": "python"}
                opened[key] = stack.enter_context(serve(**how, env=environment))
            return opened[key]

        yield open_once


def broker_url(request: pytest.FixtureRequest, broker: str) -> str:
    url: str = request.getfixturevalue(FIXTURES.get(broker, f"{broker}_broker")).url
    return url.replace(*SCHEMES.get(broker, ("", "")))


def name(case: tuple[str, str, str]) -> str:
    return "-".join(case)


@pytest.fixture(params=CASES, ids=name)
def pair(request: pytest.FixtureRequest, open_server: Callable[..., Server]) -> Pair:
    broker, near, far = request.param
    url = broker_url(request, broker)
    servers = (open_server(url, near, "near"), open_server(url, far, "far" if near == far else "near"))
    return Pair(*servers, url, request.param in BOTH_WAYS, far == "asyncsock")


class Clients:
    """Clients of both servers, closed after the test.

    `event` is of this test alone: servers of others may still deliver what an earlier test has sent.
    """

    def __init__(self, pair: Pair, stack: AsyncExitStack) -> None:
        self.pair = pair
        self.event = f"event-{uuid.uuid4().hex[:8]}"
        self._stack = stack

    async def near(self, namespace: str = "/") -> Client:
        return await self._connect(self.pair.near, namespace)

    async def far(self, namespace: str = "/") -> Client:
        return await self._connect(self.pair.far, namespace)

    async def _connect(self, server: Server, namespace: str) -> Client:
        opening = connected(server.url, mode="websocket", namespaces=[namespace])
        return await self._stack.enter_async_context(opening)


@pytest.fixture
async def clients(pair: Pair) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        clients = Clients(pair, stack)
        if pair not in ready:
            await until_heard(await clients.near(), await clients.far())
            if pair.both_ways:
                await until_heard(await clients.far(), await clients.near())
            ready.append(pair)
        yield clients


ready: list[Pair] = []


async def until_heard(sender: Client, listener: Client) -> None:
    """Wait until a server listens: those of others begin to after their first client has connected."""
    heard = listener.arrivals("begin")
    for _ in range(200):
        await sender.call("put", "begin", None, {})
        try:
            await asyncio.wait_for(heard.get(), 0.1)
        except asyncio.TimeoutError:
            continue
        return
    raise AssertionError("the other server does not listen")


def sid(client: Client, namespace: str = "/") -> str:
    own: str = client.socket.get_sid(namespace)
    return own


async def only_marker(
    clients: Clients, client: Client, sender: Client, queue: asyncio.Queue[tuple[Any, ...]]
) -> None:
    """Show that nothing waits in a queue: an event that is sent now to its client arrives first."""
    await sender.call("put", clients.event, "marker", {"to": sid(client)})
    assert await arrived(queue) == ("marker",)


async def test_a_broadcast_reaches_the_clients_of_both_servers(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = [near.arrivals(clients.event), far.arrivals(clients.event)]
    await near.call("put", clients.event, {"a": [1, None, True]}, {})
    assert [await arrived(queue) for queue in heard] == [({"a": [1, None, True]},)] * 2


async def test_several_arguments_and_none_arrive_as_sent(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    await near.call("put", clients.event, None, {})
    await near.call("put", clients.event, [1, "two"], {})
    assert [await arrived(heard), await arrived(heard)] == [(), ([1, "two"],)]


async def test_text_and_large_integers_arrive_unchanged(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    data = {
        "größe": '日本語 \u2028 \U0001f600 \\ " </script>',
        "large": [2**53 + 1, 2**64 + 1, -(2**70)],
        "f": 0.1,
    }
    await near.call("put", clients.event, data, {})
    assert await arrived(heard) == (data,)


async def test_binary_data_arrives_unchanged(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    await near.call("put", clients.event, b"\x00\xff", {})
    await near.call("put", clients.event, {"files": [b"one", {"two": b"\x00" * 100_000}]}, {})
    assert await arrived(heard) == (b"\x00\xff",)
    assert await arrived(heard) == ({"files": [b"one", {"two": b"\x00" * 100_000}]},)


async def test_what_is_no_number_and_half_an_emoji_arrive_as_json_has_them(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    sent: dict[str, Any] = {"half": "\ud83d", "large": 2**70}
    if clients.pair.far_is_ours:  # a server of theirs sends its clients what it reads
        sent |= {"nan": [None] * 3, "binary": b"\0"}
    for names in (["half", "large"], list(sent)):
        await near.call("put_unusual", clients.event, sid(far), names)
        assert await arrived(heard) == ({name: sent[name] for name in names},)


async def test_half_an_emoji_may_be_the_name_of_an_event_and_of_a_room(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    event, room = f"{clients.event} \ud83d", "room \ud83d"
    heard = far.arrivals(event)
    await near.call("enter", sid(far), room)
    await near.call("put", event, 1, {"room": room})
    assert await arrived(heard) == (1,)


async def test_an_event_for_a_client_of_the_other_server_reaches_it_alone(clients: Clients) -> None:
    near, far, other = await clients.near(), await clients.far(), await clients.far()
    heard, others = far.arrivals(clients.event), other.arrivals(clients.event)
    await near.call("put", clients.event, "for one", {"to": sid(far)})
    assert await arrived(heard) == ("for one",)
    await only_marker(clients, other, near, others)


async def test_a_skipped_client_of_the_other_server_is_left_out(clients: Clients) -> None:
    near, far, other = await clients.near(), await clients.far(), await clients.far()
    heard, others = far.arrivals(clients.event), other.arrivals(clients.event)
    await near.call("put", clients.event, "for the rest", {"skip_sid": sid(far)})
    await near.call("put", clients.event, "for the rest too", {"skip_sid": [sid(far), sid(near)]})
    assert [await arrived(others), await arrived(others)] == [("for the rest",), ("for the rest too",)]
    await only_marker(clients, far, near, heard)


@pytest.mark.parametrize(
    "pair",
    [("redis", "asyncsock", "asyncsock"), ("redis", "asyncsock", "flask-socketio")],
    indirect=True,
    ids=name,
)
async def test_an_empty_list_of_rooms_is_nobody_and_no_error_at_the_other_server(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    await near.call("put", clients.event, "for nobody", {"to": []})
    await only_marker(clients, far, near, heard)
    assert "IndexError" not in clients.pair.far.log()


async def test_the_members_of_a_room_on_both_servers_get_its_events_once(clients: Clients) -> None:
    near, far, other = await clients.near(), await clients.far(), await clients.far()
    heard = [near.arrivals(clients.event), far.arrivals(clients.event)]
    others = other.arrivals(clients.event)
    await near.call("enter", sid(near), "room")
    await far.call("enter", sid(far), "room")
    await far.call("enter", sid(far), "second room")
    await near.call("put", clients.event, 1, {"room": "room"})
    await near.call("put", clients.event, 2, {"room": ["room", "second room"]})
    for queue in heard:
        assert [await arrived(queue), await arrived(queue)] == [(1,), (2,)]
    await only_marker(clients, far, near, heard[1])
    await only_marker(clients, other, near, others)


async def test_a_client_of_the_other_server_can_be_put_into_a_room_and_out(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    await near.call("enter", sid(far), "room")
    await near.call("put", clients.event, "inside", {"room": "room"})
    await near.call("leave", sid(far), "room")
    await near.call("put", clients.event, "outside", {"room": "room"})
    assert await arrived(heard) == ("inside",)
    await only_marker(clients, far, near, heard)


@pytest.mark.parametrize("pair", OURS, indirect=True, ids=name)
async def test_nobody_enters_the_own_room_of_a_client_of_the_other_server(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard, others = near.arrivals(clients.event), far.arrivals(clients.event)
    for asked in (near, far):  # where the client is, and elsewhere
        await asked.emit("enter", sid(near), sid(far))  # it raises there, and nothing is acknowledged
    await near.call("put", clients.event, "private", {"to": sid(far)})
    assert await arrived(others) == ("private",)
    await only_marker(clients, near, far, heard)


async def test_a_room_is_closed_on_both_servers(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    await far.call("enter", sid(far), "room")
    await near.call("close", "room")
    await near.call("put", clients.event, "nobody", {"room": "room"})
    await only_marker(clients, far, near, heard)


async def test_a_client_of_the_other_server_can_be_disconnected(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    gone = far.arrivals("disconnect")
    await near.call("kick", sid(far))
    await arrived(gone)


@pytest.mark.parametrize("pair", BOTH_WAYS, indirect=True, ids=name)
async def test_a_callback_gets_the_answer_of_a_client_of_the_other_server(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    answered = near.arrivals("answered")
    far.answer("question", lambda question: (question, "ä", 2**53))
    await near.call("ask_later", sid(far), "how?")
    assert await arrived(answered) == (["how?", "ä", 2**53],)


@pytest.mark.parametrize("pair", BOTH_WAYS, indirect=True, ids=name)
async def test_call_returns_the_answer_of_a_client_of_the_other_server(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    far.answer("question", lambda question: {"asked": question})
    assert await near.call("ask", sid(far), "what?") == {"asked": "what?"}


@pytest.mark.parametrize("pair", BOTH_WAYS, indirect=True, ids=name)
async def test_an_answer_that_looks_like_a_placeholder_comes_back_as_it_is(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    lookalike = {"_placeholder": True, "num": 5}
    far.answer("question", lambda question: {"asked": [question, lookalike, "\ud83d"]})
    answer = await near.call("ask", sid(far), lookalike)
    assert answer == {"asked": [lookalike, lookalike, "\ud83d"]}


@pytest.mark.parametrize("pair", [("redis", "asyncsock", "asyncsock")], indirect=True, ids=name)
async def test_broken_messages_are_ignored_with_one_log_line_for_all(pair: Pair, clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard, start = far.arrivals(clients.event), len(pair.far.log())
    broken: list[Any] = [
        *[b"\xff", b"[" * 100_000, b"null", b'{"method":"emit","event":"x","data":["\xff"]}', b"\x80\x04N."],
        *[{"method": "emit", "data": []}, {"method": "emit", "event": "x", "data": {}}, {"method": 1}],
        *[{"method": "enter_room", "sid": sid(far), "room": ["a"]}, {"method": "close_room", "room": ["a"]}],
        {
            "method": "emit",
            "event": "x",
            "binary": True,
            "data": [[{"_placeholder": True, "num": 1}], "eA=="],
        },
        {"method": "callback", "host_id": "x", "sid": "x", "id": 1, "args": {}},
    ]
    async with redis.asyncio.Redis.from_url(pair.url) as publisher:
        for message in broken * 20:
            encoded = message if isinstance(message, bytes) else json.dumps(message).encode()
            await publisher.publish(SHARED_CHANNEL, encoded)
    await near.call("put", clients.event, "after them", {})
    assert await arrived(heard) == ("after them",)
    log = pair.far.log()[start:]
    assert log.count("a message was ignored") == 1
    assert "Traceback" not in log


async def test_an_event_that_ignores_the_queue_stays_in_its_process(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard, here = far.arrivals(clients.event), near.arrivals(clients.event)
    await near.call("put", clients.event, "here", {"ignore_queue": True})
    assert await arrived(here) == ("here",)
    await only_marker(clients, far, near, heard)


async def test_namespaces_stay_apart(clients: Clients) -> None:
    near, far, other = await clients.near(), await clients.far(), await clients.far("/other")
    heard, others = far.arrivals(clients.event), other.arrivals(clients.event, "/other")
    await near.call("put", clients.event, "for the other", {"namespace": "/other"})
    assert await arrived(others) == ("for the other",)
    await only_marker(clients, far, near, heard)


@pytest.mark.parametrize("pair", [case for case in CASES if case[1] == "asyncsock"], indirect=True, ids=name)
async def test_events_arrive_in_the_order_in_which_they_were_sent(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    heard = far.arrivals(clients.event)
    for number in range(200):
        await near.emit("put", clients.event, number, {})
    assert [await arrived(heard) for _ in range(200)] == [(number,) for number in range(200)]


@pytest.mark.parametrize("pair", OURS, indirect=True, ids=name)
async def test_an_answer_may_be_binary(clients: Clients) -> None:
    near, far = await clients.near(), await clients.far()
    far.answer("question", lambda question: {"bytes": question + b"\xff"})
    assert await near.call("ask", sid(far), b"\x00") == {"bytes": b"\x00\xff"}


@pytest.mark.parametrize("pair", OURS, indirect=True, ids=name)
async def test_two_channels_of_one_broker_are_apart(
    pair: Pair, clients: Clients, open_server: Callable[..., Server]
) -> None:
    near, far = await clients.near(), await clients.far()
    elsewhere = open_server(pair.url, "asyncsock", "elsewhere", f"{SHARED_CHANNEL}-other")
    async with connected(elsewhere.url, mode="websocket") as stranger:
        heard = stranger.arrivals(clients.event)
        reached = far.arrivals(clients.event)
        await near.call("put", clients.event, "for this channel", {})
        assert await arrived(reached) == ("for this channel",)
        await stranger.call("put", clients.event, "for that channel", {})
        assert await arrived(heard) == ("for that channel",)
        await only_marker(clients, far, near, reached)
