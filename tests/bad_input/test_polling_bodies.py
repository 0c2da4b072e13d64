"""Whatever a client posts, it gets a 4xx or a closed session, and the server stays well."""

from __future__ import annotations

import pytest

from tests.support.raw_clients import Polling, RawSocket
from tests.support.server_process import Server
from tests.support.survival import LIMIT, survives


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
