"""Bodies that are broken or too large."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.support.guarded_servers import CHUNKED, OPEN, QUICK, Serve, head, opened, statuses, until_idle
from tests.support.raw_clients import within


async def test_a_large_body_is_no_large_head(serve: Serve) -> None:
    server = await serve()
    body = b"x" * 300_000
    async with await server.connect() as raw:
        await raw.send(
            head(method="POST", lines=f"Content-Length: {len(body)}\r\n") + body + head("/at-once")
        )
        assert (await raw.response_head())[0] == 200
        await within(until_idle(lambda: len(server.requests) == 2))
    assert server.requests[0].body == body


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("lines", [CHUNKED, CHUNKED + "Expect: 100-continue\r\n"], ids=["", "expecting"])
async def test_a_get_whose_body_is_broken_opens_no_session(serve: Serve, lines: str, pieces: int) -> None:
    server = await serve()
    start, broken = head(OPEN, lines), b"no size\r\n"
    async with await server.connect() as raw:
        for data in [start + broken] if pieces == 1 else [start, broken]:
            await raw.send(data)
            await asyncio.sleep(0.01)
        assert [status for status in await statuses(raw) if status != 100] == [400]
    await server.is_left()
    assert not server.engine.sessions


async def test_a_get_whose_body_never_comes_opens_no_session(serve: Serve) -> None:
    server = await serve(**QUICK)
    async with await server.connect() as raw:
        await raw.send(head(OPEN, "Content-Length: 9\r\n"))
        assert await statuses(raw) == [408]
    assert not server.engine.sessions


async def test_a_get_with_a_body_opens_a_session(serve: Serve) -> None:
    server = await serve()
    async with await server.connect() as raw:
        await raw.send_slowly(head(OPEN, "Content-Length: 3\r\n") + b"abc")
        assert (await raw.response())[0] == 200
    assert len(server.engine.sessions) == 1


async def test_a_get_with_a_body_over_the_limit_is_refused(serve: Serve) -> None:
    server = await serve(max_http_buffer_size=1000)
    async with await server.connect() as raw:
        await raw.send(head(OPEN, CHUNKED) + b"%x\r\n%s\r\n" % (1001, b"x" * 1001))
        assert (await raw.response_head())[0] == 413
    assert not server.engine.sessions


async def test_a_post_whose_body_is_broken_says_nothing(serve: Serve) -> None:
    server = await serve()
    messages: list[Any] = []
    server.engine.on("message", lambda sid, data: messages.append(data))
    sid = await opened(server)
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", CHUNKED, "POST") + b"2\r\n4x\r\nno size\r\n")
        assert await statuses(raw) == [400]
    await server.is_left()
    async with await server.connect() as raw:
        await raw.send(head(f"{OPEN}&sid={sid}", "Content-Length: 5\r\n", "POST") + b"4well")
        assert (await raw.response())[1] == "ok"
    assert messages == ["well"]
