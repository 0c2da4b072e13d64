"""Requests with more than one Host header, of which a proxy may have believed another one."""

from __future__ import annotations

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.engine.http import has_two_hosts
from tests.support.asgi_in_process import make_scope
from tests.support.doors import DOORS, served
from tests.support.raw_clients import RawSocket, upgrade_request

POLL = b"GET /engine.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n\r\n"
PAGE = b"GET /page HTTP/1.1\r\nHost: a\r\n\r\n"
REQUESTS = {"poll": (POLL, 200), "websocket": (upgrade_request(), 101), "page": (PAGE, 404)}


@pytest.mark.parametrize("kind", REQUESTS)
@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("second", ["Host: b", "HOST: a"])
async def test_a_request_with_two_hosts_is_refused(door: str, kind: str, second: str) -> None:
    server = EngineServer()
    opened: list[str] = []
    server.on("connect", lambda sid, environ: opened.append(sid))
    given, status = REQUESTS[kind]
    async with served(server, door) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(given.replace(b"Host:", f"{second}\r\nHost:".encode()))
            assert (await raw.response_head())[0] == 400
        assert not opened
        async with await RawSocket.connect(local) as raw:
            await raw.send(given)
            assert (await raw.response_head())[0] == status


async def test_a_websocket_with_two_hosts_is_closed_where_the_server_lets_nobody_answer_it() -> None:
    scope = make_scope("websocket", "/engine.io/", "EIO=4&transport=websocket", None)
    scope["headers"].append((b"host", b"b"))
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    await ASGIApp(EngineServer(), socketio_path="engine.io")(scope, receive, send)
    assert sent == [{"type": "websocket.close"}]


@pytest.mark.parametrize(
    ("names", "two"),
    [
        ("host", False),
        ("", False),
        ("host cookie cookie", False),
        ("x-host host", False),
        ("host a host", True),
    ],
)
def test_two_hosts_are_two_headers_of_that_name(names: str, two: bool) -> None:
    assert has_two_hosts([(name.encode(), b"x") for name in names.split()]) is two
