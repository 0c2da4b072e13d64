"""What one server does with the clients and the servers of all processes."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from socketio.exceptions import TimeoutError as SocketIOTimeoutError

from asyncsock import AnswersMissing, AsyncServer, RemoteSocket
from asyncsock.cluster.envelope import Role
from asyncsock.operations import remote_socket
from asyncsock.queues import from_url
from tests.support.cluster_in_process import eventually, servers, started
from tests.support.log_records import errors, recorded
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Client, connected, msgpack_client


@pytest.fixture(params=["local", "redis"])
def url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_broker").url)


class Both:
    """Two servers that share a queue, with a client of each in the namespaces that are asked for."""

    def __init__(self, found: list[AsyncServer], clients: list[Client]) -> None:
        self.here, self.there = found
        self.near, self.far = clients


@asynccontextmanager
async def both(url: str, channel: str, *namespaces: str, **options: Any) -> AsyncIterator[Both]:
    async with AsyncExitStack() as stack:
        found = await stack.enter_async_context(servers(url, channel, 2, **options))
        clients = [await stack.enter_async_context(connected(server, *namespaces)) for server in found]
        yield Both(found, clients)


async def answer(client: Client, *arguments: Any) -> Any:
    """Acknowledge the next event, and return it."""
    packet = await within(client.receive())
    start = packet.index("[")
    client.send(f"43{packet[2:start]}{json.dumps(arguments)}")
    return json.loads(packet[start:])


def sids(found: list[RemoteSocket]) -> list[str]:
    return sorted(each.sid for each in found)


# fetch_sockets


async def test_all_clients_are_found(url: str, channel: str) -> None:
    before = time.time()
    async with both(url, channel) as pair:
        await pair.there.save_session(pair.far.sid, {"user": "ann", "tags": [1, None, b"x"]})
        await pair.there.enter_room(pair.far.sid, "room")
        await pair.there.enter_room(pair.far.sid, 5)
        near, far = sorted(await within(pair.here.fetch_sockets()), key=lambda each: each.sid == pair.far.sid)
        assert (near.sid, near.namespace, near.rooms, near.session) == (pair.near.sid, "/", [near.sid], {})
        assert (far.sid, far.rooms) == (pair.far.sid, [far.sid, "room", 5])
        assert far.session == {"user": "ann", "tags": [1, None, b"x"]}
        assert before <= near.connect_time <= far.connect_time <= time.time()
        assert near.remote_addr == far.remote_addr == "127.0.0.1"


async def test_clients_are_found_by_room_by_sid_and_by_lists_of_them(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        await pair.there.enter_room(pair.far.sid, "room")
        fetch = pair.here.fetch_sockets
        assert sids(await within(fetch(to="room"))) == [pair.far.sid]
        assert sids(await within(fetch(to=pair.far.sid))) == [pair.far.sid]
        assert sids(await within(fetch(to=pair.near.sid))) == [pair.near.sid]
        everybody = sorted([pair.near.sid, pair.far.sid])
        assert sids(await within(fetch(to=["room", pair.near.sid]))) == everybody
        assert sids(await within(fetch(to=("room", pair.near.sid, None)))) == everybody
        assert await within(fetch(to="nobody")) == []
        assert await within(fetch(to=[])) == []
        assert await within(fetch(namespace="/other")) == []
        with pytest.raises(TypeError, match="it has to be a room"):
            await fetch(to={})
        with pytest.raises(TypeError, match="cannot be sent through a message queue"):
            await fetch(to=object())


async def test_clients_that_are_connecting_or_leaving_are_not_found(url: str, channel: str) -> None:
    async with servers(url, channel, 2, namespaces=["/"]) as (here, there):
        entered, release = asyncio.Event(), asyncio.Event()

        async def wait(*_: Any) -> None:
            entered.set()
            await release.wait()

        there.on("connect", wait)
        there.on("disconnect", wait)
        async with AsyncExitStack() as stack:
            connecting = asyncio.create_task(stack.enter_async_context(connected(there)))
            await within(entered.wait())
            assert await within(here.fetch_sockets()) == []
            release.set()
            client = await within(connecting)
            assert sids(await within(here.fetch_sockets())) == [client.sid]
            release.clear()
            entered.clear()
            client.send("41")
            await within(entered.wait())
            assert await within(here.fetch_sockets()) == []
            release.set()


async def test_what_cannot_be_sent_of_a_session_is_one_warning(
    url: str, channel: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote_socket, "_warned_at", -remote_socket.WARNING_INTERVAL)
    async with both(url, channel) as pair:
        for strange in ({"x": object()}, {object(): 1}, {"x": 2**70}, {"x": "\ud83d"}):
            await pair.there.save_session(pair.far.sid, strange)
            for room in ((1, 2), "\ud83d", 2**70, "plain"):
                await pair.there.enter_room(pair.far.sid, room)
            (found,) = await within(pair.here.fetch_sockets(to=["plain"]))
            assert (found.session, found.rooms) == ({}, [pair.far.sid, "plain"])
            (own,) = await within(pair.there.fetch_sockets(to=["plain"]))
            assert own.session == strange
            assert len(own.rooms) == 5
    assert len(recorded(caplog, logging.WARNING)) == 1
    assert "cannot be sent to another process" in caplog.text


async def test_an_answer_that_is_missing_is_an_error_with_the_others(
    url: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(url, channel) as pair:
        pair.there.eio.sessions[pair.far.eio_sid].user_session = {"/": {"x": "x" * 20_000_000}}
        with pytest.raises(AnswersMissing) as raised:
            await within(pair.here.fetch_sockets())
        assert (sids(raised.value.answers), raised.value.missing) == ([pair.near.sid], 1)
        assert len(errors(caplog)) == 1


# sockets_join, sockets_leave


async def test_clients_join_and_leave_rooms_in_order_with_events(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        for number in range(20):
            pair.here.emit("said", [number, "before"], to="room")
            pair.here.sockets_join("room")
            pair.here.emit("said", [number, "within"], to="room")
            pair.here.sockets_leave("room", to=[pair.near.sid, pair.far.sid])
        for client in (pair.near, pair.far):
            expected = [["said", [number, "within"]] for number in range(20)]
            assert [await within(client.event()) for _ in expected] == expected


async def test_a_room_may_have_any_name_that_json_has(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        for room in ("half \ud83d", 2**70, 1.5, True, ""):
            await pair.here.sockets_join(room, to=[pair.far.sid])
            assert sids(await within(pair.here.fetch_sockets(to=[room]))) == [pair.far.sid]
            await pair.here.sockets_leave(room, to=[room])
        assert await within(pair.here.fetch_sockets(to=["half \ud83d", 2**70, 1.5, True, ""])) == []


async def test_several_rooms_are_joined_and_left_at_once(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        await pair.here.sockets_join(["a", "b", 3])
        await pair.here.sockets_leave(("a", 3), to=pair.far.sid)
        rooms = {each.sid: each.rooms for each in await within(pair.here.fetch_sockets())}
        assert rooms == {
            pair.near.sid: [pair.near.sid, "a", "b", 3],
            pair.far.sid: [pair.far.sid, "b"],
        }


async def test_a_clients_own_room_and_what_is_no_room_are_refused(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        with pytest.raises(ValueError, match="sid room"):
            pair.here.sockets_join(pair.far.sid, to=pair.near.sid)
        for strange in ([["list"]], object(), {"x": 1}):
            with pytest.raises(TypeError):
                pair.here.sockets_join(strange)
        assert [each.rooms for each in await within(pair.here.fetch_sockets(to=pair.near.sid))] == [
            [pair.near.sid]
        ]


async def test_clients_that_may_not_enter_one_room_more_are_one_log_line(
    url: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(url, channel, max_rooms=1) as pair:
        await pair.there.enter_room(pair.far.sid, "one")
        await pair.here.sockets_join(["two", "three"], to=["one"])
        assert [each.rooms for each in await within(pair.here.fetch_sockets(to="one"))] == [
            [pair.far.sid, "one"]
        ]
    (line,) = recorded(caplog, logging.WARNING)
    assert "refused 2 times" in line


# disconnect_sockets


async def test_clients_are_disconnected_after_what_was_emitted_before(url: str, channel: str) -> None:
    async with both(url, channel, "/", "/other", namespaces=["/", "/other"]) as pair:
        reasons: list[str] = []
        pair.here.on("disconnect", lambda sid, reason: reasons.append(reason))
        pair.here.emit("said", 1)
        await within(pair.here.disconnect_sockets())
        assert reasons == ["server disconnect"]
        for client in (pair.near, pair.far):
            assert await within(client.event()) == ["said", 1]
            assert await within(client.receive()) == "41"
        assert await within(pair.here.fetch_sockets()) == []
        assert len(await within(pair.here.fetch_sockets(namespace="/other"))) == 2


async def test_the_connections_can_be_closed_too(url: str, channel: str) -> None:
    async with both(url, channel, "/", "/other", namespaces=["/", "/other"]) as pair:
        await within(pair.here.disconnect_sockets(to=pair.far.sid, close=True))
        assert await within(pair.far.receive()) == "41"
        await eventually(lambda: not pair.there.eio.sessions)
        assert sids(await within(pair.here.fetch_sockets())) == [pair.near.sid]
        assert len(await within(pair.here.fetch_sockets(namespace="/other"))) == 1


# Clients that have lost their connections and may come back


@pytest.mark.parametrize("to", [None, "room", ["other", "room"], "sid"])
async def test_who_is_away_leaves_rooms_too_and_does_not_come_back_when_it_was_disconnected(
    url: str, channel: str, to: Any
) -> None:
    async with both(url, channel, connection_state_recovery=True) as pair:
        await pair.there.enter_room(pair.far.sid, "room")
        to = pair.far.sid if to == "sid" else to
        recovery = pair.there.manager.recovery
        await pair.far.leave()
        (parked,) = recovery.parked()
        await pair.here.sockets_leave("room", to=to)
        await eventually(lambda: not parked.rooms)
        await pair.here.disconnect_sockets(to=None if to in (None, "room") else pair.far.sid)
        await eventually(lambda: not recovery.parked())


# call_all


async def test_everybody_answers(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        heard: list[Any] = []
        calling = asyncio.create_task(
            pair.here.call_all("ask", ("a", 1), timeout=30, callback=lambda *args: heard.append(args))
        )
        assert await answer(pair.near) == ["ask", "a", 1]
        assert await answer(pair.far, "far", {"x": 1}) == ["ask", "a", 1]
        answers = await within(calling)
        assert sorted(answers, key=str) == [("far", {"x": 1}), None]
        assert sorted(heard, key=str) == [("far", {"x": 1}), ()]


async def test_those_in_a_room_answer_but_for_those_who_are_left_out(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        await pair.here.sockets_join("room")
        for skipped, asked in ((pair.near, pair.far), (pair.far, pair.near)):
            calling = asyncio.create_task(pair.here.call_all("ask", to="room", skip_sid=skipped.sid))
            assert await answer(asked, "x") == ["ask"]
            assert await within(calling) == ["x"]
        assert await within(pair.here.call_all("ask", to="nobody")) == []
        assert await within(pair.here.call_all("ask", namespace="/other")) == []


async def test_binary_data_go_both_ways(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        calling = asyncio.create_task(pair.here.call_all("ask", {"x": b"question"}, to=pair.far.sid))
        assert await within(pair.far.receive()) == '451-1["ask",{"x":{"_placeholder":true,"num":0}}]'
        assert await within(pair.far.receive()) == b"question"
        pair.far.send('461-1[{"_placeholder":true,"num":0}]')
        pair.far.send(b"answer")
        assert await within(calling) == [b"answer"]


async def test_answers_that_do_not_come_are_counted(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        calling = asyncio.create_task(pair.here.call_all("ask", timeout=0.5))
        await answer(pair.far, "far")
        with pytest.raises(SocketIOTimeoutError) as raised:
            await within(calling)
        assert isinstance(raised.value, AnswersMissing)
        assert (raised.value.answers, raised.value.missing) == (["far"], 1)
        assert not pair.here.manager.clients[pair.near.sid].callbacks  # nobody waits for it any more


async def test_clients_that_leave_are_not_waited_for(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        calling = asyncio.create_task(pair.here.call_all("ask", timeout=None))
        for client in (pair.near, pair.far):
            await within(client.receive())
        pair.near.send("41")
        await pair.far.leave()
        assert await within(calling) == []


async def test_clients_of_a_server_that_stops_are_not_waited_for(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        calling = asyncio.create_task(pair.here.call_all("ask", timeout=None))
        await within(pair.far.receive())
        await answer(pair.near, "near")
        await pair.there.cluster.stop()
        assert await within(calling) == ["near"]


async def test_a_coroutine_may_take_each_answer(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        heard: asyncio.Queue[Any] = asyncio.Queue()
        calling = asyncio.create_task(pair.here.call_all("ask", to=pair.far.sid, callback=heard.put))
        await answer(pair.far, "far")
        assert await within(heard.get()) == "far"
        assert await within(calling) == ["far"]


async def test_data_that_cannot_be_sent_are_refused_at_the_call(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        with pytest.raises(TypeError, match="ask"):
            await pair.here.call_all("ask", object())
        with pytest.raises(TypeError, match="it has to be a room"):
            await pair.here.call_all("ask", to={})
        assert await pair.near.packets() == []


async def test_no_answer_could_be_handled_where_handlers_run_in_turn() -> None:
    server = AsyncServer(async_handlers=False)
    with pytest.raises(RuntimeError, match=r"call_all\(\) when async_handlers"):
        await server.call_all("ask")


async def test_clients_that_speak_msgpack_answer(url: str, channel: str) -> None:
    async with servers(url, channel, 2, serializer="msgpack") as (here, there), msgpack_client(there) as far:
        calling = asyncio.create_task(here.call_all("ask", {"x": b"1"}))
        kind, data, id = await within(far.receive())
        assert (kind, data) == (2, ["ask", {"x": b"1"}])
        far.send(3, ["answer", b"2"], id)
        assert await within(calling) == [("answer", b"2")]


# server_side_emit


async def test_an_event_reaches_the_other_servers_in_order(url: str, channel: str) -> None:
    async with servers(url, channel, 3) as found:
        heard: list[tuple[int, Any]] = []
        for index, server in enumerate(found):
            server.on_server_side("event")(lambda *args, index=index: heard.append((index, args)))
            server.on_server_side("event", namespace="/other")(lambda *args: pytest.fail("other namespace"))
        for number in range(50):
            found[0].server_side_emit("event", number, {"x": b"y"})
        found[0].server_side_emit("nobody handles this")
        await eventually(lambda: len(heard) == 100)
        for index in (1, 2):
            got = [args for at, args in heard if at == index]
            assert got == [(number, {"x": b"y"}) for number in range(50)]


async def test_the_handlers_of_the_other_servers_answer(url: str, channel: str) -> None:
    async with servers(url, channel, 4) as found:

        @found[0].on_server_side("sum", namespace="/math")
        @found[1].on_server_side("sum", namespace="/math")
        async def add(*numbers: int) -> int:
            await asyncio.sleep(0)
            return sum(numbers)

        found[2].on_server_side("sum", namespace="/math")(lambda *numbers: {"sum": sum(numbers)})
        answers = await within(found[0].server_side_emit("sum", 1, 2, namespace="/math", ack=True))
        assert sorted(answers, key=str) == [3, {"sum": 3}]  # the fourth server has no such handler


async def test_a_handler_that_fails_or_hangs_is_missing(
    url: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with servers(url, channel, 4) as (asking, *others):
        hanging = asyncio.Event()

        @others[0].on_server_side("ask")
        async def hang() -> None:
            await hanging.wait()

        @others[1].on_server_side("ask")
        def leave() -> None:
            raise SystemExit(3)

        others[2].on_server_side("ask")(lambda: "answer")
        with pytest.raises(AnswersMissing) as raised:
            await within(asking.server_side_emit("ask", ack=True, timeout=0.5))
        assert (raised.value.answers, raised.value.missing) == (["answer"], 2)
        hanging.set()
    assert errors(caplog) == ["SystemExit(3)"]


async def test_an_argument_that_cannot_be_sent_is_refused_at_the_call(url: str, channel: str) -> None:
    async with started(url, channel) as server:
        with pytest.raises(TypeError, match="event"):
            server.server_side_emit("event", object())
        with pytest.raises(TypeError, match="event"):
            await server.server_side_emit("event", object(), ack=True)


# Bad input


EVERYBODY = b'["/",null,null]'
MALFORMED: list[tuple[str, dict[str, Any]]] = [
    ("sockets_join", {}),
    ("sockets_join", {"address": "x"}),
    *[("sockets_join", {"address": text}) for text in (b"", b"[", b"5", b"[]", b"[5]", b'["/",{}]', b"\xff")],
    ("sockets_leave", {"address": b'["/",[[]]]'}),
    ("sockets_leave", {"address": b"[" * 100_000}),
    ("disconnect_sockets", {"address": EVERYBODY, "close": "x"}),
    ("fetch_sockets", {"address": b'["/",{}]'}),
    ("server_side", {"address": EVERYBODY, "event": b"", "attachments": []}),
    ("server_side", {"address": EVERYBODY, "event": b"[5]", "attachments": []}),
    ("server_side", {"address": EVERYBODY, "event": b"[]", "attachments": [b"x"]}),
    ("server_side", {"address": b'["/",[[]]]', "event": b'["event"]', "attachments": []}),
    *[
        ("call_all", {"number": 1, "address": EVERYBODY, "event": event, "attachments": [], "timeout": 1.0})
        for event in (b"", b"[]", b"{}", b"[null]", b"[" * 1000)
    ],
    ("call_all.answer", {"number": 1, "arguments": b"x", "attachments": []}),
    ("call_all.left", {"number": "x"}),
]


async def test_what_is_malformed_is_one_log_line_and_harms_nothing(
    url: str, channel: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(url, channel) as pair:
        heard: list[Any] = []
        pair.there.on_server_side("event")(lambda *args: heard.append(args))
        for kind, message in MALFORMED:
            for role in (Role.TOLD, Role.QUESTION):
                pair.here.cluster._send(kind, role, 10_000, message, None)
        pair.here.server_side_emit("event", "last")
        await eventually(lambda: heard)
        assert heard == [("last",)]
        assert await pair.far.packets() == []
        assert sids(await within(pair.here.fetch_sockets())) == sorted([pair.near.sid, pair.far.sid])
    assert len(recorded(caplog, logging.WARNING)) == 1
    assert not errors(caplog)


# Threads, and processes without a server


async def test_threads_block_until_they_have_the_answer(url: str, channel: str) -> None:
    async with both(url, channel) as pair:
        pair.there.on_server_side("ask")(lambda: "server")

        def work() -> list[Any]:
            found = [sids(pair.here.fetch_sockets())]
            found.append(pair.here.server_side_emit("ask", ack=True))
            pair.here.sockets_join("room")
            found.append(pair.here.call_all("ask", to="room", skip_sid=pair.near.sid))
            pair.here.sockets_leave("room")
            pair.here.disconnect_sockets(to=pair.far.sid)
            return found

        working = asyncio.create_task(asyncio.to_thread(work))
        await answer(pair.far, "client")
        assert await within(working) == [sorted([pair.near.sid, pair.far.sid]), ["server"], ["client"]]
        assert await within(pair.far.receive()) == "41"


async def test_a_process_that_only_writes_can_do_all_that_needs_no_answer(url: str, channel: str) -> None:
    async with started(url, channel) as server, connected(server) as client:
        heard: list[Any] = []
        server.on_server_side("event")(heard.append)
        writer = AsyncServer(client_manager=from_url(url, channel, write_only=True))

        def write() -> None:
            writer.sockets_join(["a", "b"])
            writer.sockets_leave("a", to=client.sid)
            writer.server_side_emit("event", 1)

        await asyncio.to_thread(write)
        await eventually(lambda: heard == [1])
        assert server.rooms(client.sid) == [client.sid, "b"]
        await writer.disconnect_sockets(to="b")
        assert await within(client.receive()) == "41"
        for refused in (
            writer.fetch_sockets,
            lambda: writer.call_all("ask"),
            lambda: writer.server_side_emit("ask", ack=True),
        ):
            with pytest.raises(RuntimeError, match="only writes to the message queue"):
                refused()
