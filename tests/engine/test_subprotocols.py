"""Subprotocols that a WebSocket offers."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from tests.support.engineio_in_process import PATH, Poller, handshake
from tests.support.raw_clients import RawSocket, upgrade_request
from tests.support.uvicorn_in_process import running


async def agreed_subprotocol(ws: str, *lines: str) -> tuple[int, str | None]:
    """The status and the subprotocol with which a WebSocket is answered that offers some."""
    request = upgrade_request(PATH).replace(
        b"Upgrade: websocket\r\n",
        b"Upgrade: websocket\r\n"
        + b"".join(b"Sec-WebSocket-Protocol: %b\r\n" % line.encode() for line in lines),
    )
    async with running(ASGIApp(EngineServer(), socketio_path="engine.io"), ws) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(request)
            status, fields = await raw.response_head()
            if status == 101:
                assert (await raw.read_frame())[1][:1] == b"0"
            return status, fields.get("sec-websocket-protocol")


@pytest.mark.parametrize(
    ("lines", "first"),
    [
        ([], None),
        (["chat"], "chat"),
        (["chat, superchat"], "chat"),
        (["b,a"], "b"),
        (["v1.app+json \t,\t x"], "v1.app+json"),
    ],
)
async def test_the_first_subprotocol_that_a_websocket_offers_is_answered(
    ws: str, lines: list[str], first: str | None
) -> None:
    assert await agreed_subprotocol(ws, *lines) == (101, first)


async def test_subprotocols_in_two_headers_are_one_list() -> None:
    assert await agreed_subprotocol("auto", "chat", "superchat") == (101, "chat")


@pytest.mark.parametrize("line", ["", ",", "a,", ",a", "a,,b", "a b", "a, a", "a/b", "a=b", '"a"', "a;b"])
async def test_a_malformed_offer_of_subprotocols_is_a_bad_request(ws: str, line: str) -> None:
    assert await agreed_subprotocol(ws, line) == (400, None)


async def test_an_offer_of_subprotocols_that_is_not_ascii_is_a_bad_request() -> None:
    assert await agreed_subprotocol("auto", "é") == (400, None)  # wsproto raises before it asks us


async def test_the_websocket_of_an_upgrade_gets_its_subprotocol(ws: str) -> None:
    server = EngineServer()
    sid = (await Poller(server).open()).sid
    offer = {"Sec-WebSocket-Protocol": "chat, superchat"}
    async with handshake(server, ws, offer, sid=sid) as (status, fields, _raw):
        assert (status, fields["sec-websocket-protocol"]) == (101, "chat")


async def test_the_connect_handler_sees_the_subprotocols_in_the_scope(ws: str) -> None:
    server = EngineServer()
    seen: list[Any] = []
    server.on("connect", lambda sid, environ: seen.append(environ["asgi.scope"]["subprotocols"]))
    async with handshake(server, ws, {"Sec-WebSocket-Protocol": "chat, superchat"}) as (status, _, _raw):
        assert status == 101
    assert seen == [["chat", "superchat"]]
