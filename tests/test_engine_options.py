"""The options and the surface of EngineServer, and the same options passed through AsyncServer."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any

import engineio
import pytest
import socketio
from socketio.msgpack_packet import MsgPackPacket

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    HANDSHAKE,
    WEBSOCKET,
    Answer,
    Closed,
    Headers,
    Refused,
    Socket,
    request,
)
from tests.support.raw_clients import CLOSE, SEPARATOR, RawSocket, frame, upgrade_request, within
from tests.support.uvicorn_in_process import running

PATH = "/engine.io/"
FOREIGN = "https://elsewhere.example"


class Poller:
    """A polling client of a server in this process."""

    def __init__(self, server: EngineServer, headers: Headers | None = None) -> None:
        self.server = server
        self.headers = headers
        self.handshake: dict[str, Any] = {}
        self.opened: Answer | None = None

    @property
    def query(self) -> str:
        return f"{HANDSHAKE}&sid={self.sid}"

    @property
    def sid(self) -> str:
        return str(self.handshake["sid"])

    async def open(self) -> Poller:
        self.opened = await self.request("GET", HANDSHAKE)
        assert self.opened.status == 200, self.opened.text
        self.handshake = json.loads(self.opened.text.split(SEPARATOR)[0][1:])
        return self

    async def request(self, method: str, query: str | None = None, **more: Any) -> Answer:
        query = self.query if query is None else query
        return await request(self.server.handle_request, method, PATH, query, self.headers, **more)

    async def get(self) -> list[str]:
        answer = await self.request("GET")
        assert answer.status == 200, answer.text
        return answer.text.split(SEPARATOR)

    async def post(self, *packets: str) -> Answer:
        return await self.request("POST", body=SEPARATOR.join(packets).encode())


async def ask(server: EngineServer, method: str = "GET", **headers: str) -> Answer:
    """A first request with these headers; underscores in their names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await request(server.handle_request, method, PATH, HANDSHAKE, named)


@pytest.fixture(params=["auto", "wsproto"], ids=["direct door", "plain door"])
def ws(request: pytest.FixtureRequest) -> str:
    """uvicorn's WebSocket class that leads to one of the doors."""
    return str(request.param)


@asynccontextmanager
async def handshake(
    server: EngineServer, ws: str, headers: Headers | None = None, **values: str
) -> AsyncIterator[tuple[int, dict[str, str], RawSocket]]:
    """What uvicorn answers a WebSocket handshake with; the Host is 127.0.0.1."""
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(upgrade_request(PATH, values, headers))
            status, fields = await raw.response_head()
            yield status, fields, raw


@asynccontextmanager
async def websocket(server: EngineServer, ws: str) -> AsyncIterator[RawSocket]:
    """A WebSocket past its handshakes."""
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.websocket(local) as raw:
            yield raw


# Origins


async def test_a_request_without_an_origin_is_served() -> None:
    assert (await ask(EngineServer())).status == 200


async def test_the_servers_own_origin_is_served() -> None:
    assert (await ask(EngineServer(), origin="http://example.org")).status == 200


@pytest.mark.parametrize(
    "origin", [FOREIGN, "https://example.org", "http://example.org:8080", "http://www.example.org", "null"]
)
async def test_another_origin_is_a_bad_request_by_default(origin: str) -> None:
    answer = await ask(EngineServer(), origin=origin)
    assert answer.status == 400
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "allowed",
    [
        FOREIGN,
        [FOREIGN],
        ("http://a.example", FOREIGN),
        {FOREIGN},
        "*",
        ["*"],
        lambda origin: origin == FOREIGN,
        lambda origin, environ: origin == FOREIGN and environ["HTTP_HOST"] == "example.org",
    ],
)
async def test_an_origin_that_the_option_allows_is_served(allowed: Any) -> None:
    answer = await ask(EngineServer(cors_allowed_origins=allowed), origin=FOREIGN)
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == FOREIGN


@pytest.mark.parametrize(
    "allowed",
    ["http://a.example", ["http://a.example"], lambda origin: False, lambda origin, environ: None],
)
async def test_an_origin_that_the_option_does_not_allow_is_a_bad_request(allowed: Any) -> None:
    assert (await ask(EngineServer(cors_allowed_origins=allowed), origin=FOREIGN)).status == 400


async def test_an_empty_list_disables_the_check_and_the_headers() -> None:
    answer = await ask(EngineServer(cors_allowed_origins=[]), origin=FOREIGN)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_an_answer_that_depends_on_the_origin_says_so() -> None:
    answer = await ask(EngineServer(cors_allowed_origins="*"), origin=FOREIGN)
    assert "origin" in answer.headers["vary"].lower()


async def test_credentials_are_allowed_by_default() -> None:
    answer = await ask(EngineServer(cors_allowed_origins="*"), origin=FOREIGN)
    assert answer.headers["access-control-allow-credentials"] == "true"


async def test_credentials_can_be_forbidden() -> None:
    server = EngineServer(cors_allowed_origins="*", cors_credentials=False)
    answer = await ask(server, origin=FOREIGN)
    assert "access-control-allow-credentials" not in answer.headers


async def test_an_error_carries_the_cors_headers_so_that_the_client_can_read_it() -> None:
    server = EngineServer(cors_allowed_origins="*")
    answer = await request(server.handle_request, "GET", PATH, "EIO=3", {"Origin": FOREIGN})
    assert answer.status == 400
    assert answer.headers["access-control-allow-origin"] == FOREIGN


async def test_a_preflight_request_tells_methods_and_headers() -> None:
    server = EngineServer(cors_allowed_origins=FOREIGN)
    answer = await ask(server, "OPTIONS", origin=FOREIGN, access_control_request_headers="x-token")
    assert answer.status == 200
    assert answer.headers["access-control-allow-origin"] == FOREIGN
    assert answer.headers["access-control-allow-methods"] == "OPTIONS, GET, POST"
    assert answer.headers["access-control-allow-headers"] == "x-token"
    assert server.sessions == {}


async def test_a_preflight_request_of_another_origin_is_a_bad_request() -> None:
    assert (await ask(EngineServer(), "OPTIONS", origin=FOREIGN)).status == 400


async def test_the_scheme_that_a_proxy_tells_makes_its_origin_the_own_one() -> None:
    answer = await ask(EngineServer(), origin="https://example.org", x_forwarded_proto="https")
    assert answer.status == 200


async def test_the_host_that_a_proxy_tells_makes_its_origin_the_own_one() -> None:
    headers = {"x_forwarded_proto": "https, http", "x_forwarded_host": "public.example, inner"}
    answer = await ask(EngineServer(), origin="https://public.example", **headers)
    assert answer.status == 200


async def test_what_a_proxy_tells_makes_no_other_origin_the_own_one() -> None:
    answer = await ask(EngineServer(), origin=FOREIGN, x_forwarded_host="public.example")
    assert answer.status == 400


# Hosts and origins that are one origin however they are written (RFC 6454 section 4): the scheme and the host
# in any case, a default port or none.
SAME_ORIGIN = [
    ({"Host": "EXAMPLE.org"}, "http://example.org"),
    ({"Host": "example.org"}, "HTTP://Example.ORG"),
    ({"Host": "example.org:80"}, "http://example.org"),
    ({"Host": "example.org"}, "http://example.org:80"),
    ({"Host": "Example.org:443"}, "https://example.org"),
    ({"Host": "example.org:443", "X-Forwarded-Proto": "https"}, "https://example.org"),
    ({"Host": "example.org:443", "X-Forwarded-Proto": "wss"}, "https://example.org"),
    (
        {"Host": "inner", "X-Forwarded-Host": "Example.org:443", "X-Forwarded-Proto": "HTTPS"},
        "https://example.org",
    ),
    ({"Host": "[::1]:80"}, "http://[::1]"),
]
OTHER_ORIGIN = [
    ({"Host": "example.org:443"}, "http://example.org"),
    ({"Host": "example.org:80"}, "https://example.org"),
    ({"Host": "example.org:8080"}, "http://example.org"),
    ({"Host": "example.org:80"}, "http://example.org:8080"),
    ({"Host": "example.org:80"}, "http://example.org:80:80"),
    ({"Host": "[::80]"}, "http://[:"),
    ({"Host": "example.org"}, "http://example.org/"),
    ({"Host": "example.org"}, "example.org"),
]


@pytest.mark.parametrize(("headers", "origin"), SAME_ORIGIN)
async def test_an_origin_is_the_own_one_however_it_is_written(ws: str, headers: Headers, origin: str) -> None:
    async with handshake(EngineServer(), ws, {**headers, "Origin": origin}) as (status, _, _raw):
        assert status == 101
    assert (await poll_from(EngineServer(), headers, origin)).status == 200


@pytest.mark.parametrize(("headers", "origin"), OTHER_ORIGIN)
async def test_what_resembles_the_own_origin_is_not_it(ws: str, headers: Headers, origin: str) -> None:
    async with handshake(EngineServer(), ws, {**headers, "Origin": origin}) as (status, _, _raw):
        assert status == 400
    assert (await poll_from(EngineServer(), headers, origin)).status == 400


async def poll_from(server: EngineServer, headers: Headers, origin: str) -> Answer:
    return await request(server.handle_request, "GET", PATH, HANDSHAKE, {**headers, "Origin": origin})


@pytest.mark.parametrize(
    "allowed",
    ["https://Elsewhere.example", ["HTTPS://elsewhere.example:443"], [None, "https://elsewhere.example:443"]],
)
async def test_an_origin_is_allowed_however_the_option_writes_it(allowed: Any) -> None:
    for origin in (FOREIGN, "https://ELSEWHERE.example:443"):
        answer = await ask(EngineServer(cors_allowed_origins=allowed), origin=origin)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == origin
    assert (await ask(EngineServer(cors_allowed_origins=allowed), origin=f"{FOREIGN}:80")).status == 400


async def test_origins_may_come_from_a_generator() -> None:
    server = EngineServer(cors_allowed_origins=(origin for origin in ["http://a.example", FOREIGN]))
    for _ in range(2):
        assert (await ask(server, origin=FOREIGN)).status == 200
    assert (await ask(server, origin="http://b.example")).status == 400


async def test_a_scope_without_a_scheme_is_plain_http() -> None:
    server = EngineServer()

    async def without_scheme(scope: Any, receive: Any, send: Any) -> None:
        del scope["scheme"]  # it is optional in ASGI
        await server.handle_request(scope, receive, send)

    answer = await request(without_scheme, "GET", PATH, HANDSHAKE, {"Origin": "http://example.org"})
    assert answer.status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://127.0.0.1"},
        {"Origin": "https://a.example", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "a.example"},
    ],
    ids=["none", "own", "the proxy's"],
)
async def test_a_websocket_of_the_own_origin_is_accepted(ws: str, headers: Headers) -> None:
    async with handshake(EngineServer(), ws, headers) as (status, _, _raw):
        assert status == 101


async def test_a_websocket_of_another_origin_is_a_bad_request(ws: str) -> None:
    server = EngineServer()
    async with handshake(server, ws, {"Origin": FOREIGN}) as (status, _, _raw):
        assert status == 400
        assert server.sessions == {}


@pytest.mark.parametrize("allowed", [FOREIGN, "*", [], lambda origin, environ: True])
async def test_a_websocket_of_an_origin_that_the_option_allows_is_accepted(ws: str, allowed: Any) -> None:
    server = EngineServer(cors_allowed_origins=allowed)
    async with handshake(server, ws, {"Origin": FOREIGN}) as (status, _, _raw):
        assert status == 101


# Subprotocols


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


# Cookies


async def test_there_is_no_cookie_by_default() -> None:
    assert "set-cookie" not in (await ask(EngineServer())).headers


async def test_a_cookie_option_names_a_cookie_with_the_session_id() -> None:
    poller = await Poller(EngineServer(cookie="io")).open()
    assert poller.opened is not None
    assert poller.opened.headers["set-cookie"] == f"io={poller.sid}; path=/; SameSite=Lax"


async def test_a_cookie_dictionary_has_attributes() -> None:
    cookie = {"name": "io", "Path": "/chat", "Domain": lambda: "example.org", "HttpOnly": True}
    poller = await Poller(EngineServer(cookie=cookie)).open()
    assert poller.opened is not None
    expected = f"io={poller.sid}; Path=/chat; Domain=example.org; HttpOnly"
    assert poller.opened.headers["set-cookie"] == expected


@pytest.mark.parametrize("value", [False, None])
async def test_a_cookie_attribute_without_a_value_is_left_out(value: bool | None) -> None:
    poller = await Poller(EngineServer(cookie={"name": "io", "Secure": value})).open()
    assert poller.opened is not None
    assert poller.opened.headers["set-cookie"] == f"io={poller.sid}"


async def test_only_the_first_answer_sets_the_cookie() -> None:
    poller = await Poller(EngineServer(cookie="io")).open()
    answer = await poller.post("4hello")
    assert "set-cookie" not in answer.headers


async def test_a_websocket_handshake_sets_the_cookie(ws: str) -> None:
    async with handshake(EngineServer(cookie="io"), ws) as (_, headers, raw):
        sid = json.loads((await raw.read_frame())[1][1:])["sid"]
        assert headers["set-cookie"] == f"io={sid}; path=/; SameSite=Lax"


# Compression


async def answer_of(size: int, accept: str, **options: Any) -> Answer:
    """A poll that is answered with so many bytes."""
    server = EngineServer(**options)
    poller = await Poller(server, {"Accept-Encoding": accept}).open()
    await server.send(poller.sid, "x" * (size - 1))
    return await poller.request("GET")


async def test_a_large_answer_is_compressed_with_gzip() -> None:
    answer = await answer_of(2000, "gzip, deflate, br")
    assert answer.headers["content-encoding"] == "gzip"
    assert gzip.decompress(answer.body) == b"4" + b"x" * 1999
    assert answer.headers["content-length"] == str(len(answer.body))


async def test_a_large_answer_is_compressed_with_deflate_for_who_accepts_no_gzip() -> None:
    answer = await answer_of(2000, "deflate")
    assert answer.headers["content-encoding"] == "deflate"
    assert zlib.decompress(answer.body) == b"4" + b"x" * 1999


@pytest.mark.parametrize("accept", ["gzip;q=0, deflate", "gzip; q=0, deflate", "gzip;q=0.0, deflate"])
async def test_an_encoding_that_the_client_excludes_is_not_used(accept: str) -> None:
    answer = await answer_of(2000, accept)
    assert answer.headers["content-encoding"] == "deflate"


@pytest.mark.parametrize("accept", ["", "br", "identity"])
async def test_an_answer_is_not_compressed_for_who_does_not_accept_it(accept: str) -> None:
    assert "content-encoding" not in (await answer_of(2000, accept)).headers


async def test_an_answer_below_the_threshold_is_not_compressed() -> None:
    assert "content-encoding" not in (await answer_of(1023, "gzip")).headers


async def test_an_answer_of_the_thresholds_size_is_compressed() -> None:
    assert "content-encoding" in (await answer_of(1024, "gzip")).headers


async def test_the_threshold_can_be_set() -> None:
    answer = await answer_of(500, "gzip", compression_threshold=400)
    assert answer.headers["content-encoding"] == "gzip"


async def test_compression_can_be_switched_off() -> None:
    answer = await answer_of(2000, "gzip", http_compression=False)
    assert answer.body == b"4" + b"x" * 1999


# Sizes


async def test_the_handshake_tells_the_limit() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=1234)).open()
    assert poller.handshake["maxPayload"] == 1234


async def test_a_post_of_the_limits_size_is_taken() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=100)).open()
    assert (await poller.post("4" + "x" * 99)).status == 200


async def test_a_post_beyond_the_limit_is_refused() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=100)).open()
    assert (await poller.post("4" + "x" * 100)).status == 413


async def test_a_post_that_announces_too_much_is_refused_unread() -> None:
    poller = await Poller(EngineServer(), {"Content-Length": "100000000"}).open()

    def body() -> Iterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    assert (await poller.request("POST", body=body())).status == 413


async def test_an_endless_post_is_read_up_to_the_limit_only() -> None:
    poller = await Poller(EngineServer(max_http_buffer_size=1_000_000)).open()
    body = iter([bytes(64 * 1024)] * 1600)
    assert (await poller.request("POST", body=body)).status == 413
    assert 1600 - len(list(body)) == 16


async def test_a_post_beyond_the_limit_ends_the_session() -> None:
    server = EngineServer(max_http_buffer_size=100)
    poller = await Poller(server).open()
    await poller.post("4" + "x" * 100)
    assert server.sessions == {}


async def test_a_websocket_message_of_the_limits_size_is_taken(ws: str) -> None:
    server = EngineServer(max_http_buffer_size=100)
    server.on("message", server.send)
    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4" + b"x" * 99))
        assert (await raw.read_frame())[1] == b"4" + b"x" * 99


@pytest.mark.parametrize("text", ["x" * 100, "ü" * 50])
async def test_a_websocket_message_beyond_the_limit_is_closed_with_1009(ws: str, text: str) -> None:
    server = EngineServer(max_http_buffer_size=100)
    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4" + text.encode()))
        assert await raw.close_code() == 1009


# Heartbeat and time limits


async def test_the_handshake_tells_both_times_in_milliseconds() -> None:
    poller = await Poller(EngineServer(ping_interval=1.5, ping_timeout=0.25)).open()
    assert (poller.handshake["pingInterval"], poller.handshake["pingTimeout"]) == (1500, 250)


async def test_a_pair_of_ping_intervals_is_told_as_their_sum() -> None:
    poller = await Poller(EngineServer(ping_interval=(25, 10))).open()
    assert poller.handshake["pingInterval"] == 35_000


async def test_the_server_pings_after_the_first_of_a_pair_of_intervals() -> None:
    poller = await Poller(EngineServer(ping_interval=(0.05, 100))).open()
    assert await within(poller.get()) == ["2"]


async def test_a_client_that_answers_no_ping_is_disconnected_for_that_reason(ws: str) -> None:
    server = EngineServer(ping_interval=0.02, ping_timeout=0.02)
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    server.on("disconnect", lambda sid, why: reason.set_result(why))
    async with websocket(server, ws):
        assert await within(reason) == "ping timeout"


async def test_a_client_that_answers_its_pings_stays() -> None:
    server = EngineServer(ping_interval=0.02, ping_timeout=2)
    poller = await Poller(server).open()
    for _ in range(5):
        assert await within(poller.get()) == ["2"]
        await poller.post("3")
    assert list(server.sessions) == [poller.sid]


async def test_a_client_that_joins_no_namespace_is_disconnected() -> None:
    server = AsyncServer(connect_timeout=0.05)
    async with Socket(server.handle_request) as socket:
        await socket.receive()
        with pytest.raises(Closed):
            await socket.receive()


async def test_a_client_that_joins_a_namespace_in_time_stays() -> None:
    server = AsyncServer(connect_timeout=0.05)
    async with Socket(server.handle_request) as socket, Socket(server.handle_request) as idle:
        await socket.receive()
        socket.send("40")
        assert (await socket.receive())[:2] == "40"
        await idle.receive()
        with pytest.raises(Closed):
            await idle.receive()
        assert len(server.eio.sessions) == 1


# Transports


async def test_a_websocket_is_offered_by_default() -> None:
    assert (await Poller(EngineServer()).open()).handshake["upgrades"] == ["websocket"]


@pytest.mark.parametrize("options", [{"allow_upgrades": False}, {"transports": ["polling"]}])
async def test_no_upgrade_is_offered_where_there_is_none(options: dict[str, Any]) -> None:
    assert (await Poller(EngineServer(**options)).open()).handshake["upgrades"] == []


async def test_an_upgrade_that_is_not_allowed_is_refused() -> None:
    server = EngineServer(allow_upgrades=False)
    poller = await Poller(server).open()
    with pytest.raises(Refused):
        async with Socket(server.handle_request, PATH, f"{WEBSOCKET}&sid={poller.sid}"):
            pass
    assert list(server.sessions) == [poller.sid]


async def test_without_upgrades_a_websocket_may_open_a_session() -> None:
    async with Socket(EngineServer(allow_upgrades=False).handle_request) as socket:
        assert (await socket.receive())[0] == "0"


@pytest.mark.parametrize("transports", [["websocket"], "websocket", ("websocket",)])
async def test_polling_is_refused_where_only_websockets_are_served(transports: Any) -> None:
    server = EngineServer(transports=transports)
    assert (await ask(server)).status == 400
    async with Socket(server.handle_request) as socket:
        assert (await socket.receive())[0] == "0"


async def test_websockets_are_refused_where_only_polling_is_served() -> None:
    server = EngineServer(transports=["polling"])
    with pytest.raises(Refused):
        async with Socket(server.handle_request):
            pass
    assert (await ask(server)).status == 200


@pytest.mark.parametrize("transports", [["websocket", "webtransport"], "webtransport"])
def test_an_unknown_transport_is_an_error_that_names_it(transports: Any) -> None:
    with pytest.raises(ValueError, match="webtransport"):
        EngineServer(transports=transports)


# Options as attributes

OPTIONS: dict[str, Any] = {
    "ping_interval": (8, 3),
    "ping_timeout": 7,
    "max_http_buffer_size": 5_000,
    "allow_upgrades": False,
    "http_compression": False,
    "compression_threshold": 10,
    "cookie": {"name": "io", "Secure": True},
    "cors_allowed_origins": [FOREIGN],
    "cors_credentials": False,
    "async_handlers": False,
    "transports": ["websocket"],
}


@pytest.mark.parametrize("options", [{}, OPTIONS], ids=["by default", "given"])
def test_the_options_are_attributes_as_in_engineio(options: dict[str, Any]) -> None:
    theirs = engineio.AsyncServer(async_mode="asgi", **options)
    ours = AsyncServer(**options).eio
    for name in [*OPTIONS, "ping_interval_grace_period"]:
        assert getattr(ours, name) == getattr(theirs, name), name


async def test_the_sessions_are_counted_as_in_engineio() -> None:
    server = EngineServer()
    pollers = [await Poller(server).open() for _ in range(2)]
    assert set(server.sockets) == {poller.sid for poller in pollers}


# Options that are refused


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
def test_an_unknown_option_is_an_error_that_names_it(kind: Callable[..., Any]) -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        kind(ping_intervall=5)


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
@pytest.mark.parametrize("mode", ["eventlet", "gevent", "aiohttp", "threading"])
def test_another_async_mode_is_refused(kind: Callable[..., Any], mode: str) -> None:
    with pytest.raises(ValueError, match=mode):
        kind(async_mode=mode)


@pytest.mark.parametrize("mode", [None, "asgi", "asyncio"])
def test_the_async_mode_is_asgi(mode: str | None) -> None:
    assert AsyncServer(async_mode=mode).async_mode == "asgi"


def test_monitor_clients_is_accepted() -> None:
    EngineServer(monitor_clients=False)


# JSON


def loud_json() -> Any:
    """A JSON module that shouts."""
    return SimpleNamespace(
        dumps=lambda data, **options: json.dumps(data, **options).upper(),
        loads=lambda text, **options: json.loads(text.lower(), **options),
    )


async def test_the_engines_json_module_encodes_messages() -> None:
    server = EngineServer(json=loud_json())
    poller = await Poller(server).open()
    await server.send(poller.sid, {"text": "hello"})
    assert await poller.get() == ['4{"TEXT":"HELLO"}']


async def test_the_json_module_encodes_and_decodes_events() -> None:
    server = AsyncServer(json=loud_json())
    server.on("say", lambda sid, text: text + "!")
    async with Socket(server.handle_request) as socket:
        await socket.receive()
        socket.send("40")
        await socket.receive()
        socket.send('420["SAY","HELLO"]')
        assert await socket.receive() == '430["HELLO!"]'


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
def test_the_json_module_is_that_servers_only(serializer: str) -> None:
    before = socketio.packet.Packet.json, MsgPackPacket.json
    AsyncServer(json=loud_json(), serializer=serializer)
    assert (socketio.packet.Packet.json, MsgPackPacket.json) == before
    assert AsyncServer().codec.encode(["hello"]).data == b'["hello"]'


# Logging


@contextmanager
def unconfigured(name: str) -> Iterator[None]:
    """Make a logger what it is in a program that configures no logging."""
    logger = logging.getLogger(name)
    before = logger.level, logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [], False
    logger.setLevel(logging.NOTSET)
    try:
        yield
    finally:
        logger.handlers, logger.propagate = before[1:]
        logger.setLevel(before[0])


@pytest.fixture(params=[(EngineServer, "asyncsock.engine"), (AsyncServer, "asyncsock.server")])
def make(request: pytest.FixtureRequest) -> Iterator[Callable[..., Any]]:
    """Makes a server whose logger nobody has configured."""
    kind, name = request.param

    def make(**options: Any) -> Any:
        with unconfigured(name):
            yield kind(**options)

    with ExitStack() as stack:
        yield lambda **options: stack.enter_context(contextmanager(make)(**options))


def test_logger_true_shows_info_on_stderr(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    make(logger=True).logger.info("hello")
    assert capsys.readouterr().err == "hello\n"


def test_logger_true_twice_shows_a_line_once(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = make(logger=True)
    type(server)(logger=True).logger.info("hello")
    assert capsys.readouterr().err == "hello\n"


def test_logger_true_keeps_a_level_that_is_set(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    server = make()
    server.logger.setLevel(logging.ERROR)
    type(server)(logger=True).logger.info("hello")
    assert capsys.readouterr().err == ""


def test_logger_false_shows_warnings_only(
    make: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    logger = make(logger=False).logger
    logger.info("hello")
    logger.warning("careful")
    assert capsys.readouterr().err == "careful\n"


def test_logger_false_is_silent_under_a_root_logger_at_info(
    make: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    server = make(logger=False)
    server.logger.propagate = True
    with caplog.at_level(logging.DEBUG):
        server.logger.info("hello")
        server.logger.debug("hello")
        server.logger.warning("careful")
    assert caplog.messages == ["careful"]


@pytest.mark.parametrize("level", [logging.DEBUG, logging.ERROR, logging.WARNING])
def test_logger_false_leaves_a_level_that_is_set(make: Callable[..., Any], level: int) -> None:
    above = logging.getLogger("asyncsock")
    above.setLevel(level)
    try:
        assert make(logger=False).logger.getEffectiveLevel() == level
    finally:
        above.setLevel(logging.NOTSET)


def test_logger_true_shows_what_another_server_has_silenced(make: Callable[..., Any]) -> None:
    server = make(logger=False)
    assert not server.logger.isEnabledFor(logging.INFO)
    assert type(server)(logger=True).logger.isEnabledFor(logging.INFO)
    assert type(server)(logger=False).logger.isEnabledFor(logging.INFO)


async def test_by_default_a_session_logs_nothing_under_a_root_logger_at_info(
    caplog: pytest.LogCaptureFixture,
) -> None:
    names = ("asyncsock.server", "asyncsock.engine")
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(unconfigured(name))
            logging.getLogger(name).propagate = True
        stack.enter_context(caplog.at_level(logging.INFO))
        server = AsyncServer(logger=False, engineio_logger=False)
        server.on("say", lambda sid, data: data)
        async with Socket(server.handle_request) as socket:
            for packet in ("40", '420["say","hello"]'):
                socket.send(packet)
            for _ in range(3):
                await socket.receive()
            await server.emit("news")
            await server.shutdown()
    assert [record.getMessage() for record in caplog.records if record.name in names] == []


@pytest.mark.parametrize("kind", [EngineServer, AsyncServer])
def test_a_logger_that_is_given_is_used(kind: Callable[..., Any]) -> None:
    mine = logging.getLogger("tests.mine")
    assert kind(logger=mine).logger is mine


def test_the_engine_of_a_server_has_a_logger_option_of_its_own() -> None:
    mine, engines = logging.getLogger("tests.mine"), logging.getLogger("tests.engine")
    server = AsyncServer(logger=mine, engineio_logger=engines)
    assert (server.logger, server.eio.logger) == (mine, engines)


async def test_a_refused_request_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    await ask(EngineServer(), origin=FOREIGN)
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("asyncsock.engine", "WARNING")
    assert "Not an accepted origin" in record.getMessage()


async def test_a_refused_origin_is_one_warning_that_names_it_and_the_remedy(
    ws: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with handshake(EngineServer(), ws, {"Origin": FOREIGN}):
        pass
    await ask(EngineServer(), origin=FOREIGN)
    for record, own in zip(caplog.records, ["http://127.0.0.1", "http://example.org"], strict=True):
        assert record.levelname == "WARNING"
        assert record.getMessage() == (
            f"GET /engine.io/ refused: 400 Not an accepted origin: name '{FOREIGN}' in cors_allowed_origins"
            f" to let it in (the server's own is '{own}';"
            " a proxy has to pass the Host and X-Forwarded-Proto headers)"
        )


async def test_an_origin_that_is_not_among_those_allowed_is_named(caplog: pytest.LogCaptureFixture) -> None:
    await ask(EngineServer(cors_allowed_origins="http://a.example"), origin=FOREIGN)
    (record,) = caplog.records
    assert record.getMessage().endswith(f"name '{FOREIGN}' in cors_allowed_origins to let it in")


async def test_what_a_client_sends_cannot_break_or_swell_a_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bad = "http://\x85\x1b[31mERROR fake\u00a0" + "x" * 10_000
    server = EngineServer()
    path = PATH + "\nERROR fake" + "y" * 10_000
    headers = {"Origin": bad, "Host": bad, "X-Forwarded-Host": bad + "2"}
    assert (await request(server.handle_request, "GET", path, HANDSHAKE, headers)).status == 400
    (record,) = caplog.records
    assert record.getMessage().isprintable()
    assert len(record.getMessage()) < 1500


# The surface: handlers


def test_a_handler_for_an_unknown_event_is_an_error_that_names_it() -> None:
    with pytest.raises(ValueError, match="connected"):
        EngineServer().on("connected", lambda sid, environ: None)


def test_on_is_a_decorator_too() -> None:
    server = EngineServer()

    @server.on("message")
    def message(sid: str, data: str) -> None:
        pass

    assert server.handlers["message"] is message


@pytest.mark.parametrize("coroutine", [False, True])
async def test_the_connect_handler_gets_the_sid_and_the_environ(coroutine: bool) -> None:
    server = EngineServer()
    got: list[Any] = []

    def connect(sid: str, environ: dict[str, Any]) -> None:
        got.append((sid, environ["PATH_INFO"], environ["QUERY_STRING"]))

    async def connect_later(sid: str, environ: dict[str, Any]) -> None:
        await asyncio.sleep(0)
        connect(sid, environ)

    server.on("connect", connect_later if coroutine else connect)
    poller = await Poller(server).open()
    assert got == [(poller.sid, PATH, HANDSHAKE)]


def refuses(with_: Any) -> Callable[..., Any]:
    if isinstance(with_, Exception):

        def handler(sid: str, environ: dict[str, Any]) -> Any:
            raise with_

        return handler
    return lambda sid, environ: with_


def later(handler: Callable[..., Any]) -> Callable[..., Any]:
    async def handle(*args: Any) -> Any:
        await asyncio.sleep(0.01)
        return handler(*args)

    return handle


REFUSALS = [(False, "Unauthorized"), ("go away", "go away"), (ValueError("bug"), "Unauthorized")]


@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize(("result", "message"), REFUSALS, ids=["False", "text", "an error"])
async def test_a_connect_handler_refuses_a_polling_client_with_401(
    coroutine: bool, result: Any, message: str
) -> None:
    server = EngineServer()
    server.on("connect", later(refuses(result)) if coroutine else refuses(result))
    answer = await ask(server)
    assert (answer.status, json.loads(answer.body)["message"]) == (401, message)
    assert server.sessions == {}


@pytest.mark.parametrize("coroutine", [False, True])
@pytest.mark.parametrize(("result", "message"), REFUSALS, ids=["False", "text", "an error"])
async def test_a_connect_handler_refuses_a_websocket_with_401(
    ws: str, coroutine: bool, result: Any, message: str
) -> None:
    server = EngineServer()
    server.on("connect", later(refuses(result)) if coroutine else refuses(result))
    async with handshake(server, ws) as (status, _, raw):
        assert status == 401
        assert f'"message":"{message}"' in (await within(raw.reader.read())).decode()
        assert server.sessions == {}


@pytest.mark.parametrize("result", [None, True])
async def test_a_connect_handler_that_returns_nothing_or_true_accepts(result: bool | None) -> None:
    server = EngineServer()
    server.on("connect", lambda sid, environ: result)
    assert (await ask(server)).status == 200


async def test_an_error_in_the_connect_handler_is_logged_with_its_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = EngineServer()
    server.on("connect", refuses(ValueError("bug")))
    await ask(server)
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


async def test_what_a_connect_handler_sends_follows_the_open_packet_over_polling() -> None:
    server = EngineServer()
    server.on("connect", later(lambda sid, environ: server.send(sid, "welcome") and None))
    poller = await Poller(server).open()
    assert poller.opened is not None
    packets = poller.opened.text.split(SEPARATOR)[1:] or await poller.get()
    assert packets == ["4welcome"]


@pytest.mark.parametrize("coroutine", [False, True])
async def test_what_a_connect_handler_sends_follows_the_open_packet_on_a_websocket(
    ws: str, coroutine: bool
) -> None:
    server = EngineServer()

    def connect(sid: str, environ: dict[str, Any]) -> None:
        server.send(sid, "one")
        server.send(sid, "two")

    server.on("connect", later(connect) if coroutine else connect)
    async with websocket(server, ws) as raw:
        assert [(await raw.read_frame())[1] for _ in range(2)] == [b"4one", b"4two"]


async def test_a_client_that_leaves_while_the_connect_handler_runs_is_disconnected(ws: str) -> None:
    server = EngineServer()
    entered, left = asyncio.Event(), asyncio.Event()
    reason: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        entered.set()
        await left.wait()

    server.on("disconnect", lambda sid, why: reason.set_result(why))
    async with running(ASGIApp(server, socketio_path="engine.io"), ws) as local:
        async with await RawSocket.connect(local) as raw:
            await raw.send(upgrade_request(PATH))
            await within(entered.wait())
        left.set()
        assert await within(reason) == "transport close"
        assert server.sessions == {}


async def test_the_message_handler_gets_text_and_bytes() -> None:
    server = EngineServer()
    got: list[Any] = []
    server.on("message", lambda sid, data: got.append((sid, data)))
    poller = await Poller(server).open()
    await poller.post("4text", "bAQID")
    assert got == [(poller.sid, "text"), (poller.sid, b"\x01\x02\x03")]


async def test_the_disconnect_handler_gets_the_reason() -> None:
    server = EngineServer()
    got: list[Any] = []
    server.on("disconnect", lambda sid, reason: got.append((sid, reason)))
    poller = await Poller(server).open()
    await poller.post("1")
    assert got == [(poller.sid, "client disconnect")]


async def test_a_disconnect_handler_may_do_without_the_reason() -> None:
    server = EngineServer()
    got: list[str] = []
    done = asyncio.Event()

    @server.on("disconnect")
    async def disconnect(sid: str) -> None:
        got.append(sid)
        done.set()

    poller = await Poller(server).open()
    await poller.post("1")
    await within(done.wait())
    assert got == [poller.sid]


async def test_a_disconnect_handlers_own_type_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    server = EngineServer()
    calls: list[tuple[Any, ...]] = []

    @server.on("disconnect")
    def disconnect(sid: str, reason: str) -> None:
        calls.append((sid, reason))
        raise TypeError("my own")

    poller = await Poller(server).open()
    await poller.post("1")
    assert len(calls) == 1
    assert [str(record.exc_info[1]) for record in caplog.records if record.exc_info] == ["my own"]


async def test_message_handlers_overlap_by_default() -> None:
    server = EngineServer()
    running_now = 0
    met = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        nonlocal running_now
        running_now += 1
        if running_now == 2:
            met.set()
        await met.wait()

    poller = await Poller(server).open()
    await poller.post("4one", "4two")
    await within(met.wait())


async def test_without_async_handlers_messages_are_handled_in_turn() -> None:
    server = EngineServer(async_handlers=False)
    steps: list[str] = []
    done = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        steps.append(f"begin {data}")
        await asyncio.sleep(0.01 if data == "1" else 0)
        steps.append(f"end {data}")
        if data == "3":
            done.set()

    poller = await Poller(server).open()
    await poller.post("41", "42", "43")
    await within(done.wait())
    assert steps == [f"{what} {number}" for number in (1, 2, 3) for what in ("begin", "end")]


async def test_without_async_handlers_clients_do_not_wait_for_each_other() -> None:
    server = EngineServer(async_handlers=False)
    never, second = asyncio.Event(), asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        if data == "wait":
            await never.wait()
        second.set()

    first_client, second_client = await Poller(server).open(), await Poller(server).open()
    await first_client.post("4wait")
    await second_client.post("4go")
    await within(second.wait())


async def test_without_async_handlers_an_error_does_not_stop_the_messages_that_follow() -> None:
    server = EngineServer(async_handlers=False)
    done = asyncio.Event()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        if data == "bad":
            raise ValueError("bug")
        done.set()

    poller = await Poller(server).open()
    await poller.post("4bad", "4good")
    await within(done.wait())


@pytest.mark.parametrize("coroutine", [False, True])
async def test_an_error_in_a_message_handler_is_logged_and_the_session_goes_on(
    coroutine: bool, caplog: pytest.LogCaptureFixture
) -> None:
    server = EngineServer()

    def message(sid: str, data: str) -> None:
        if data != "end":
            json.loads(data)  # a ValueError, as for a packet that breaks the protocol
        server.send(sid, "still here")

    server.on("message", later(message) if coroutine else message)
    poller = await Poller(server).open()
    assert (await poller.post("4not json")).status == 200
    assert (await poller.post("4end")).status == 200
    assert await poller.get() == ["4still here"]
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [json.JSONDecodeError]


# The surface: what applications call


@pytest.mark.parametrize(
    ("data", "packet"),
    [
        ("text", "4text"),
        ("", "4"),
        (b"\x01\x02\x03", "bAQID"),
        (bytearray(b"\x01\x02\x03"), "bAQID"),
        ({"a": [1, None]}, '4{"a":[1,null]}'),
        (["žluť"], '4["\\u017elu\\u0165"]'),
        (7, "47"),
    ],
)
async def test_send_takes_text_bytes_and_what_json_can_encode(data: Any, packet: str) -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    await server.send(poller.sid, data)
    assert await poller.get() == [packet]


async def test_send_without_await_sends() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    server.send(poller.sid, "one")
    server.send(poller.sid, "two")
    assert await poller.get() == ["4one", "4two"]


async def test_send_to_an_unknown_client_is_one_warning(caplog: pytest.LogCaptureFixture) -> None:
    await EngineServer().send("nobody", "hello")
    assert [record.levelname for record in caplog.records] == ["WARNING"]


async def test_disconnect_ends_one_session() -> None:
    server = EngineServer()
    one, two = await Poller(server).open(), await Poller(server).open()
    await server.disconnect(one.sid)
    assert list(server.sessions) == [two.sid]
    assert await one.get() == ["1"]


async def test_disconnect_ends_all_sessions() -> None:
    server = EngineServer()
    reasons: list[str] = []
    server.on("disconnect", lambda sid, reason: reasons.append(reason))
    await Poller(server).open()
    await Poller(server).open()
    await server.disconnect()
    assert server.sessions == {}
    assert reasons == ["server disconnect"] * 2


async def test_disconnect_of_an_unknown_client_does_nothing() -> None:
    await EngineServer().disconnect("nobody")


async def test_what_was_sent_before_disconnect_arrives(ws: str) -> None:
    server = EngineServer()

    @server.on("message")
    async def message(sid: str, data: str) -> None:
        await server.send(sid, "bye")
        await server.disconnect(sid)

    async with websocket(server, ws) as raw:
        await raw.send(frame(1, b"4go"))
        assert (await raw.read_frame())[1] == b"4bye"
        assert (await raw.read_frame())[0] == CLOSE


async def test_the_user_session_is_an_empty_dictionary_at_first() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    assert await server.get_session(poller.sid) == {}


async def test_the_user_session_is_saved() -> None:
    server = EngineServer()
    one, two = await Poller(server).open(), await Poller(server).open()
    await server.save_session(one.sid, {"user": "ann"})
    assert await server.get_session(one.sid) == {"user": "ann"}
    assert await server.get_session(two.sid) == {}


async def test_the_user_session_is_a_context_manager() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    async with server.session(poller.sid) as session:
        session["user"] = "ann"
    assert await server.get_session(poller.sid) == {"user": "ann"}


async def test_the_user_session_is_there_in_the_connect_handler() -> None:
    server = EngineServer()

    @server.on("connect")
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.save_session(sid, {"user": "ann"})

    poller = await Poller(server).open()
    assert await server.get_session(poller.sid) == {"user": "ann"}


@pytest.mark.parametrize("coroutine", [False, True])
async def test_the_user_session_is_there_in_the_disconnect_handler(coroutine: bool) -> None:
    server = EngineServer()
    got: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    @server.on("disconnect")
    async def disconnect(sid: str) -> None:
        if coroutine:
            await asyncio.sleep(0)
        try:
            got.set_result(await server.get_session(sid))
        except KeyError as error:
            got.set_exception(AssertionError(f"no session {error}"))

    poller = await Poller(server).open()
    await server.save_session(poller.sid, {"user": "ann"})
    await poller.post("1")
    assert await within(got) == {"user": "ann"}


async def test_transport_tells_the_transport() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    assert server.transport(poller.sid) == "polling"
    async with Socket(server.handle_request) as socket:
        sid = json.loads((await socket.receive())[1:])["sid"]
        assert server.transport(sid) == "websocket"


async def test_transport_follows_an_upgrade() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    async with Socket(server.handle_request, PATH, f"{WEBSOCKET}&sid={poller.sid}") as socket:
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        server.on("message", server.send)
        socket.send("4hello")
        assert await socket.receive() == "4hello"
        assert server.transport(poller.sid) == "websocket"


def test_attach_is_an_error_that_names_asgi_app() -> None:
    with pytest.raises(NotImplementedError, match="ASGIApp"):
        EngineServer().attach(object())


async def test_start_background_task_runs_a_coroutine_function() -> None:
    async def add(a: int, b: int) -> int:
        return a + b

    assert await within(EngineServer().start_background_task(add, 1, b=2)) == 3


async def test_an_error_in_a_background_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise ValueError("bug")

    await within(EngineServer().start_background_task(fail))
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ValueError]


async def test_sleep_create_queue_and_create_event_are_asyncios() -> None:
    server = EngineServer()
    await server.sleep(0)
    assert isinstance(server.create_queue(), asyncio.Queue)
    assert isinstance(server.create_event(), asyncio.Event)


def test_generated_ids_are_20_safe_characters_and_differ() -> None:
    server = EngineServer()
    ids = {server.generate_id() for _ in range(100)}
    assert len(ids) == 100
    assert all(len(id) == 20 and id.replace("-", "").replace("_", "").isalnum() for id in ids)


async def test_shutdown_ends_every_session_and_refuses_new_ones() -> None:
    server = EngineServer()
    poller = await Poller(server).open()
    hanging = asyncio.ensure_future(poller.request("GET"))
    await asyncio.sleep(0)
    await within(server.shutdown())
    assert (await within(hanging)).text == "1"
    assert server.sessions == {}
    assert (await ask(server)).status == 503
