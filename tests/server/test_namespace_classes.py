"""python-socketio's class-based namespaces."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio
from socketio.exceptions import ConnectionRefusedError

from asyncsock import AsyncServer
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import Environ, connected, opened, until


class Chat(socketio.AsyncNamespace):
    """Coroutine and plain methods, all arguments taken."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace)
        self.got: asyncio.Queue[Any] = asyncio.Queue()

    async def on_connect(self, sid: str, environ: Environ, auth: Any) -> None:
        self.got.put_nowait(("connect", sid, auth))

    async def on_disconnect(self, sid: str, reason: str) -> None:
        self.got.put_nowait(("disconnect", sid, reason))

    async def on_say(self, sid: str, text: str) -> str:
        await self.emit("said", text, room=sid)
        return text + "!"

    def on_plain(self, sid: str) -> str:
        return "plain"


class Terse(Chat):
    """The same with what may be left out left out."""

    async def on_connect(self, sid: str, environ: Environ) -> None:  # type: ignore[override]
        self.got.put_nowait(("connect", sid))

    def on_disconnect(self, sid: str) -> None:  # type: ignore[override]
        self.got.put_nowait(("disconnect", sid))


async def test_a_namespace_class_gets_connect_with_auth_and_disconnect_with_its_reason(
    any_server: AsyncServer,
) -> None:
    chat = Chat("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid, {"token": "t"})
        client.send("41/chat,")
        assert await within(chat.got.get()) == ("disconnect", sid, "client disconnect")


async def test_a_namespace_class_may_do_without_auth_and_reason(any_server: AsyncServer) -> None:
    chat = Terse("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid)
        await client.leave()
        assert await within(chat.got.get()) == ("disconnect", sid)


async def test_a_namespace_class_handles_events_with_coroutine_methods(any_server: AsyncServer) -> None:
    any_server.register_namespace(Chat("/chat"))
    async with connected(any_server, "/chat") as client:
        client.send('42/chat,0["say","hello"]')
        assert [await client.receive() for _ in range(2)] == [
            '42/chat,["said","hello"]',
            '43/chat,0["hello!"]',
        ]


async def test_a_namespace_class_handles_events_with_plain_methods(any_server: AsyncServer) -> None:
    any_server.register_namespace(Chat("/chat"))
    async with connected(any_server, "/chat") as client:
        client.send('42/chat,0["plain"]')
        assert await client.receive() == '43/chat,0["plain"]'


async def test_a_namespace_class_ignores_events_that_it_has_no_method_for(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.register_namespace(Chat("/chat"))
    async with connected(server, "/chat") as client:
        client.send('42/chat,["nothing"]')
        client.send('42/chat,0["plain"]')
        assert await client.receive() == '43/chat,0["plain"]'
    assert errors(caplog) == []


async def test_a_namespace_classs_own_type_error_is_reported_as_itself(
    server: AsyncServer, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    class Faulty(socketio.AsyncNamespace):
        async def on_disconnect(self, sid: str, reason: str) -> None:
            calls.append(reason)
            raise TypeError("my own")

    server.register_namespace(Faulty("/chat"))
    async with connected(server, "/chat") as client:
        await client.leave()
        await within(until(lambda: not server.eio.tasks))
    assert len(calls) == 1
    assert errors(caplog) == ["TypeError('my own')"]


async def test_a_namespace_class_may_refuse(any_server: AsyncServer) -> None:
    class Refusing(socketio.AsyncNamespace):
        async def on_connect(self, sid: str, environ: Environ) -> None:
            raise ConnectionRefusedError("no")

    any_server.register_namespace(Refusing("/chat"))
    async with opened(any_server) as client:
        client.send("40/chat,")
        assert await client.receive() == '44/chat,{"message":"no"}'


async def test_a_namespace_class_may_dispatch_by_itself(any_server: AsyncServer) -> None:
    got: asyncio.Queue[Any] = asyncio.Queue()

    class Dispatching(socketio.AsyncNamespace):
        async def trigger_event(self, event: str, *args: Any) -> Any:
            got.put_nowait((event, *args))
            return await super().trigger_event(event, *args)

        async def on_say(self, sid: str, text: str) -> str:
            return text + "!"

    any_server.register_namespace(Dispatching("/chat"))
    async with connected(any_server, "/chat") as client:
        sid = client.sids["/chat"]
        assert (await within(got.get()))[:2] == ("connect", sid)
        client.send('42/chat,0["say","hello"]')
        assert await client.receive() == '43/chat,0["hello!"]'
        assert await within(got.get()) == ("say", sid, "hello")
        client.send("41/chat,")
        assert await within(got.get()) == ("disconnect", sid, "client disconnect")


async def test_a_namespace_class_that_dispatches_may_do_without_auth_and_reason(
    any_server: AsyncServer,
) -> None:
    class Dispatching(Terse):
        async def trigger_event(self, event: str, *args: Any) -> Any:
            return await super().trigger_event(event, *args)

    chat = Dispatching("/chat")
    any_server.register_namespace(chat)
    async with opened(any_server) as client:
        sid = await client.connect("/chat", auth={"token": "t"})
        assert await within(chat.got.get()) == ("connect", sid)
        client.send("41/chat,")
        assert await within(chat.got.get()) == ("disconnect", sid)


async def test_a_namespace_class_may_serve_any_namespace() -> None:
    server = AsyncServer(namespaces="*")
    got: asyncio.Queue[Any] = asyncio.Queue()

    class Any_(socketio.AsyncNamespace):
        async def on_connect(self, namespace: str, sid: str, environ: Environ) -> None:
            got.put_nowait(("connect", namespace, sid))

        async def on_disconnect(self, namespace: str, sid: str) -> None:
            got.put_nowait(("disconnect", namespace, sid))

        async def on_say(self, namespace: str, sid: str, text: str) -> str:
            return namespace + text

    server.register_namespace(Any_("*"))
    async with connected(server, "/any") as client:
        sid = client.sids["/any"]
        client.send('42/any,0["say","!"]')
        assert await client.receive() == '43/any,0["/any!"]'
        client.send("41/any,")
        assert [await within(got.get()) for _ in range(2)] == [
            ("connect", "/any", sid),
            ("disconnect", "/any", sid),
        ]
