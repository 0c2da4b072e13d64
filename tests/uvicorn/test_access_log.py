"""The access log of requests that the engine does not answer itself."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn.access_log import AccessLog
from tests.support.asgi_in_process import other
from tests.support.raw_clients import RawSocket
from tests.support.uvicorn_in_process import running

REQUESTS = [
    b"GET /page?a=%20&b HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /%C5%BE%20 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab",
    b"GET /page HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.7\r\n\r\n",
    b"GET /page HTTP/1.0\r\n\r\n",
]


@pytest.mark.parametrize("http", ["httptools", "h11"])
async def test_it_has_the_lines_that_uvicorn_would_have_written(
    http: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = ASGIApp(EngineServer(), other)

    async def wrapper(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    async def logged(served: Any) -> list[tuple[Any, ...]]:
        """What is logged of the requests, with the clients' ports left out."""
        found: list[tuple[Any, ...]] = []
        async with running(served, http=http) as local:
            for request in REQUESTS:
                caplog.clear()
                async with await RawSocket.connect(local) as raw:
                    port = str(raw.writer.get_extra_info("sockname")[1])
                    await raw.send(request)
                    assert (await raw.response_head())[0] == 200
                [record] = [each for each in caplog.records if each.name == "uvicorn.access"]
                found.append((record.levelno, record.msg, str(record.args).replace(port, "port")))
        return found

    with caplog.at_level(logging.INFO, "uvicorn.access"):
        assert await logged(app) == await logged(wrapper)


def test_it_can_be_used_as_the_logger_that_it_replaces(caplog: pytest.LogCaptureFixture) -> None:
    log = AccessLog()
    with caplog.at_level(logging.INFO, "uvicorn.access"):
        log.info("a line of %s", "another uvicorn")
        log.warning("another line")
    assert [record.getMessage() for record in caplog.records] == ["a line of another uvicorn", "another line"]
    assert log.name == "uvicorn.access"
