"""Which origins are served, and the CORS headers of the answers."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from tests.support.asgi_in_process import (
    HANDSHAKE,
    Answer,
    Headers,
    request,
)
from tests.support.engineio_in_process import FOREIGN, PATH, ask, handshake
from tests.support.raw_clients import RawSocket, upgrade_request
from tests.support.uvicorn_in_process import running


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


# Proxies that are believed

HTTPS = "https://example.org"
PUBLIC = "https://public.example"
BY_PROXY = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "public.example"}


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (("127.0.0.1", 50000), 200),
        (("::1", 50000), 200),
        (None, 200),  # a Unix socket
        (("203.0.113.7", 0), 200),  # as middleware that believes proxies has it
        (("203.0.113.7", 50000), 400),
        (("unix:", 50000), 400),
    ],
    ids=str,
)
async def test_a_proxy_is_believed_on_this_machine_or_if_middleware_believes_it(
    client: Any, status: int
) -> None:
    for headers in ({"X-Forwarded-Proto": "https", "Origin": HTTPS}, {**BY_PROXY, "Origin": PUBLIC}):
        app = EngineServer().handle_request
        assert (await request(app, "GET", PATH, HANDSHAKE, headers, client=client)).status == status


@pytest.mark.parametrize("more", [{}, {"X-Forwarded-For": "203.0.113.7"}], ids=["", "address"])
@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({}, 200),
        ({"forwarded_allow_ips": "*"}, 200),
        ({"forwarded_allow_ips": "10.9.8.7"}, 400),
        ({"proxy_headers": False}, 400),
    ],
    ids=["default", "all", "another", "none"],
)
@pytest.mark.parametrize("way", [{}, {"http": "h11"}, {"ws": "wsproto"}], ids=["httptools", "h11", "wsproto"])
async def test_uvicorns_options_decide_which_proxy_is_believed(
    way: dict[str, Any], options: dict[str, Any], status: int, more: dict[str, str]
) -> None:
    app = ASGIApp(EngineServer(), socketio_path="engine.io")
    headers = {**BY_PROXY, **more, "Origin": PUBLIC}
    async with running(app, **way, **options) as local:
        async with await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
            await raw.send(upgrade_request(PATH, {}, headers))
            assert (await raw.response_head())[0] == (101 if status == 200 else status)
        async with await RawSocket.connect(local) as raw:  # type: ignore[arg-type]
            lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
            await raw.send(f"GET {PATH}?{HANDSHAKE} HTTP/1.1\r\nHost: inner\r\n{lines}\r\n".encode())
            assert (await raw.response_head())[0] == status


async def test_the_log_says_which_proxy_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    headers = {"X-Forwarded-Proto": "https", "Origin": HTTPS}
    app = EngineServer().handle_request
    await request(app, "GET", PATH, HANDSHAKE, headers, client=("10.0.0.5", 50000))
    (record,) = caplog.records
    assert record.getMessage().endswith(
        "(the server's own is 'http://example.org'; the server does not believe the X-Forwarded headers of"
        " 10.0.0.5: uvicorn does with --forwarded-allow-ips)"
    )


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
