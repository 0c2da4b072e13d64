"""Whatever packet a client sends on whatever transport, the server stays well."""

from __future__ import annotations

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.raw_clients import (
    Polling,
    close_code,
    is_refused,
    read_handshake,
    receive,
    upgrade,
    warnings,
    websocket,
)
from tests.support.server_process import Server
from tests.support.survival import survives


async def test_a_second_websocket_for_a_polling_session_is_refused(engine: Server) -> None:
    async with survives(engine), Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send("2probe")
            assert await receive(ws) == "3probe"
            assert await is_refused(engine, sid=polling.sid)
            await ws.send("5")
            await ws.send("4first")
            assert await receive(ws) == "4first"


async def test_a_transport_after_the_upgrade_is_refused(engine: Server) -> None:
    async with survives(engine), Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await upgrade(polling, ws)
            assert await is_refused(engine, sid=polling.sid)
            assert (await polling.get()).status_code == 400
            await ws.send("4first")
            assert await receive(ws) == "4first"


@pytest.mark.parametrize("packet", ["5", "4hello", "3probe", "2", "2prob", "abc", "", b"2probe", b"\x00"])
async def test_a_websocket_that_does_not_probe_is_not_the_session(
    engine: Server, packet: str | bytes
) -> None:
    """Only the probe and then the upgrade packet make a WebSocket the session's transport."""
    async with survives(engine, warns=False), Polling(engine) as polling:
        await polling.open()
        async with websocket(engine, sid=polling.sid) as ws:
            await ws.send(packet)
            await close_code(ws)
        response = await polling.post("4hello")  # the session goes on with polling, or is closed
        assert response.status_code in (200, 400)
        if response.status_code == 200:
            packets = await polling.receive()
            assert (packets if packets != ["6"] else await polling.receive()) == ["4hello"]


@pytest.mark.parametrize(
    "text", ["b!!!!", "bAQI", "bAQIDB", "b€€€€", "bAQ ID", "b\x00\x00\x00\x00", "b" + "=" * 4, "bb" * 401]
)
async def test_base64_that_is_none_closes_a_websocket_with_one_line(engine: Server, text: str) -> None:
    start = len(engine.log())
    async with survives(engine), websocket(engine, b64="1") as ws:
        await read_handshake(ws)
        await ws.send(text)
        assert await close_code(ws) == 1002
    (line,) = warnings(engine.log()[start:])
    assert "a binary message that is not base64" in line
    assert len(line) < 300


@pytest.mark.parametrize("packet", ["0", "0{}", "2", "2probe", "3", "3probe", "5", "6"])
async def test_a_packet_out_of_place_in_a_websocket_harms_nobody(engine: Server, packet: str) -> None:
    async with survives(engine, warns=False), websocket(engine) as ws:
        await read_handshake(ws)
        try:
            await ws.send(packet)
            await ws.send("4hello")
            while await receive(ws) != "4hello":
                pass
        except ConnectionClosed:
            pass


@pytest.mark.parametrize("packet", ["", "abc", "7", "-1", "\x00", "€"])
async def test_an_unknown_packet_closes_a_websocket(engine: Server, packet: str) -> None:
    async with survives(engine), websocket(engine) as ws:
        await read_handshake(ws)
        await ws.send(packet)
        assert await close_code(ws) is not None
