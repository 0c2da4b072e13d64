"""What python-socketio's and python-engineio's own asyncio tests say of the public behaviour.

Their tests look at doubles of the engine and at private methods; these say the same of real sessions, as far
as no other module does. Most run with python-socketio's client manager as well.
"""

from __future__ import annotations

import asyncio
import datetime
import json
from typing import Any

import pytest
import socketio
from socketio import msgpack_packet

from asyncsock import ASGIApp, AsyncServer
from tests.support.asgi_in_process import Socket, other, request
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Environ, MsgPackClient, connected, opened


def parsed(packet: str) -> Any:
    return json.loads(packet[packet.index("[") :])


async def registered(server: AsyncServer, how: str, handler: Any) -> None:
    if how == "on":
        server.on("say", handler)
    elif how == "on, decorating":
        server.on("say")(handler)
    elif how == "event":
        server.event(handler)
    else:
        server.event()(handler)


# Registration


@pytest.mark.parametrize("how", ["on", "on, decorating", "event", "event, called"])
async def test_a_handler_is_registered_in_each_way(any_server: AsyncServer, how: str) -> None:
    async def say(sid: str, data: Any) -> Any:
        return data

    await registered(any_server, how, say)
    async with connected(any_server) as client:
        assert await client.ask("say", "hello") == ["hello"]


async def test_a_handler_is_registered_for_a_namespace_in_each_way(any_server: AsyncServer) -> None:
    @any_server.on("one", namespace="/chat")
    async def first(sid: str) -> int:
        return 1

    @any_server.event(namespace="/chat")
    async def two(sid: str) -> int:
        return 2

    any_server.on("three", lambda sid: 3, "/chat")
    async with connected(any_server, "/chat") as client:
        for number, event in enumerate(("one", "two", "three"), 1):
            client.send(f'42/chat,7["{event}"]')
            assert await client.receive() == f"43/chat,7[{number}]"


class Synchronous(socketio.Namespace):
    """A namespace for python-socketio's servers that are not for asyncio."""


@pytest.mark.parametrize("handler", [123, object, object(), socketio.Namespace, Synchronous("/chat")])
def test_what_is_no_namespace_for_asyncio_is_refused(server: AsyncServer, handler: Any) -> None:
    with pytest.raises(ValueError):
        server.register_namespace(handler)


def test_on_another_event_loop_library_is_no_question(server: AsyncServer) -> None:
    assert server.is_asyncio_based()
    assert server.async_mode == "asgi"
    assert server.eio.is_asyncio_based()


# Connecting


@pytest.mark.parametrize("packet", ["40", "40/,"])
async def test_the_main_namespace_is_there_without_handlers(any_server: AsyncServer, packet: str) -> None:
    async with opened(any_server) as client:
        client.send(packet)
        assert (await client.receive())[:3] == "40{"
        client.send("40/chat,")
        assert (await client.receive())[:3] == "44/"


async def test_only_the_namespaces_that_are_named_are_there(any_server: AsyncServer) -> None:
    named = AsyncServer(namespaces=["/chat"], client_manager=type(any_server.manager)())
    async with opened(named) as client:
        client.send("40")
        assert (await client.receive())[:3] == "44{"
        client.send("40/chat,")
        assert (await client.receive())[:8] == "40/chat,"


async def test_every_namespace_is_there_where_all_are_named(any_server: AsyncServer) -> None:
    everywhere = AsyncServer(namespaces="*", client_manager=type(any_server.manager)())
    async with connected(everywhere, "/", "/chat", "/game") as client:
        assert len(set(client.sids.values())) == 3
        for namespace, sid in client.sids.items():
            assert everywhere.manager.is_connected(sid, namespace)
        assert set(everywhere.manager.get_namespaces()) == {"/", "/chat", "/game"}


async def test_pythons_own_connection_refused_error_refuses(any_server: AsyncServer) -> None:
    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        raise ConnectionRefusedError("of Python")

    async with opened(any_server) as client:
        client.send("40")
        assert await client.receive() == '44{"message":"Connection refused by server"}'


async def test_a_refusal_names_its_namespace(any_server: AsyncServer) -> None:
    any_server.on("connect", lambda sid, environ: False, namespace="/chat")
    async with opened(any_server) as client:
        client.send("40/chat,")
        assert await client.receive() == '44/chat,{"message":"Connection rejected by server"}'
        await client.connect()


async def test_a_refused_client_may_try_again(any_server: AsyncServer) -> None:
    any_server.on("connect", lambda sid, environ, auth: auth == {"password": "right"})
    async with opened(any_server) as client:
        client.send('40{"password":"wrong"}')
        assert (await client.receive())[:3] == "44{"
        await client.connect(auth={"password": "right"})


async def test_the_connect_handler_may_enter_rooms(any_server: AsyncServer) -> None:
    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        await any_server.enter_room(sid, "lobby")
        rooms.append(any_server.rooms(sid))

    rooms: list[Any] = []
    async with connected(any_server) as client:
        assert {frozenset(one) for one in rooms} == {frozenset([client.sid, "lobby"])}
        await any_server.emit("news", to="lobby")
        assert await client.event() == ["news"]


@pytest.mark.skipif(not hasattr(socketio.AsyncManager, "is_pre_connected"), reason="not in this version")
async def test_a_client_is_pre_connected_while_its_connect_handler_runs(any_server: AsyncServer) -> None:
    @any_server.event
    async def connect(sid: str, environ: Environ) -> None:
        manager = any_server.manager
        states.append((manager.is_pre_connected(sid, "/"), manager.is_connected(sid, "/")))
        states.append((manager.is_pre_connected(sid, "/other"), manager.is_pre_connected("nobody", "/")))

    states: list[Any] = []
    async with connected(any_server) as client:
        assert states == [(True, False), (False, False)]
        assert not any_server.manager.is_pre_connected(client.sid, "/")
        assert any_server.manager.is_connected(client.sid, "/")


async def test_the_environ_is_that_of_the_clients_request(any_server: AsyncServer) -> None:
    any_server.on("any", lambda sid: None, namespace="/chat")
    async with connected(any_server, "/", "/chat") as client:
        for namespace, sid in client.sids.items():
            environ = any_server.get_environ(sid, namespace)
            assert environ["PATH_INFO"] == "/socket.io/"
        assert any_server.environ[client.eio_sid] is any_server.get_environ(client.sid)
        assert any_server.get_environ("nobody") is None


# Events


async def test_each_event_goes_to_its_most_specific_handler(any_server: AsyncServer) -> None:
    calls: list[Any] = []

    def note(name: str) -> Any:
        return lambda *args: calls.append((name, *args))

    any_server.namespaces = "*"
    any_server.on("connect", lambda namespace, sid, environ: calls.append(("connect", namespace, sid)), "*")
    any_server.on("msg", note("msg /foo"), "/foo")
    any_server.on("msg", note("msg *"), "*")
    any_server.on("*", note("* /foo"), "/foo")
    any_server.on("*", note("* *"), "*")
    any_server.on("disconnect", note("disconnect"), "*")
    async with connected(any_server, "/foo", "/bar") as client:
        foo, bar = client.sids["/foo"], client.sids["/bar"]
        for packet in ('42/foo,["msg",1]', '42/bar,["msg",1]', '42/foo,["my message",1]', '42/bar,["any",1]'):
            client.send(packet)
        client.send("41/bar,")
        await client.packets()
    assert calls[:2] == [("connect", "/foo", foo), ("connect", "/bar", bar)]
    assert calls[2:7] == [
        ("msg /foo", foo, 1),
        ("msg *", "/bar", bar, 1),
        ("* /foo", "my message", foo, 1),
        ("* *", "any", "/bar", bar, 1),
        ("disconnect", "/bar", bar, "client disconnect"),
    ]


async def test_an_event_that_nobody_handles_is_not_acknowledged(any_server: AsyncServer) -> None:
    any_server.on("known", lambda sid: "answer")
    async with connected(any_server) as client:
        client.send('421000["unknown","a"]')
        client.send('421001["known"]')
        assert await client.receive() == '431001["answer"]'


async def test_an_event_without_an_id_is_not_acknowledged(any_server: AsyncServer) -> None:
    any_server.on("say", lambda sid: "answer")
    async with connected(any_server) as client:
        client.send('42["say"]')
        assert await client.ask("say") == ["answer"]
        assert await client.packets() == []


@pytest.mark.parametrize(
    ("result", "packets"),
    [
        (b"one", ['461-7[{"_placeholder":true,"num":0}]', b"one"]),
        ((b"one", 2), ['461-7[{"_placeholder":true,"num":0},2]', b"one"]),
        ({"a": [b"1"]}, ['461-7[{"a":[{"_placeholder":true,"num":0}]}]', b"1"]),
    ],
    ids=repr,
)  # fmt: skip
async def test_binary_results_are_acknowledged(any_server: AsyncServer, result: Any, packets: Any) -> None:
    any_server.on("say", lambda sid: result)
    async with connected(any_server) as client:
        client.send('427["say"]')
        assert [await client.receive() for _ in packets] == packets


async def test_a_handler_gets_binary_arguments(any_server: AsyncServer) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()
    any_server.on("say", lambda sid, *args: got.put_nowait(args))
    async with connected(any_server) as client:
        client.send('452-["say",{"a":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0},3]')
        client.send(b"first")
        client.send(b"second")
        assert await within(got.get()) == ({"a": b"second"}, b"first", 3)


async def test_a_client_that_the_server_disconnects_amid_attachments_may_come_back(
    any_server: AsyncServer,
) -> None:
    any_server.on("say", lambda sid, data: pytest.fail("the client had left"))
    async with connected(any_server) as client:
        client.send('452-["say",[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]]')
        client.send(b"first")
        assert await client.packets() == []
        await any_server.disconnect(client.sid)
        assert await client.receive() == "41"
        client.send(b"second")
        await client.connect()
        assert await client.packets() == []


# Sending


@pytest.mark.parametrize(
    ("data", "arguments"),
    [
        (None, []),
        ((), []),
        ("", [""]),
        (0, [0]),
        (False, [False]),
        ([], [[]]),
        ({}, [{}]),
        ([1, 2], [[1, 2]]),
        ((1, [2], {"a": 3}), [1, [2], {"a": 3}]),
        ((None,), [None]),
    ],
    ids=repr,
)
async def test_data_becomes_arguments(any_server: AsyncServer, data: Any, arguments: Any) -> None:
    async with connected(any_server) as client:
        await any_server.emit("news", data)
        await any_server.send(data)
        assert await client.event() == ["news", *arguments]
        assert await client.event() == ["message", *arguments]


async def test_binary_data_follows_in_attachments(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.emit("news", ("a", b"one"))
        assert await client.receive() == '451-["news","a",{"_placeholder":true,"num":0}]'
        assert await client.receive() == b"one"


async def test_an_emit_names_its_namespace(any_server: AsyncServer) -> None:
    any_server.on("any", lambda sid: None, namespace="/chat")
    async with connected(any_server, "/", "/chat") as client:
        await any_server.emit("news", 1, namespace="/chat")
        await any_server.emit("news", 2)
        assert await client.packets() == ['42/chat,["news",1]', '42["news",2]']


async def test_room_is_another_name_for_to_which_wins(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        await any_server.emit("news", 1, room=one.sid)
        await any_server.emit("news", 2, to=two.sid, room=one.sid)
        assert (await one.events(), await two.events()) == ([["news", 1]], [["news", 2]])


async def test_an_emit_to_a_namespace_where_nobody_is_reaches_nobody(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        await any_server.emit("news", namespace="/nobody")
        await any_server.emit("news", to=client.sid, namespace="/nobody")
        assert await client.packets() == []


async def test_a_callback_gets_what_a_client_answers_in_its_namespace(any_server: AsyncServer) -> None:
    any_server.on("any", lambda sid: None, namespace="/chat")
    answers: asyncio.Queue[Any] = asyncio.Queue()
    async with connected(any_server, "/chat") as client:
        sid = client.sids["/chat"]
        await any_server.emit(
            "ask", to=sid, namespace="/chat", callback=lambda *args: answers.put_nowait(args)
        )
        packet = await client.receive()
        client.send(f"43{packet[2 : packet.index('[')]}[1,[2]]")
        assert await within(answers.get()) == (1, [2])


async def test_the_callbacks_of_a_client_that_left_are_forgotten(any_server: AsyncServer) -> None:
    called: list[Any] = []
    async with connected(any_server) as client:
        await any_server.emit("ask", to=client.sid, callback=lambda *args: called.append(args))
        packet = await client.receive()
        client.send("41")
        await client.connect()
        client.send(f"43{packet[2 : packet.index('[')]}[1]")
        await client.packets()
    assert called == []


@pytest.mark.parametrize(("answer", "result"), [("[]", None), ("[1]", 1), ("[1,2]", (1, 2)), ("[[1]]", [1])])
async def test_call_returns_what_the_client_answers(
    any_server: AsyncServer, answer: str, result: Any
) -> None:
    async with connected(any_server) as client:
        for whom in ({"to": client.sid}, {"sid": client.sid}):
            question = asyncio.ensure_future(any_server.call("ask", **whom))
            packet = await client.receive()
            client.send(f"43{packet[2 : packet.index('[')]}{answer}")
            assert await within(question) == result


# Rooms, sessions and disconnecting


async def test_rooms_are_of_the_namespace_that_is_named(any_server: AsyncServer) -> None:
    any_server.on("any", lambda sid: None, namespace="/chat")
    async with connected(any_server, "/", "/chat") as client:
        sid = client.sids["/chat"]
        await any_server.enter_room(sid, "lobby", namespace="/chat")
        assert set(any_server.rooms(sid, namespace="/chat")) == {sid, "lobby"}
        assert set(any_server.rooms(client.sid)) == {client.sid}
        await any_server.leave_room(sid, "lobby", namespace="/chat")
        await any_server.enter_room(sid, "game", namespace="/chat")
        await any_server.close_room("game", namespace="/chat")
        assert set(any_server.rooms(sid, namespace="/chat")) == {sid}


async def test_a_session_that_is_changed_in_place_is_kept(any_server: AsyncServer) -> None:
    async with connected(any_server) as client:
        session = await any_server.get_session(client.sid)
        assert session == {}
        session["a"] = 1
        assert await any_server.get_session(client.sid) == {"a": 1}
        await any_server.save_session(client.sid, {"b": 2})
        async with any_server.session(client.sid) as session:
            assert session == {"b": 2}
            session["c"] = 3
        assert await any_server.get_session(client.sid) == {"b": 2, "c": 3}


@pytest.mark.parametrize("ignore_queue", [False, True])
async def test_disconnecting_twice_is_disconnecting_once(any_server: AsyncServer, ignore_queue: bool) -> None:
    reasons: list[Any] = []
    any_server.on("disconnect", lambda sid, reason: reasons.append((sid, reason)), namespace="/chat")
    async with connected(any_server, "/chat") as client:
        sid = client.sids["/chat"]
        for _ in range(2):
            await any_server.disconnect(sid, namespace="/chat", ignore_queue=ignore_queue)
        assert await client.packets() == ["41/chat,"]
        assert reasons == [(sid, "server disconnect")]
        assert not any_server.manager.is_connected(sid, "/chat")


async def test_disconnecting_in_another_namespace_does_nothing(any_server: AsyncServer) -> None:
    any_server.on("any", lambda sid: None, namespace="/chat")
    async with connected(any_server, "/", "/chat") as client:
        await any_server.disconnect(client.sid, namespace="/chat")
        assert await client.packets() == []


async def test_when_all_have_left_there_are_no_namespaces(any_server: AsyncServer) -> None:
    async with connected(any_server) as one, connected(any_server) as two:
        for client in (one, two):
            await any_server.enter_room(client.sid, "lobby")
            await any_server.disconnect(client.sid)
        assert list(any_server.manager.get_namespaces()) == []
        assert list(any_server.manager.get_participants("/", "lobby")) == []


async def test_sleep_gives_way_to_others(any_server: AsyncServer) -> None:
    order: list[str] = []

    async def task() -> None:
        order.append("task")

    running = any_server.start_background_task(task)
    await any_server.sleep(0.001)
    order.append("slept")
    await running
    assert order == ["task", "slept"]


# Class-based namespaces


class Chat(socketio.AsyncNamespace):
    """Uses each of its methods once."""

    async def on_room(self, sid: str) -> Any:
        await self.enter_room(sid, "lobby")
        entered = set(self.rooms(sid)) == {sid, "lobby"}
        await self.emit("to the room", to="lobby")
        await self.leave_room(sid, "lobby")
        await self.enter_room(sid, "game")
        await self.close_room("game")
        return entered, self.rooms(sid) == [sid]

    async def on_store(self, sid: str) -> Any:
        await self.save_session(sid, {"a": 1})
        async with self.session(sid) as session:
            session["b"] = 2
        return await self.get_session(sid)

    async def on_say(self, sid: str, text: str) -> None:
        await self.send(text, to=sid)
        await self.emit("elsewhere", text, namespace="/")

    async def on_ask(self, sid: str) -> Any:
        return await self.call("question", to=sid, timeout=5)

    def on_kick(self, sid: str) -> Any:
        return self.disconnect(sid)


@pytest.fixture
async def chatting(any_server: AsyncServer) -> AsyncServer:
    any_server.register_namespace(Chat("/chat"))
    return any_server


async def test_a_namespaces_room_methods_are_of_its_namespace(chatting: AsyncServer) -> None:
    async with connected(chatting, "/", "/chat") as client:
        client.send('42/chat,7["room"]')
        assert await client.receive() == '42/chat,["to the room"]'
        assert await client.receive() == "43/chat,7[true,true]"


async def test_a_namespaces_session_methods_are_of_its_namespace(chatting: AsyncServer) -> None:
    async with connected(chatting, "/", "/chat") as client:
        client.send('42/chat,7["store"]')
        assert parsed(await client.receive()) == [{"a": 1, "b": 2}]
        assert await chatting.get_session(client.sid) == {}


async def test_a_namespace_sends_to_its_own_and_to_others(chatting: AsyncServer) -> None:
    async with connected(chatting, "/", "/chat") as client:
        client.send('42/chat,["say","hello"]')
        assert await client.receive() == '42/chat,["message","hello"]'
        assert await client.receive() == '42["elsewhere","hello"]'


async def test_a_namespace_calls_its_client(chatting: AsyncServer) -> None:
    async with connected(chatting, "/chat") as client:
        client.send('42/chat,7["ask"]')
        packet = await client.receive()
        client.send(f"43{packet[2 : packet.index('[')]}[42]")
        assert await client.receive() == "43/chat,7[42]"


async def test_a_namespace_disconnects_its_client(chatting: AsyncServer) -> None:
    async with connected(chatting, "/", "/chat") as client:
        client.send('42/chat,["kick"]')
        assert await client.receive() == "41/chat,"
        assert chatting.manager.is_connected(client.sid, "/")


async def test_an_event_that_a_namespace_has_no_method_for_is_not_acknowledged(chatting: AsyncServer) -> None:
    async with connected(chatting, "/chat") as client:
        client.send('42/chat,7["unknown"]')
        client.send('42/chat,8["store"]')
        assert (await client.receive())[:9] == "43/chat,8"


# Serializers


@pytest.mark.skipif(
    not hasattr(msgpack_packet.MsgPackPacket, "configure"), reason="not in this python-socketio"
)
async def test_the_msgpack_packet_may_be_configured() -> None:
    def as_text(value: Any) -> str:
        return value.isoformat()  # type: ignore[no-any-return]

    packet = msgpack_packet.MsgPackPacket.configure(dumps_default=as_text)
    server = AsyncServer(serializer=packet)
    async with Socket(server.handle_request) as socket:
        await socket.receive()
        client = MsgPackClient(socket)
        client.send(0)
        await client.receive()
        await server.emit("day", datetime.date(2024, 2, 29))
        assert await client.receive() == (2, ["day", "2024-02-29"], None)


# The ASGI application


async def test_a_lifespan_message_of_another_kind_is_ignored() -> None:
    app = ASGIApp(AsyncServer())
    messages = iter(["lifespan.startup", "lifespan.foo", "lifespan.shutdown"])
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": next(messages)}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    await within(app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_routing_may_be_somebody_elses() -> None:
    served = ASGIApp(AsyncServer(), other, socketio_path=None)

    async def dispatch(scope: Any, receive: Any, send: Any) -> None:
        app = other if scope["path"].startswith("/foo") else served
        await app(scope, receive, send)

    assert (await request(dispatch, path="/foo/bar")).text == "other /foo/bar"
    assert (await request(dispatch, path="/eio/")).text[0] == "0"


async def test_what_is_sent_to_a_session_that_has_ended_is_dropped(server: AsyncServer) -> None:
    async with opened(server) as client:
        await server.eio.disconnect(client.eio_sid)
        await server.eio.send(client.eio_sid, "late")
        await server.eio.disconnect(client.eio_sid)
        assert client.eio_sid not in server.eio.sessions
