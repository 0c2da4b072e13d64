"""python-socketio's clients, over each transport, against tests/apps/clients.py."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any

import pytest
from socketio.exceptions import ConnectionError as RefusedError

from tests.support.python_socketio_client import TRANSPORTS, WAIT, Client, arrived, connected, tags
from tests.support.server_process import Server, serve
from tests.support.server_restarts import QUICK_STOP, restarted

TARGET = "tests.apps.clients:asgi"
WAYS = {"direct": "uvicorn", "plain ASGI": "hypercorn"}
KINDS = ("async", "sync")
MODES = tuple(TRANSPORTS)

NESTED = {"first": b"\x00\x01\xff", "list": ["text", b"", {"deep": {"second": b"\x07" * 1000}, "n": None}]}


@pytest.fixture(scope="module", params=list(WAYS))
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(TARGET, server=WAYS[request.param]) as running:
        yield running


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def client(server: Server, kind: str, mode: str) -> AsyncIterator[Client]:
    """A client that is not connected yet."""
    client = Client(server.url, kind, mode)
    yield client
    await client.close()


async def test_the_server_acknowledges_with_what_its_handler_returns(client: Client) -> None:
    await client.connect()
    assert await client.call("echo") is None
    assert await client.call("echo", "one") == "one"
    assert await client.call("echo", "one", {"two": [2, None, True]}) == ("one", {"two": [2, None, True]})


async def test_the_client_acknowledges_what_the_server_emits_with_a_callback(client: Client) -> None:
    client.answer("question", lambda data: ({"heard": data}, 2))
    answered = client.arrivals("answered")
    await client.connect()
    await client.emit("ask", {"text": "why"})
    assert await arrived(answered) == ({"answer": [{"heard": {"text": "why"}}, 2]},)


async def test_a_handler_that_awaits_call_gets_the_clients_answer(client: Client) -> None:
    client.answer("question", lambda data: {"heard": data, "more": b"\x09"})
    await client.connect()
    assert await client.call("call", NESTED) == {"answer": {"heard": NESTED, "more": b"\x09"}}


async def test_binary_data_goes_both_ways(client: Client) -> None:
    pushed = client.arrivals("pushed")
    await client.connect()
    assert await client.call("describe", {"a": b"123", "b": [b""]}) == {"a": "bytes:3", "b": ["bytes:0"]}
    assert await client.call("echo", NESTED, b"last") == (NESTED, b"last")
    await client.emit("push", NESTED, 1, b"last")
    assert await arrived(pushed) == (NESTED, 1, b"last")


# The blocking client handles each packet in a thread of its own: it keeps no order, and mixes attachments up.
# The packets of a burst with attachments are a third more than its events.


async def burst(client: Client, arrivals: asyncio.Queue[tuple[Any, ...]], total: int) -> None:
    """Check that a burst of tests/apps/clients.py arrives."""
    events = [await arrived(arrivals) for _ in range(total)]
    if client.kind == "sync":
        assert sorted(events) == [(number, "text") for number in range(total)]
    else:
        expected = [(n, bytes([n % 256]) if n % 3 == 1 else "text") for n in range(total)]
        assert events == expected


@pytest.mark.parametrize("total", [10, 12, 16, 17, 500])
async def test_a_burst_arrives_whole_and_in_order(client: Client, total: int) -> None:
    """python-socketio's polling client takes 16 packets of one answer; it disconnects when there are more."""
    arrivals = client.arrivals("one of many")
    await client.connect()
    await client.emit("burst", total, client.kind == "async")
    await burst(client, arrivals, total)
    assert await client.call("echo", "still here") == "still here"


@pytest.mark.parametrize("total", [14, 17, 200])
async def test_what_the_connect_handler_sends_at_once_arrives(client: Client, total: int) -> None:
    arrivals = client.arrivals("one of many")
    await client.connect(auth={"burst": [total, client.kind == "async"]})
    await burst(client, arrivals, total)
    assert await client.call("echo", "still here") == "still here"


@pytest.mark.parametrize("total", [17, 200])
async def test_what_was_sent_before_the_server_disconnects_arrives_before_it(
    client: Client, total: int
) -> None:
    arrivals = client.arrivals("one of many")
    gone = client.arrivals("disconnect")
    await client.connect()
    await client.emit("burst", total, client.kind == "async", True)
    await burst(client, arrivals, total)
    await arrived(gone)


async def test_text_in_any_script_comes_back(client: Client) -> None:
    text = 'žluťoučký kůň 🐎 日本語 \u2028 \x00\x1e\x7f "\\/'
    await client.connect()
    assert await client.call("echo", text, {text: text}) == (text, {text: text})
    assert await client.call("ozvěna 🐎", "příliš") == "příliš"


async def test_integers_of_any_size_come_back(client: Client) -> None:
    numbers = [2**53 + 1, 2**63, -(2**63) - 1, 2**64, 10**40]
    await client.connect()
    assert await client.call("echo", numbers) == numbers


async def test_large_text_and_large_binary_data_come_back(client: Client) -> None:
    text, data = "0123456789" * 90_000, bytes(range(250)) * 2800
    await client.connect()
    assert await client.call("echo", text) == text
    assert await client.call("echo", data) == data


async def test_two_namespaces_share_one_connection_and_stay_apart(client: Client) -> None:
    said, said_in_main = client.arrivals("said", "/chat"), client.arrivals("said")
    await client.connect(["/", "/chat"])
    sids = [client.socket.get_sid(namespace) for namespace in ("/", "/chat")]
    assert await client.call("where") == ["/", sids[0]]
    assert await client.call("where", namespace="/chat") == ["/chat", sids[1]]
    await client.emit("say", "hello", namespace="/chat")
    assert await arrived(said) == ("hello",)
    assert said_in_main.empty()


async def test_the_connect_handler_gets_the_auth(client: Client) -> None:
    auth = {"token": "right", "ž": [1, {"two": None}]}
    await client.connect(auth=auth)
    assert await client.call("auth") == auth


async def test_a_refused_client_gets_the_refusals_message_and_data(client: Client) -> None:
    errors = client.arrivals("connect_error")
    with pytest.raises(RefusedError):
        await client.connect(auth={"token": "wrong"})
    assert await arrived(errors) == ({"message": "wrong token", "data": {"code": 42, "why": ["token", "ž"]}},)


async def test_a_namespace_that_the_server_does_not_have_is_refused(client: Client) -> None:
    errors = client.arrivals("connect_error", "/nowhere")
    with pytest.raises(RefusedError):
        await client.connect(["/nowhere"])
    assert await arrived(errors) == ({"message": "Invalid namespace"},)


async def test_a_client_that_the_server_disconnects_learns_who_did_it(client: Client) -> None:
    gone = client.arrivals("disconnect")
    await client.connect()
    await client.emit("kick")
    assert await arrived(gone) == ("server disconnect",)


async def test_a_client_that_disconnects_tells_the_server_so(server: Server, client: Client) -> None:
    tag = next(tags)
    await client.connect(auth={"tag": tag})
    async with connected(server.url, mode="websocket") as watcher:
        await client.disconnect()
        reason = await reason_of(watcher, tag)
    # Over WebSocket this client often closes the connection before it has sent its packets.
    assert reason == "client disconnect" or (reason == "transport close" and client.mode != "polling")


async def reason_of(watcher: Client, tag: str) -> str | None:
    """Wait until the server knows why the client with this tag left."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + WAIT
    while (reason := await watcher.call("reason_of", tag)) is None and loop.time() < deadline:
        await asyncio.sleep(0.01)
    return reason


async def test_a_rooms_event_reaches_its_members_and_nobody_else(
    server: Server, kind: str, mode: str
) -> None:
    room = next(tags)
    async with (
        connected(server.url, kind, mode) as member,
        connected(server.url, kind, mode) as leaver,
        connected(server.url, kind, mode) as stranger,
    ):
        told = [client.arrivals("told") for client in (member, leaver, stranger)]
        assert await member.call("join", room) == [room]
        assert await leaver.call("join", room) == [room]
        await stranger.emit("tell", room, "both")
        assert await arrived(told[0]) == ("both",)
        assert await arrived(told[1]) == ("both",)
        assert await leaver.call("leave", room) == []
        await stranger.emit("tell", room, b"one")
        assert await arrived(told[0]) == (b"one",)
        await leaver.call("echo")
        await stranger.call("echo")
        assert told[1].empty()
        assert told[2].empty()


async def test_five_hundred_messages_each_way_keep_their_order(client: Client) -> None:
    numbers = client.arrivals("number")
    await client.connect()
    await client.emit("has_upgraded")
    await client.emit("count", 0, 500)
    for number in range(500):
        await client.emit("item", number)
    assert await client.call("collected") == list(range(500))
    heard = [(await arrived(numbers))[0] for _ in range(500)]
    if client.kind == "sync":
        heard.sort()  # that client handles each event in a thread of its own
    assert heard == list(range(500))


async def test_the_server_knows_the_transport(client: Client) -> None:
    await client.connect()
    assert await client.call("transport") == ("polling" if client.mode == "polling" else "websocket")


@pytest.mark.parametrize("way", WAYS)
async def test_clients_come_back_when_the_server_does(way: str) -> None:
    options: dict[str, Any] = {
        "reconnection": True,
        "reconnection_delay": 0.1,
        "reconnection_delay_max": 0.3,
        "randomization_factor": 0,
    }
    ways = [(kind, mode) for kind in KINDS for mode in MODES]
    name = WAYS[way]
    with serve(TARGET, server=name, args=QUICK_STOP.get(name, ())) as server, ExitStack() as again:
        # It closes before the server stops: to close a client that is about to reconnect may never end, as
        # python-socketio forgets that when the task for it begins.
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(
                    connected(server.url, kind, mode, client_options=options, auth={"token": kind + mode})
                )
                for kind, mode in ways
            ]
            gone = [client.arrivals("disconnect") for client in clients]
            back = [client.arrivals("connect") for client in clients]
            await asyncio.to_thread(again.enter_context, restarted(server))
            done = await asyncio.gather(*(arrived(queue) for queue in back), return_exceptions=True)
            stayed_away = {
                way: left.get_nowait()
                for way, left, outcome in zip(ways, gone, done, strict=True)
                if isinstance(outcome, Exception)
            }
            if name == "uvicorn":
                # python-engineio takes the close packet that answers its poll for the server's last word.
                assert {mode for _, mode in stayed_away} == {"polling"}
            else:
                assert stayed_away == {}
            came_back = [
                (client, way) for client, way in zip(clients, ways, strict=True) if way not in stayed_away
            ]
            for client, (kind, mode) in came_back:
                assert (await client.call("auth"))["token"] == kind + mode
