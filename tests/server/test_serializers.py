"""Servers whose packets are in msgpack, or of a class of the user's own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio
from socketio.msgpack_packet import MsgPackPacket

from asyncsock import AsyncServer
from tests.support.asgi_in_process import Closed
from tests.support.log_records import errors
from tests.support.raw_clients import within
from tests.support.socketio_in_process import msgpack_client, opened


async def test_msgpack_events_are_acknowledged() -> None:
    server = AsyncServer(serializer="msgpack")
    server.on("say", lambda sid, *args: args)
    async with msgpack_client(server) as client:
        client.send(2, ["say", "hello", b"\x01", {"a": [1.5, None]}], 3)
        assert await client.receive() == (3, ["hello", b"\x01", {"a": [1.5, None]}], 3)


async def test_msgpack_events_are_broadcast() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as one, msgpack_client(server) as two:
        await server.emit("data", {"a": b"\x01"})
        for client in (one, two):
            assert await client.receive() == (2, ["data", {"a": b"\x01"}], None)


async def test_msgpack_answers_reach_call() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as client:
        sid = next(iter(server.manager.get_participants("/", None)))[0]
        call = asyncio.ensure_future(server.call("question", to=sid))
        assert await client.receive() == (2, ["question"], 1)
        client.send(3, [b"answer"], 1)
        assert await within(call) == b"answer"


async def test_msgpack_disconnects_both_ways() -> None:
    server = AsyncServer(serializer="msgpack")
    reasons: asyncio.Queue[str] = asyncio.Queue()
    server.on("disconnect", lambda sid, reason: reasons.put_nowait(reason))
    async with msgpack_client(server) as one, msgpack_client(server) as two:
        one.send(1)
        assert await within(reasons.get()) == "client disconnect"
        ((sid, _),) = server.manager.get_participants("/", None)
        await server.disconnect(sid)
        assert (await two.receive())[0] == 1


async def test_msgpack_raises_in_the_caller_for_what_it_cannot_encode() -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server):
        with pytest.raises(TypeError):
            server.emit("data", object())


@pytest.mark.parametrize("packet", [b"\xc1", b"\x01", "text", MsgPackPacket(9, namespace="/").encode()])
async def test_what_is_not_msgpack_closes_the_session(
    packet: str | bytes, caplog: pytest.LogCaptureFixture
) -> None:
    server = AsyncServer(serializer="msgpack")
    async with msgpack_client(server) as client:
        client.socket.send(f"4{packet}" if isinstance(packet, str) else packet)
        with pytest.raises(Closed):
            await client.socket.receive()
    assert errors(caplog) == []


async def test_a_packet_class_of_ones_own_is_used() -> None:
    class Reversed(socketio.packet.Packet):
        """Packets written backwards."""

        def encode(self) -> str:
            return str(super().encode())[::-1]

        def decode(self, encoded_packet: str) -> Any:
            return super().decode(encoded_packet[::-1])

    server = AsyncServer(serializer=Reversed)
    server.on("say", lambda sid, text: text)
    async with opened(server) as client:
        client.send("40")
        assert (await client.receive()).endswith("0")
        client.send("4" + '20["say","hello"]'[::-1])
        assert await client.receive() == "4" + '30["hello"]'[::-1]
