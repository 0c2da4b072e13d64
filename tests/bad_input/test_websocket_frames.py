"""Whatever bytes a client sends as frames of a WebSocket, the connection ends, and the server stays well."""

from __future__ import annotations

import pytest

from tests.support.raw_clients import BINARY, CLOSE, PING, PONG, TEXT, RawSocket, frame, upgrade_request
from tests.support.server_process import Server
from tests.support.survival import LIMIT, survives


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
