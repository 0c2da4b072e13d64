"""The WSGI environ that is built from an ASGI scope."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any
from wsgiref.validate import check_environ  # type: ignore[attr-defined]

import pytest

from asyncsock import ASGIApp, AsyncServer
from asyncsock.engine import environ as module
from asyncsock.engine.environ import build_environ
from tests.support.asgi_in_process import HANDSHAKE, Socket, request
from tests.support.raw_clients import TEXT, RawSocket, frame
from tests.support.uvicorn_in_process import running


def scope(*headers: tuple[bytes, bytes], **changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": "/a/b",
        "raw_path": b"/a/b",
        "root_path": "",
        "query_string": b"x=1&y=%20",
        "headers": list(headers),
        "server": ("127.0.0.1", 5000),
        "client": ("192.0.2.7", 40000),
    }
    return {**values, **changes}


def test_an_http_request_has_what_pep_3333_asks_for() -> None:
    given = scope((b"host", b"example.org"))
    environ = build_environ(given)
    assert environ["REQUEST_METHOD"] == "POST"
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("", "/a/b")
    assert environ["QUERY_STRING"] == "x=1&y=%20"
    assert environ["REQUEST_URI"] == environ["RAW_URI"] == "/a/b?x=1&y=%20"
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("127.0.0.1", "5000")
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("192.0.2.7", "40000")
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert environ["SERVER_SOFTWARE"] == f"asyncsock/{version('asyncsock')}"
    assert environ["HTTP_HOST"] == "example.org"
    assert environ["wsgi.version"] == (1, 0)
    assert environ["wsgi.url_scheme"] == "http"
    assert environ["wsgi.errors"] is sys.stderr
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.multiprocess"] is False
    assert environ["wsgi.run_once"] is False
    assert environ["wsgi.input"].read() == b""
    assert environ["asgi.scope"] is given


def test_the_standard_librarys_validator_accepts_it() -> None:
    check_environ(build_environ(scope((b"host", b"example.org"), (b"content-length", b"3"))))


@pytest.mark.parametrize(("scheme", "wsgi_scheme"), [("ws", "http"), ("wss", "https")])
def test_a_websocket_handshake_is_a_get_over_http(scheme: str, wsgi_scheme: str) -> None:
    given = scope(type="websocket", scheme=scheme)
    del given["method"]
    environ = build_environ(given)
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["wsgi.url_scheme"] == wsgi_scheme


def test_each_environ_has_an_input_of_its_own() -> None:
    build_environ(scope(type="websocket"))["wsgi.input"].close()
    assert build_environ(scope(type="websocket"))["wsgi.input"].read() == b""


@pytest.mark.parametrize(
    ("root", "path", "script_name", "path_info"),
    [
        ("", "/app/x", "", "/app/x"),
        ("/app", "/app/x", "/app", "/x"),
        ("/app/", "/app/x", "/app", "/x"),
        ("/app", "/app", "/app", ""),
        ("/app", "/x", "/app", "/x"),
        ("/app", "/application/x", "/app", "/application/x"),
        ("/", "/x", "", "/x"),
        ("/ä", "/ä/ö", "/ä".encode().decode("latin-1"), "/ö".encode().decode("latin-1")),
    ],
)
def test_the_root_path_becomes_the_script_name(
    root: str, path: str, script_name: str, path_info: str
) -> None:
    environ = build_environ(scope(root_path=root, path=path))
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == (script_name, path_info)


def test_a_path_beyond_ascii_is_its_utf8_bytes() -> None:
    environ = build_environ(scope(path="/Grüße/日本", raw_path=b"/Gr%C3%BC%C3%9Fe/..."))
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/Grüße/日本"
    assert environ["REQUEST_URI"].startswith("/Gr%C3%BC")


def test_a_path_with_a_lone_surrogate_does_not_raise() -> None:
    assert build_environ(scope(path="/\ud800"))["PATH_INFO"] == "/?"


def test_optional_parts_of_the_scope_may_be_missing() -> None:
    environ = build_environ({"type": "http", "path": "/", "headers": []})
    assert environ["SERVER_NAME"] == "localhost"
    assert environ["SERVER_PORT"] == "80"
    assert environ["QUERY_STRING"] == environ["SCRIPT_NAME"] == ""
    assert not {"REMOTE_ADDR", "REMOTE_PORT", "REQUEST_URI", "RAW_URI"} & environ.keys()


@pytest.mark.parametrize(("scheme", "port"), [("http", "80"), ("https", "443")])
def test_a_unix_socket_has_the_schemes_port(scheme: str, port: str) -> None:
    environ = build_environ(scope(server=("/run/app.sock", None), client=None, scheme=scheme))
    assert (environ["SERVER_NAME"], environ["SERVER_PORT"]) == ("localhost", port)
    assert "REMOTE_ADDR" not in environ


def test_content_type_and_length_have_no_prefix() -> None:
    environ = build_environ(scope((b"content-type", b"text/plain"), (b"content-length", b"5")))
    assert (environ["CONTENT_TYPE"], environ["CONTENT_LENGTH"]) == ("text/plain", "5")
    assert "HTTP_CONTENT_TYPE" not in environ
    assert "HTTP_CONTENT_LENGTH" not in environ


def test_duplicate_headers_are_joined() -> None:
    environ = build_environ(
        scope((b"x-list", b"a"), (b"cookie", b"a=1"), (b"x-list", b"b"), (b"cookie", b"b=2"))
    )
    assert environ["HTTP_X_LIST"] == "a,b"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_the_first_of_two_content_lengths_counts() -> None:
    assert build_environ(scope((b"content-length", b"5"), (b"content-length", b"6")))["CONTENT_LENGTH"] == "5"


@pytest.mark.parametrize("order", [1, -1])
def test_a_header_name_with_an_underscore_cannot_pass_for_one_with_a_dash(order: int) -> None:
    headers = [(b"x_forwarded_proto", b"https"), (b"x-forwarded-proto", b"http")][::order]
    assert build_environ(scope(*headers))["HTTP_X_FORWARDED_PROTO"] == "http"
    assert "HTTP_X_FORWARDED_PROTO" not in build_environ(scope((b"X_Forwarded_Proto", b"https")))


def test_a_proxy_header_does_not_become_http_proxy() -> None:
    assert "HTTP_PROXY" not in build_environ(scope((b"proxy", b"http://evil"), (b"Proxy", b"http://evil")))


def test_header_values_are_latin1() -> None:
    assert build_environ(scope((b"x-name", b"J\xf6rg")))["HTTP_X_NAME"] == "Jörg"


def test_the_cache_of_header_names_is_bounded() -> None:
    for number in range(2000):
        name = b"x-number-%d" % number
        assert build_environ(scope((name, b"1")))[f"HTTP_X_NUMBER_{number}"] == "1"
    build_environ(scope((b"x-" + b"a" * 5000, b"1")))
    assert len(module._KEYS) <= module._MAX_KEYS
    assert max(map(len, module._KEYS)) <= module._MAX_NAME


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_over_asgi_the_environ_has_receive_and_send(kind: str) -> None:
    environs: list[dict[str, Any]] = []
    server = AsyncServer()
    server.on("connect", lambda sid, environ: environs.append(environ))
    if kind == "websocket":
        async with Socket(server.handle_request) as socket:
            socket.send("40")
            await socket.receive()
            await socket.receive()
    else:
        handshake = await request(server.handle_request)
        sid = handshake.text.split('"')[3]
        await request(server.handle_request, "POST", query=f"{HANDSHAKE}&sid={sid}", body=b"40")
    (environ,) = environs
    assert callable(environ["asgi.receive"])
    assert callable(environ["asgi.send"])
    assert environ["asgi.scope"]["type"] == kind


async def test_without_asgi_the_environ_has_neither() -> None:
    environs: list[dict[str, Any]] = []
    server = AsyncServer()
    server.on("connect", lambda sid, environ: environs.append(environ))
    async with running(ASGIApp(server)) as local:
        async with await RawSocket.websocket(local, "/socket.io/") as raw:  # type: ignore[arg-type]
            await raw.send(frame(TEXT, b"40"))
            await raw.read_frame()
    (environ,) = environs
    assert not {"asgi.receive", "asgi.send"} & set(environ)
