"""Whatever bytes a client sends, it gets a 4xx, a closed session or an error packet; the server stays well.

Every test runs inside `survives`: after it a fresh client connects and is echoed, and the log has a warning
(where there is something to warn of) and no traceback.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from tests.support.raw_clients import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Polling,
    RawSocket,
    close_code,
    frame,
    is_refused,
    read_handshake,
    receive,
    upgrade,
    upgrade_request,
    warnings,
    websocket,
)
from tests.support.server_process import Server, serve

ENGINE, SOCKETS = "/engine.io/", "/socket.io/"
LIMIT = 1_000_000
PLACEHOLDER = '{"_placeholder":true,"num":0}'


@pytest.fixture(scope="session", params=["uvicorn", "uvicorn-wsproto"])
def asgi_server(request: pytest.FixtureRequest) -> str:
    """The server whose WebSockets we take the direct way, and one that hands them on over ASGI."""
    return str(request.param)


async def echo_engine(server: Server) -> None:
    async with websocket(server) as ws:
        await read_handshake(ws)
        await ws.send("4well")
        assert await receive(ws) == "4well"


async def echo_socket(server: Server) -> None:
    async with connected(server) as ws:
        await ws.send('42["message","well"]')
        assert await receive(ws) == '42["message-back","well"]'


@asynccontextmanager
async def survives(server: Server, *, warns: bool = True) -> AsyncIterator[None]:
    """Check after the block that the server is well and has said what was wrong, without a traceback.

    Args:
        server: what is tested.
        warns: false where the input is odd but allowed, or where the ASGI server deals with it.
    """
    start = len(server.log())
    yield
    await (echo_engine if "engine_echo" in str(server.process.args) else echo_socket)(server)
    deadline = time.monotonic() + 2
    while warns and not warnings(server.log()[start:]):
        assert time.monotonic() < deadline, f"no warning in the log:\n{server.log()[start:]}"
        await asyncio.sleep(0.02)
    assert "Traceback" not in server.log()[start:]
    assert server.process.poll() is None


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[ClientConnection]:
    """A WebSocket that is connected to the main namespace."""
    async with websocket(server, SOCKETS) as ws:
        await read_handshake(ws)
        await ws.send("40")
        assert str(await receive(ws)).startswith('40{"sid":')
        assert await receive(ws) == '42["auth",{}]'
        yield ws


async def is_closed_or_ignores(ws: ClientConnection) -> bool:
    """Whether the connection is closed, or goes on as if nothing had been sent."""
    try:
        await ws.send('42["message","next"]')
        return await receive(ws) == '42["message-back","next"]'
    except ConnectionClosed:
        return True


# Polling bodies


async def test_a_post_at_the_limit_is_taken(engine: Server) -> None:
    async with survives(engine, warns=False), Polling(engine) as polling:
        await polling.open()
        packet = "4" + "x" * (LIMIT - 1)
        await polling.send(packet)
        assert await polling.receive() == [packet]


async def test_a_post_beyond_the_limit_closes_the_session(engine: Server) -> None:
    async with survives(engine), Polling(engine) as polling, await RawSocket.connect(engine) as raw:
        await polling.open()
        head = f"POST /engine.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: a\r\n"
        await raw.send(f"{head}Content-Length: {LIMIT + 1}\r\n\r\n".encode())
        # the length alone is reason enough; a server that reads on may have the rest
        try:
            raw.writer.write(b"4" + b"x" * LIMIT)
            status, _headers = await raw.response_head()
        except ConnectionError:
            status = 413
        assert status in (400, 413)
        assert (await polling.get()).status_code == 400


async def test_a_post_without_a_length_is_read_up_to_the_limit_only(engine: Server) -> None:
    async with survives(engine), Polling(engine) as polling, await RawSocket.connect(engine) as raw:
        await polling.open()
        head = f"POST /engine.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: a\r\n"
        await raw.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"x" * 100_000
        for _ in range(11):  # and the body goes on
            await raw.send(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        status, _headers = await raw.response_head()
        assert status in (400, 413)
        assert (await polling.get()).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"abc",
        b"7",
        b"\x1e",
        b"4ok\x1e",
        b"4ok\x1e\x1e4ok",
        b"4ok\x1eabc",
        b"4\xff\xfe",
        b"4\xed\xa0\x80",
        b"\xff",
        b"b!!!!",
        b"bAAA",
        b"bAA\xe2\x82\xac=",
        b"{}",
        b"\x00",
    ],
    ids=repr,
)
async def test_a_malformed_payload_is_a_bad_request_and_closes_the_session(
    engine: Server, body: bytes
) -> None:
    async with survives(engine), Polling(engine) as polling:
        await polling.open()
        assert (await polling.request("POST", body)).status_code == 400
        assert await polling.is_closed()


async def test_a_post_that_breaks_off_leaves_no_trace(engine: Server) -> None:
    async with survives(engine, warns=False), Polling(engine) as polling:
        await polling.open()
        async with await RawSocket.connect(engine) as raw:
            head = f"POST /engine.io/?EIO=4&transport=polling&sid={polling.sid} HTTP/1.1\r\nHost: a\r\n"
            await raw.send(f"{head}Content-Length: 10\r\n\r\n4he".encode())
        response = await polling.post("4again")
        if response.status_code == 200:  # the session outlived it, and only this message was said
            assert await polling.receive() == ["4again"]
        else:
            assert response.status_code == 400


@pytest.mark.parametrize("packet", ["0", "0{}", "2", "2probe", "3", "3probe", "5", "6"])
async def test_a_packet_out_of_place_in_polling_harms_nobody(engine: Server, packet: str) -> None:
    async with survives(engine, warns=False), Polling(engine) as polling:
        await polling.open()
        assert (await polling.post(packet)).status_code in (200, 400)


# Query parameters


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "EIO=4",
        "transport=polling",
        "EIO=4&EIO=3&transport=polling",
        "EIO=4&transport=polling&transport=websocket",
        "EIO=4&transport=polling&transport=abc",
        "EIO=&transport=",
        "EIO&transport",
        "EIO=4&transport=polling&sid=wrong",
        "EIO=4&transport=polling&sid=a&sid=b",
        "EIO=4&transport=polling&sid=%00%ff",
        "EIO=4&transport=polling&sid=" + "x" * 5_000,
        "EIO=%34%34&transport=polling",
        "EIO=4%0d%0aX:%20y&transport=polling",
        "&&&=&%",
    ],
    ids=lambda text: str(text)[:60] or "none",
)
async def test_missing_and_contradicting_parameters_are_a_bad_request(
    engine: Server, parameters: str
) -> None:
    async with survives(engine), Polling(engine) as polling:
        assert (await polling.http.get(f"{ENGINE}?{parameters}")).status_code == 400
        assert (await polling.http.post(f"{ENGINE}?{parameters}", content="4x")).status_code == 400


@pytest.mark.parametrize(
    "parameters",
    ["", "EIO=4&EIO=3&transport=websocket", "EIO=4&transport=websocket&transport=polling", "&&&=&%"],
    ids=lambda text: str(text) or "none",
)
async def test_missing_and_contradicting_parameters_refuse_a_websocket(
    engine: Server, parameters: str
) -> None:
    request = upgrade_request().replace(b"EIO=4&transport=websocket", parameters.encode())
    async with survives(engine), await RawSocket.connect(engine) as raw:
        await raw.send(request)
        status, _headers = await raw.response_head()
        if status == 101:
            assert await raw.close_code() is not None
        else:
            assert 400 <= status < 500


async def test_a_websocket_with_a_wrong_sid_is_refused(engine: Server) -> None:
    async with survives(engine):
        assert await is_refused(engine, sid="wrong")


# Transports


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


# WebSocket messages and frames


async def test_a_message_beyond_the_limit_closes_with_1009(engine: Server) -> None:
    async with survives(engine), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4" + b"x" * LIMIT))
        assert await raw.close_code() == 1009


async def test_a_message_that_claims_to_exceed_the_limit_is_not_waited_for(
    engine: Server, asgi_server: str
) -> None:
    if asgi_server != "uvicorn":
        pytest.skip("the ASGI server reads the frame")
    async with survives(engine), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(BINARY, b"x", length=LIMIT + 1))
        assert await raw.close_code() == 1009


async def test_fragments_beyond_the_limit_close_with_1009(engine: Server) -> None:
    async with survives(engine), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4" + b"x" * (LIMIT // 2), fin=False))
        await raw.send(frame(0, b"x" * (LIMIT // 2), fin=False) + frame(0, b"x"))
        assert await raw.close_code() == 1009


async def test_endless_fragments_close_with_1009(engine: Server, asgi_server: str) -> None:
    if asgi_server != "uvicorn":
        pytest.skip("the ASGI server gathers the fragments, up to a limit of its own")
    async with survives(engine), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4", fin=False))
        await raw.send(b"".join(frame(0, b"x" * 50_000, fin=False) for _ in range(21)))
        assert await raw.close_code() == 1009


@pytest.mark.parametrize(
    "data", [b"4\xff", b"4\xed\xa0\x80", b"4\xc0\x80", b"4\xf4\x90\x80\x80", b"4\xe2\x82"]
)
async def test_text_that_is_not_utf8_closes_with_1007(engine: Server, asgi_server: str, data: bytes) -> None:
    ours = asgi_server == "uvicorn"  # uvicorn's other classes may end the connection without a close frame
    async with survives(engine, warns=ours), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, data))
        assert await raw.close_code() in ({1007} if ours else {1007, None})


async def test_fragmented_text_that_is_not_utf8_closes_with_1007(engine: Server, asgi_server: str) -> None:
    ours = asgi_server == "uvicorn"
    async with survives(engine, warns=ours), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4\xe2", fin=False) + frame(0, b"\x82", fin=False) + frame(0, b"x"))
        assert await raw.close_code() in ({1007} if ours else {1007, None})


BROKEN_FRAMES = {
    "unmasked": frame(TEXT, b"4hello", masked=False),
    "RSV1": frame(TEXT, b"4hello", rsv=4),
    "RSV2": frame(TEXT, b"4hello", rsv=2),
    "RSV3": frame(TEXT, b"4hello", rsv=1),
    "RSV on a control frame": frame(PING, b"", rsv=4),
    "unknown data opcode": frame(3, b"4hello"),
    "unknown control opcode": frame(0xB, b""),
    "fragmented ping": frame(PING, b"", fin=False),
    "fragmented close": frame(CLOSE, b"", fin=False),
    "ping of 126 bytes": frame(PING, b"x" * 126),
    "continuation of nothing": frame(0, b"4hello"),
    "final continuation twice": frame(TEXT, b"4a", fin=False) + frame(0, b"b") + frame(0, b"c"),
    "message inside a message": frame(TEXT, b"4hello", fin=False) + frame(TEXT, b"4hello"),
    "length of 2**63": frame(TEXT, b"", length=2**63),
    "length of 2**64-1": frame(BINARY, b"", length=2**64 - 1),
    "length of 2**63-1": frame(BINARY, b"", length=2**63 - 1),
    "close of one byte": frame(CLOSE, b"\x03"),
    "close with the code 999": frame(CLOSE, (999).to_bytes(2, "big")),
    "close with the code 1005": frame(CLOSE, (1005).to_bytes(2, "big")),
    "close with the code 1006": frame(CLOSE, (1006).to_bytes(2, "big")),
    "close with the code 65535": frame(CLOSE, (65535).to_bytes(2, "big")),
    "close with a broken reason": frame(CLOSE, (1000).to_bytes(2, "big") + b"\xff"),
}
# what else than 1002 the standard allows
OTHER_CODES = {
    "length of 2**63": {1009},
    "length of 2**64-1": {1009},
    "length of 2**63-1": {1009},
    "close with a broken reason": {1007},
}


@pytest.mark.parametrize("name", list(BROKEN_FRAMES))
async def test_a_broken_frame_ends_the_connection(engine: Server, asgi_server: str, name: str) -> None:
    """RFC 6455: fail the connection; with 1002 where the frames are ours to read."""
    ours = asgi_server == "uvicorn"
    async with survives(engine, warns=ours), await RawSocket.websocket(engine) as raw:
        await raw.send(BROKEN_FRAMES[name])
        if not ours:
            # the ASGI server's own matter, and it may wait for the rest of a frame; so go away
            raw.writer.close()
            return
        assert await raw.close_code() in {1002} | OTHER_CODES.get(name, set())


async def test_a_broken_frame_after_a_good_one_leaves_the_good_one(engine: Server, asgi_server: str) -> None:
    if asgi_server != "uvicorn":
        pytest.skip("the ASGI server reads the frames")
    async with survives(engine), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(TEXT, b"4good") + frame(TEXT, b"4bad", rsv=4) + frame(TEXT, b"4late"))
        opcode, payload = await raw.read_frame()
        if opcode == TEXT:
            assert payload == b"4good"
            opcode, payload = await raw.read_frame()
        assert (opcode, payload[:2]) == (CLOSE, (1002).to_bytes(2, "big"))


async def test_nothing_is_taken_after_a_close_frame(engine: Server) -> None:
    async with survives(engine, warns=False), await RawSocket.websocket(engine) as raw:
        await raw.send(frame(CLOSE, (1000).to_bytes(2, "big")) + frame(TEXT, b"4late"))
        opcode, _payload = await raw.read_frame()
        assert opcode == CLOSE
        assert await raw.reader.read() == b""


async def test_a_connection_that_breaks_off_inside_a_frame_is_forgotten(engine: Server) -> None:
    async with survives(engine, warns=False):
        async with await RawSocket.websocket(engine) as raw:
            await raw.send(frame(TEXT, b"4hello", length=500))
        async with await RawSocket.connect(engine) as raw:
            await raw.send(upgrade_request()[:-20])


async def test_bytes_may_come_one_at_a_time(engine: Server) -> None:
    """A handshake, frames of each length field, fragments and a close."""
    long, longer = b"4" + b"y" * 200, b"4" + b"z" * 70_000
    async with survives(engine, warns=False), await RawSocket.connect(engine) as raw:
        await raw.send_slowly(upgrade_request())
        status, headers = await raw.response_head()
        assert status == 101
        assert headers["upgrade"].lower() == "websocket"
        assert (await raw.read_frame())[1][:1] == b"0"
        await raw.send_slowly(frame(TEXT, "4€".encode()))
        assert await raw.read_frame() == (TEXT, "4€".encode())
        await raw.send_slowly(frame(PING, b"p") + frame(TEXT, long))
        assert await raw.read_frame() == (PONG, b"p")
        assert await raw.read_frame() == (TEXT, long)
        whole = frame(TEXT, longer)
        await raw.send_slowly(whole[:20])
        await raw.send(whole[20:])
        assert await raw.read_frame() == (TEXT, longer)
        await raw.send_slowly(frame(TEXT, b"4a", fin=False) + frame(PING) + frame(0, b"b"))
        assert await raw.read_frame() == (PONG, b"")
        assert await raw.read_frame() == (TEXT, b"4ab")
        await raw.send_slowly(frame(CLOSE, (1000).to_bytes(2, "big")))
        assert await raw.close_code() == 1000


async def test_a_frame_right_behind_the_handshake_is_refused(engine: Server, asgi_server: str) -> None:
    """RFC 6455 has a client wait for the answer."""
    ours = asgi_server == "uvicorn"  # uvicorn's other classes drop the frame
    async with survives(engine, warns=ours), await RawSocket.connect(engine) as raw:
        await raw.send(upgrade_request() + frame(TEXT, b"4early"))
        assert (await raw.response_head())[0] == (400 if ours else 101)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-WebSocket-Key": None},
        {"Sec-WebSocket-Key": "short"},
        {"Sec-WebSocket-Key": "!" * 24},
        {"Sec-WebSocket-Version": None},
        {"Sec-WebSocket-Version": "12"},
        {"Sec-WebSocket-Version": "x"},
        {"Connection": "close"},
        {"Upgrade": "h2c"},
    ],
    ids=str,
)
async def test_a_broken_websocket_handshake_is_refused(
    engine: Server, asgi_server: str, headers: dict[str, str | None]
) -> None:
    async with survives(engine, warns=False), await RawSocket.connect(engine) as raw:
        await raw.send(upgrade_request(headers=headers))
        status, _headers = await raw.response_head()
        assert (
            400 <= status < 500 or asgi_server != "uvicorn"
        )  # the ASGI server's own handshake is its matter


async def test_a_server_ends_after_broken_handshakes() -> None:
    """A refused connection is forgotten: at SIGTERM nobody waits for it."""
    with serve("tests.apps.engine_echo:asgi") as server:
        for headers in ({"Sec-WebSocket-Key": None}, {"Sec-WebSocket-Version": "12"}):
            async with await RawSocket.connect(server) as raw:
                await raw.send(upgrade_request(headers=headers))
                status, _headers = await raw.response_head()
                assert 400 <= status < 500
        server.process.terminate()
        await asyncio.to_thread(server.process.wait, 5)


# Socket.IO packets


@pytest.mark.parametrize(
    "packet",
    [
        '42["message",',
        "42[",
        '42["message"]]',
        '42["message"] x',
        '42["message",NaN]',
        '42["message",Infinity]',
        "42['message']",
        '42["message","\x00"]',
        "42undefined",
        "40{bad",
        "40/custom,{bad",
        '4212["message",',
        "431[",
        '42/custom["message"]',
        "42[\ufeff]",
    ],
    ids=repr,
)
async def test_bad_json_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize(
    "packet",
    [
        "42" + "[" * 100_000,
        '42["message",' + "[" * 100_000 + "]" * 100_000 + "]",
        '42["message",' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "]",
        "40" + '{"a":' * 100_000 + "1" + "}" * 100_000,
        '42["message",' + "1" * 100_000 + "]",
    ],
    ids=["open", "lists", "objects", "auth", "digits"],
)
async def test_json_too_deep_or_long_to_read_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize("depth", [250, 500, 900, 1000])
@pytest.mark.parametrize(
    "packet", ['42["message",%s1%s]', '4212["message-with-ack",%s1%s]', f'451-["message",%s{PLACEHOLDER}%s]']
)
async def test_nested_json_is_returned_or_closes_the_connection(
    sockets: Server, packet: str, depth: int
) -> None:
    """What can be read can be written again; no client chooses the depth of our stack."""
    nested = packet % ('{"a":' * depth, "}" * depth)
    async with survives(sockets, warns=False), connected(sockets) as ws:
        try:
            await ws.send(nested)
            if nested.startswith("451-"):
                await ws.send(b"1")
            assert nested[nested.index('{"a"') :] in str(await receive(ws))
        except ConnectionClosed:
            pass


async def test_deep_json_over_polling_closes_the_session(sockets: Server) -> None:
    async with survives(sockets), Polling(sockets, SOCKETS) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive_all(2)
        assert (await polling.post("42" + "[" * 100_000)).status_code in (200, 400)
        assert await polling.is_closed()


@pytest.mark.parametrize("packet", ['42["message","\\ud800"]', '42["message",{"\\udfff":1}]'])
async def test_half_a_surrogate_pair_is_returned_or_closes_the_connection(
    sockets: Server, packet: str
) -> None:
    """JSON can say what UTF-8 cannot."""
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(packet)
        try:
            back = await receive(ws)
            assert back == packet.replace('"message"', '"message-back"')
        except ConnectionClosed:
            pass


@pytest.mark.parametrize("packet", ["4", "47", "49", "4abc", "4-1", "4 2", "4\x00", "4€", "4٢"])
async def test_an_unknown_packet_type_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


@pytest.mark.parametrize(
    "packets",
    [
        ['45["x"]'],
        ["45"],
        ["45-"],
        ["451"],
        ['45-["x"]'],
        [f'45-1-["x",{PLACEHOLDER}]', b"1"],
        [f'451.5-["x",{PLACEHOLDER}]', b"1"],
        [f'45\u0661-["x",{PLACEHOLDER}]', b"1"],
        [f'451-["x",{PLACEHOLDER}]', "42[]"],
        [f'451-["x",{PLACEHOLDER}]', '42["message","x"]'],
        [f'452-["x",{PLACEHOLDER}]', b"1", "40"],
        ['4510000-["x"]'],
        ['451000000000000000000000000000000-["x"]'],
        ["451" + "0" * 50_000 + '-["x"]'],
        ["45" + "9" * 50_000 + '-["x"]'],
        ['451-["x",{"_placeholder":true,"num":1}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":-1}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":"0"}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":0.5}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":1e400}]', b"1"],
        ['451-["x",{"_placeholder":true,"num":null}]', b"1"],
        ['451-["x",{"_placeholder":true}]', b"1"],
        [f'451-["message",{PLACEHOLDER},{PLACEHOLDER}]', b"copied"],
        [f'451-["message",[{",".join([PLACEHOLDER] * 10_000)}]]', b"multiplied"],
        [f"461-[{PLACEHOLDER},{PLACEHOLDER}]", b"1"],
        [f"451-[{PLACEHOLDER}]", b"message"],
        ["451-[1]", b"1"],
        ["451-{}", b"1"],
        ["451-", b"1"],
        ['461-["x"', b"1"],
        ['46["x"]'],
        ['461-[{"_placeholder":true,"num":9}]', b"1"],
        [b"attachment of nothing"],
    ],
    ids=lambda packets: " ".join(map(str, packets))[:70],
)
async def test_a_broken_binary_packet_closes_the_connection(
    sockets: Server, packets: list[str | bytes]
) -> None:
    async with survives(sockets), connected(sockets) as ws:
        try:
            for packet in packets:
                await ws.send(packet)
        except ConnectionClosed:
            pass
        assert await close_code(ws) is not None


async def test_a_broken_binary_packet_closes_a_polling_session(sockets: Server) -> None:
    async with survives(sockets), Polling(sockets, SOCKETS) as polling:
        await polling.open()
        await polling.send("40")
        await polling.receive_all(2)
        assert (await polling.post(f'451-["x",{PLACEHOLDER}]', "42[]")).status_code in (200, 400)
        assert await polling.is_closed()


async def test_a_binary_packet_of_no_attachments_is_an_event_or_closes(sockets: Server) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send('450-["message","x"]')
        try:
            assert await receive(ws) == '42["message-back","x"]'
        except ConnectionClosed:
            pass


async def test_a_client_that_leaves_amid_attachments_is_forgotten(sockets: Server) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'452-["message",{PLACEHOLDER}]')
        await ws.send(b"one")


@pytest.mark.parametrize(
    "packet", ["42[]", "42{}", '42"x"', "42null", "42[null]", "42[[]]", "42[{}]", "42[true]"]
)
async def test_an_event_without_a_name_closes_the_connection(sockets: Server, packet: str) -> None:
    async with survives(sockets), connected(sockets) as ws:
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_an_event_named_by_a_number_runs_nothing(sockets: Server) -> None:
    """The official parser lets numbers pass as names, and ours may refuse them."""
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send("42[1]")
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize("name", ["connect", "disconnect", "connect_error"])
@pytest.mark.parametrize("arguments", ["", ",{}", ",1,2,3"])
async def test_an_event_with_a_reserved_name_closes_the_connection(
    sockets: Server, name: str, arguments: str
) -> None:
    """It must not reach the handler that bears this name."""
    start = len(sockets.log())
    async with survives(sockets):
        async with connected(sockets) as ws:
            await ws.send(f'42["{name}"{arguments}]')
            assert await close_code(ws) is not None
        (sid,) = re.findall(r"connected / (\S+)", sockets.log()[start:])
        sockets.wait_for_log(f"gone / {sid}", start=start)
        assert sockets.log().count(sid) == 2


DIGITS = "1" * 30


@pytest.mark.parametrize(
    "number", [DIGITS, "9" * 5_000, "-1", "1.5", "1e3", "٣"], ids=lambda text: str(text)[:32]
)
async def test_an_id_out_of_range_is_returned_unchanged_or_closes(sockets: Server, number: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'42{number}["message-with-ack","x"]')
        try:
            assert await receive(ws) == f'43{number}["x"]'
        except ConnectionClosed:
            pass


@pytest.mark.parametrize(
    "number", [DIGITS, "9" * 5_000, "-1", "0", "1.5", "٣"], ids=lambda text: str(text)[:32]
)
async def test_an_answer_to_no_question_is_ignored_or_closes(sockets: Server, number: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f'43{number}["x"]')
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize("namespace", ["/random", "/random,", "/custom/more,", "/" + "x" * 100_000, "/€,"])
async def test_an_unknown_namespace_is_answered_with_an_error_packet(sockets: Server, namespace: str) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(f"40{namespace}")
        name = namespace.rstrip(",")
        assert await receive(ws) == f'44{name},{{"message":"Invalid namespace"}}'
        await ws.send('42["message","x"]')
        assert await receive(ws) == '42["message-back","x"]'


@pytest.mark.parametrize(
    "packet", ['42/custom,["message"]', "41/custom,", '43/custom,1["x"]', '42/random,["x"]']
)
async def test_a_packet_for_a_namespace_not_entered_is_ignored_or_closes(
    sockets: Server, packet: str
) -> None:
    async with survives(sockets, warns=False), connected(sockets) as ws:
        await ws.send(packet)
        assert await is_closed_or_ignores(ws)


@pytest.mark.parametrize(
    "packet",
    [
        "40/%s,",
        '42/%s,["x"]',
        "41/%s,",
        '43/%s,1["x"]',
        '42["%s"]',
        '421%s["x"]',
        "4%s",
        '45%s-["x"]',
        '451-["x",{"_placeholder":true,"num":"%s"}]',
    ],
)
async def test_a_client_does_not_write_the_log(sockets: Server, packet: str) -> None:
    """What it sends is logged shortened and quoted, if at all: no line of its own, no page of its own."""
    start = len(sockets.log())
    async with survives(sockets, warns=False), connected(sockets) as ws:
        try:
            await ws.send(packet % ("\nWARNING forged\n" + "x" * 50_000))
            await ws.send('42["message","next"]')
            while await receive(ws) != '42["message-back","next"]':
                pass
        except ConnectionClosed:
            pass
    log = sockets.log()[start:]
    assert "WARNING forged" not in warnings(log)
    assert len(log) < 5_000


@pytest.mark.parametrize("packet", ["40", "40{}", '40{"token":1}'])
async def test_connecting_twice_makes_no_second_client(sockets: Server, packet: str) -> None:
    start = len(sockets.log())
    async with survives(sockets, warns=False):
        async with connected(sockets) as ws:
            await ws.send(packet)
            await ws.send('42["message","next"]')
            try:
                while await receive(ws) != '42["message-back","next"]':
                    pass  # an error packet is in order too
            except ConnectionClosed:
                pass
        assert sockets.log()[start:].count("connected / ") == 1


@pytest.mark.parametrize("packet", ["40[1]", '40"x"', "401", "40null", "41{}", "44{}", '44"x"', "41[1]"])
async def test_a_packet_with_a_payload_of_another_kind_harms_nobody(sockets: Server, packet: str) -> None:
    async with survives(sockets, warns=False), websocket(sockets, SOCKETS) as ws:
        await read_handshake(ws)
        try:
            await ws.send(packet)
            await ws.send("40")
            await receive(ws)
        except ConnectionClosed:
            pass


@pytest.mark.parametrize(
    "packet",
    ['42["message","x"]', "41", '43["x"]', "44{}", "4abc", b"\x01"],
    ids=["event", "disconnect", "ack", "error", "junk", "attachment"],
)
async def test_a_packet_before_connect_closes_the_connection(sockets: Server, packet: str | bytes) -> None:
    async with survives(sockets), websocket(sockets, SOCKETS) as ws:
        await read_handshake(ws)
        await ws.send(packet)
        assert await close_code(ws) is not None


async def test_a_flood_of_bad_clients_leaves_the_others_alone(sockets: Server) -> None:
    packets = ["42[", "4abc", '45["x"]', "42{}"]

    async def misbehave(packet: str) -> int | None:
        async with connected(sockets) as ws:
            await ws.send(packet)
            return await close_code(ws)

    async with survives(sockets), connected(sockets) as ws:
        codes = await asyncio.gather(*(misbehave(packets[number % 4]) for number in range(40)))
        assert None not in codes
        await ws.send('42["message","x"]')
        assert await receive(ws) == '42["message-back","x"]'
