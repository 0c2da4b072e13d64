"""Flask over ASGI: what a view and its clients see, under real servers."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from asyncsock.flask_bridge.wsgi import WsgiApp
from tests.support.raw_clients import NO_PROXY
from tests.support.server_process import ROOT, Server, serve

TARGET = "tests.apps.wsgi_views:asgi"
BESIDE = "tests.apps.wsgi_views:beside"  # the same beside a Socket.IO server, without ASGI where that can be
TIMEOUT = 20.0
MIB = 1024 * 1024
SERVERS = (("uvicorn", BESIDE), ("uvicorn", TARGET), ("hypercorn", TARGET), ("granian", TARGET))


@pytest.fixture(scope="module", params=SERVERS, ids=lambda param: f"{param[0]}-{param[1].partition(':')[2]}")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with serve(request.param[1], server=request.param[0]) as running:
        yield running
        log = running.log()
    assert "never retrieved" not in log
    assert "never awaited" not in log


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=TIMEOUT, trust_env=False) as client:
        client.post("/reset")
        yield client
        client.post("/release")


@pytest.fixture(params=[BESIDE, TARGET], ids=["beside", "asgi"])
def uvicorn(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A fresh process of the server that this project is made for."""
    with serve(request.param) as running:
        yield running


def wait_for(condition: Callable[[], Any], timeout: float = TIMEOUT) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


@contextmanager
def raw(server: Server, request: bytes) -> Iterator[socket.socket]:
    """A connection on which a request's bytes were sent."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as connection:
        connection.sendall(request)
        yield connection


def read_until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while end not in data:
        piece = connection.recv(65536)
        assert piece, f"the connection was closed after {data!r}"
        data += piece
    return data


def read_all(connection: socket.socket) -> bytes:
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def post(path: str, *headers: str) -> bytes:
    return "\r\n".join([f"POST {path} HTTP/1.1", "Host: x", *headers, "", ""]).encode()


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


# Requests and small responses


def test_a_view_answers(http: httpx.Client) -> None:
    response = http.get("/hello")
    assert (response.status_code, response.text) == (200, "Hello, World!")
    assert response.headers["content-length"] == "13"
    assert "transfer-encoding" not in response.headers


def test_a_connection_is_kept_alive(server: Server) -> None:
    with raw(server, get("/hello")) as connection:
        for _ in range(3):
            assert read_until(connection, b"World!").startswith(b"HTTP/1.1 200")
            connection.sendall(get("/hello"))


def test_the_environ_tells_about_the_request(http: httpx.Client, server: Server) -> None:
    environ = http.get("/environ/Grüße?a=1&b=%20", headers=[("X-List", "1"), ("X-List", "2")]).json()
    assert environ["PATH_INFO"].encode("latin-1").decode() == "/environ/Grüße"
    assert environ["QUERY_STRING"] == "a=1&b=%20"
    assert environ["SERVER_PORT"] == str(server.port)
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["HTTP_X_LIST"].replace(" ", "") == "1,2"
    assert environ["wsgi.multithread"] is True
    assert environ["wsgi.input_terminated"] is True


def test_a_root_path_becomes_the_script_name() -> None:
    with serve(TARGET, args=["--root-path", "/app"]) as running:
        environ = httpx.get(running.url + "/environ/x", trust_env=False).json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/environ/x")


def test_duplicate_headers_both_arrive_and_hop_by_hop_headers_do_not(http: httpx.Client) -> None:
    response = http.get("/cookies")
    assert response.headers.get_list("set-cookie") == ["a=1; Path=/", "b=2; Path=/"]
    assert "keep-alive" not in response.headers
    assert response.headers.get("connection") != "close"


def test_a_header_value_is_latin1(server: Server) -> None:
    with raw(server, get("/cookies")) as connection:
        assert b": \xe4\r\n" in read_until(connection, b"\r\n\r\n")


def test_flasks_session_works(http: httpx.Client) -> None:
    assert [http.get("/count").json()["count"] for _ in range(3)] == [1, 2, 3]


def test_head_has_headers_and_no_body(server: Server) -> None:
    with raw(server, get("/hello").replace(b"GET", b"HEAD") + get("/empty?status=418")) as connection:
        data = read_until(connection, b"418")
    head, _, rest = data.partition(b"\r\n\r\n")
    assert b"content-length: 13" in head.lower()
    assert rest.startswith(b"HTTP/1.1 418")


@pytest.mark.parametrize("status", [204, 304])
def test_a_response_without_a_body_leaves_the_connection_usable(http: httpx.Client, status: int) -> None:
    response = http.get("/empty", params={"status": status})
    assert (response.status_code, response.content) == (status, b"")
    assert http.get("/hello").text == "Hello, World!"


def test_32_blocking_views_run_at_once(http: httpx.Client) -> None:
    with ThreadPoolExecutor(32) as threads:
        responses = list(threads.map(lambda _: http.get("/meet"), range(32)))
    assert [response.text for response in responses] == ["met"] * 32


def test_more_requests_than_threads_wait_for_their_turn(uvicorn: Server) -> None:
    limits = httpx.Limits(max_connections=200)
    with httpx.Client(base_url=uvicorn.url, timeout=TIMEOUT, trust_env=False, limits=limits) as http:
        with ThreadPoolExecutor(150) as threads:
            responses = list(threads.map(lambda _: http.get("/sleep?seconds=0.1"), range(150)))
    assert {response.status_code for response in responses} == {200}
    assert len({response.text for response in responses}) <= 64


# Request bodies


def test_a_body_with_a_content_length(http: httpx.Client) -> None:
    data = os.urandom(300_000)
    expected = {"size": len(data), "sha": hashlib.sha256(data).hexdigest()}
    assert http.post("/upload/all", content=data).json() == expected
    assert http.post("/upload/stream", content=data).json() == expected


def test_a_chunked_body_without_a_content_length(http: httpx.Client) -> None:
    pieces = [os.urandom(70_000) for _ in range(5)]
    sha = hashlib.sha256(b"".join(pieces)).hexdigest()
    assert http.post("/upload/all", content=iter(pieces)).json() == {"size": 350_000, "sha": sha}
    assert http.post("/upload/stream", content=iter(pieces)).json() == {"size": 350_000, "sha": sha}


def test_no_body_is_an_empty_body(http: httpx.Client) -> None:
    assert http.post("/upload/all").json()["size"] == 0
    assert http.post("/upload/all", content=iter([])).json()["size"] == 0


def test_lines_of_a_body(http: httpx.Client) -> None:
    response = http.post("/upload/lines", content=iter([b"o", b"ne\ntwo\nthr", b"ee\n", b"four"]))
    assert response.json() == {"first": "one\n", "rest": ["two\n", "three\n", "four"]}


def test_a_form_with_a_file(http: httpx.Client) -> None:
    response = http.post(
        "/upload/form", data={"field": "ä"}, files={"file": ("name.bin", bytes(3 * MIB), "application/x")}
    )
    assert response.json() == {"field": "ä", "name": "name.bin", "size": 3 * MIB}


def test_a_body_that_nobody_reads_does_no_harm(server: Server) -> None:
    for _ in range(3):
        # A server may close a connection whose body it has not read, so each request has its own.
        answer = httpx.post(f"{server.url}/upload/ignored", content=bytes(50_000), trust_env=False)
        assert answer.text == "not read"


def test_flasks_limit_answers_413(http: httpx.Client) -> None:
    assert http.post("/limited", content=bytes(1001)).status_code == 413
    assert http.post("/limited", content=bytes(1000)).json() == {"size": 1000}


def test_a_view_can_answer_while_it_reads(server: Server) -> None:
    with raw(server, post("/upload/echo", "Transfer-Encoding: chunked")) as connection:
        for word in (b"one\n", b"two\n", b"three\n"):
            connection.sendall(b"%x\r\n%s\r\n" % (len(word), word))
            read_until(connection, word.upper())
        connection.sendall(b"0\r\n\r\n")
        read_until(connection, b"0\r\n\r\n")


def test_a_client_is_told_to_continue_when_the_view_reads(uvicorn: Server) -> None:
    with raw(uvicorn, post("/upload/all", "Content-Length: 4", "Expect: 100-continue")) as connection:
        assert read_until(connection, b"\r\n\r\n").startswith(b"HTTP/1.1 100")
        connection.sendall(b"body")
        assert b'"size":4' in read_until(connection, b"}")


@pytest.mark.parametrize("path", ["/upload/ignored", "/upload/unread"])
def test_a_client_is_not_told_to_continue_when_the_view_does_not_read(uvicorn: Server, path: str) -> None:
    with raw(uvicorn, post(path, "Content-Length: 4", "Expect: 100-continue")) as connection:
        data = read_until(connection, b"not read" if path.endswith("ignored") else b"tick 3")
    assert data.startswith(b"HTTP/1.1 200")
    assert b"100 Continue" not in data


@pytest.mark.parametrize("chunked", [False, True])
def test_a_client_that_leaves_in_its_upload_ends_the_read(
    http: httpx.Client, server: Server, chunked: bool
) -> None:
    start = len(server.log())
    header = "Transfer-Encoding: chunked" if chunked else "Content-Length: 1000"
    with raw(server, post("/upload/half", header)) as connection:
        connection.sendall(b"4\r\nhalf\r\n")
        wait_for(lambda: "started" in http.get("/state").json())
    wait_for(lambda: "error" in http.get("/state").json())
    assert http.get("/state").json() == {"started": True, "error": "ClientDisconnected"}
    assert "Traceback" not in server.log()[start:]


# Streamed responses


def test_a_file_and_ranges_of_it(http: httpx.Client) -> None:
    whole = bytes(range(256)) * 4096
    assert http.get("/file").content == whole
    response = http.get("/file", headers={"Range": "bytes=1000-500000"})
    assert (response.status_code, response.content) == (206, whole[1000:500001])
    assert response.headers["content-range"] == f"bytes 1000-500000/{len(whole)}"
    assert http.get("/file", headers={"If-None-Match": '"fixed"'}).status_code == 304


def test_a_file_of_the_file_system(http: httpx.Client) -> None:
    source = (ROOT / "tests" / "apps" / "wsgi_views.py").read_bytes()
    assert http.get("/real-file").content == source
    assert http.get("/real-file", headers={"Range": "bytes=-10"}).content == source[-10:]


def test_the_first_event_arrives_before_the_second_is_made(http: httpx.Client) -> None:
    with http.stream("GET", "/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = response.iter_text()
        assert next(events) == "data: one\n\n"
        http.post("/release")
        assert next(events) == "data: two\n\n"
        assert list(events) == []


def test_a_client_that_leaves_closes_the_generator_in_its_own_thread(http: httpx.Client) -> None:
    with http.stream("GET", "/ticks") as response:
        assert next(response.iter_bytes()).startswith(b"tick")
    wait_for(lambda: "on_close" in http.get("/state").json())
    assert http.get("/state").json()["closed_in_own_thread"] is True


def test_a_client_that_leaves_a_flood_closes_the_generator(http: httpx.Client) -> None:
    with http.stream("GET", "/flood") as response:
        assert next(response.iter_bytes())
    wait_for(lambda: "closed" in http.get("/state").json())
    assert http.get("/state").json()["blocks"] < 200


def test_a_client_that_stops_reading_stops_the_generator(http: httpx.Client, server: Server) -> None:
    def blocks() -> int:
        return int(http.get("/state").json().get("blocks", 0))

    with raw(server, get("/flood")) as connection:
        read_until(connection, b"\r\n\r\n")
        wait_for(lambda: blocks() == (time.sleep(0.3), blocks())[1])
        assert blocks() < 200
    wait_for(lambda: "closed" in http.get("/state").json())


def test_a_client_that_leaves_while_the_generator_is_blocked_ends_it_when_it_yields(
    http: httpx.Client,
) -> None:
    with http.stream("GET", "/blocked") as response:
        assert next(response.iter_bytes()) == b"one"
    wait_for(lambda: "/blocked" in http.get("/left").json())
    http.post("/release")
    wait_for(lambda: "closed" in http.get("/state").json())
    assert http.get("/state").json() == {"went on": True, "closed": True}


def test_a_client_that_leaves_before_the_first_chunk_ends_the_generator(
    http: httpx.Client, server: Server
) -> None:
    with raw(server, get("/late")):
        wait_for(lambda: "late has begun" in http.get("/state").json())
    time.sleep(0.2)  # nothing tells when the server has seen it: granian tells an application that sends
    http.post("/release")
    wait_for(lambda: "closed_in_own_thread" in http.get("/state").json())


def test_a_client_that_leaves_with_its_body_unread_closes_the_generator(
    http: httpx.Client, server: Server
) -> None:
    with raw(server, post("/upload/unread", "Content-Length: 4") + b"body") as connection:
        read_until(connection, b"tick 1")
    wait_for(lambda: "closed_in_own_thread" in http.get("/state").json())


def test_a_client_that_leaves_with_much_of_its_body_unread_closes_the_generator(uvicorn: Server) -> None:
    with raw(uvicorn, post("/upload/unread", f"Content-Length: {MIB}")) as connection:
        connection.sendall(bytes(MIB // 2))
        read_until(connection, b"tick 3")
    with httpx.Client(base_url=uvicorn.url, trust_env=False) as http:
        wait_for(lambda: "closed_in_own_thread" in http.get("/state").json())


def test_work_after_the_response_does_not_delay_it(http: httpx.Client) -> None:
    assert http.get("/after").text == "the response"
    assert "worked" not in http.get("/state").json()
    http.post("/release")
    wait_for(lambda: "worked" in http.get("/state").json())


# Memory


def peak(server: Server) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def upload(server: Server, path: str, mib: int) -> bytes:
    block = bytes(MIB)
    with raw(server, post(path, f"Content-Length: {mib * MIB}", "Connection: close")) as connection:
        try:
            for _ in range(mib):
                connection.sendall(block)
            return read_all(connection)
        except ConnectionError:
            return b""  # it need not take what nobody reads


@pytest.mark.slow
@pytest.mark.parametrize("path", ["stream", "stream?pause=0.002", "ignored"])
def test_a_200_mb_upload_passes_in_bounded_memory(uvicorn: Server, path: str) -> None:
    upload(uvicorn, "/upload/stream", 1)
    before = peak(uvicorn)
    answer = upload(uvicorn, f"/upload/{path}", 200)
    if path.startswith("stream"):
        assert b'"size":%d' % (200 * MIB) in answer
    assert peak(uvicorn) - before < 60 * MIB


@pytest.mark.slow
def test_a_200_mb_download_passes_in_bounded_memory(uvicorn: Server) -> None:
    with httpx.Client(base_url=uvicorn.url, timeout=TIMEOUT, trust_env=False) as http:
        http.get("/download?mib=1")
        before = peak(uvicorn)
        with http.stream("GET", "/download?mib=200") as response:
            size = sum(len(piece) for piece in response.iter_raw(MIB))
    assert size == 200 * MIB
    assert peak(uvicorn) - before < 60 * MIB


# Errors


def test_an_error_in_a_view_is_a_500_and_one_traceback(uvicorn: Server) -> None:
    response = httpx.get(uvicorn.url + "/error", trust_env=False)
    assert response.status_code == 500
    uvicorn.wait_for_log("an error in a view")
    assert uvicorn.log().count("Traceback") == 1


def test_an_error_before_the_headers_is_a_500_and_one_traceback(uvicorn: Server) -> None:
    response = httpx.get(uvicorn.url + "/plain/raise", trust_env=False)
    assert (response.status_code, response.text) == (500, "Internal Server Error")
    uvicorn.wait_for_log("ValueError: an error before the headers")
    assert uvicorn.log().count("Traceback") == 1


def test_an_error_after_the_headers_breaks_the_connection_off(http: httpx.Client, server: Server) -> None:
    start = len(server.log())
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/error/stream")
    log = server.wait_for_log("ValueError: an error in a stream", start=start)
    assert log[start:].count("Traceback") == 1
    assert http.get("/hello").text == "Hello, World!"


# PEP 3333


def test_a_list_gets_a_content_length(http: httpx.Client) -> None:
    response = http.get("/plain/list")
    assert (response.text, response.headers["content-length"]) == ("onetwo", "6")


def test_a_response_short_of_its_content_length_breaks_the_connection_off(
    http: httpx.Client, server: Server
) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/plain/short")
    server.wait_for_log("5 bytes short of its Content-Length")
    wait_for(lambda: "closed" in http.get("/state").json())


def test_a_response_longer_than_its_content_length_is_cut(http: httpx.Client, server: Server) -> None:
    assert http.get("/plain/long").text == "1234567890"
    assert http.get("/hello").text == "Hello, World!"
    server.wait_for_log("longer than its Content-Length")
    wait_for(lambda: "closed" in http.get("/state").json())


def test_write_sends_before_what_is_returned(http: httpx.Client) -> None:
    assert http.get("/plain/write").text == "written returned"


def test_start_response_may_come_with_the_first_chunk(http: httpx.Client) -> None:
    response = http.get("/plain/late")
    assert (response.status_code, response.text) == (202, "late")


def test_start_response_with_exc_info_replaces_headers_that_are_not_sent(http: httpx.Client) -> None:
    response = http.get("/plain/replaced")
    assert (response.status_code, response.text) == (503, "replaced")
    assert "x-two" in response.headers
    assert "x-one" not in response.headers


def test_start_response_with_exc_info_raises_where_the_headers_are_sent(http: httpx.Client) -> None:
    with pytest.raises(httpx.RemoteProtocolError):
        http.get("/plain/replaced-late")


@pytest.mark.parametrize("case", ["twice", "never", "nothing"])
def test_a_misuse_of_start_response_is_a_500(http: httpx.Client, server: Server, case: str) -> None:
    assert http.get(f"/plain/{case}").status_code == 500
    server.wait_for_log("start_response()")


@pytest.mark.parametrize("status", ["100 Continue", "1000", "999 Unknown"])
def test_a_status_that_is_none_of_an_answer_is_a_500(http: httpx.Client, server: Server, status: str) -> None:
    assert http.get(f"/plain/status/{status}").status_code == 500
    server.wait_for_log(f"the status '{status}' is none of an answer")
    assert http.get("/hello").text == "Hello, World!"


def test_an_error_in_close_is_logged_and_the_response_stands(http: httpx.Client, server: Server) -> None:
    assert http.get("/plain/raise-close").text == "1234567890"
    server.wait_for_log("ValueError: an error in close")


@pytest.mark.parametrize(("method", "case"), [("HEAD", "head"), ("GET", "204"), ("GET", "304")])
def test_a_body_where_none_may_be_is_dropped(http: httpx.Client, method: str, case: str) -> None:
    response = http.request(method, f"/plain/{case}")
    assert response.content == b""
    assert http.get("/hello").text == "Hello, World!"
    wait_for(lambda: "closed" in http.get("/state").json())


def test_a_header_cannot_be_split(server: Server) -> None:
    with raw(server, get("/plain/header")) as connection:
        connection.settimeout(5)
        assert b"\r\nx-injected" not in connection.recv(65536).lower()


# Coroutines


def test_an_async_view_runs_on_the_servers_loop(http: httpx.Client) -> None:
    loop = http.get("/loop").json()
    view = http.get("/async").json()
    assert (view["loop"], view["thread"]) == (loop["loop"], loop["thread"])


@pytest.mark.parametrize("size", [10, 3 * MIB])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_async_view_reads_its_body(http: httpx.Client, size: int, chunked: bool) -> None:
    data = os.urandom(size)
    response = http.post("/async", content=iter([data[:7], data[7:]]) if chunked else data)
    view = response.json()
    assert (view["size"], view["sha"]) == (size, hashlib.sha256(data).hexdigest())
    assert view["thread"] == http.get("/loop").json()["thread"]


def test_flasks_limit_holds_in_an_async_view(http: httpx.Client) -> None:
    assert http.post("/limited/async", content=bytes(1001)).status_code == 413
    assert http.post("/limited/async", content=bytes(1000)).json() == {"size": 1000}


def test_flasks_limit_ends_a_chunked_body_of_an_async_view(server: Server) -> None:
    with raw(server, post("/limited/async", "Transfer-Encoding: chunked")) as connection:
        connection.sendall(b"7d0\r\n" + bytes(2000) + b"\r\n")  # and it never ends
        assert b'"size":1000' in read_until(connection, b"}")


def test_a_client_that_leaves_in_its_upload_to_an_async_view_leaves_no_traceback(
    http: httpx.Client, server: Server
) -> None:
    start = len(server.log())
    with raw(server, post("/async", "Content-Length: 1000") + b"half"):
        pass
    assert http.post("/async", content=b"whole").json()["size"] == 5
    assert "Traceback" not in server.log()[start:]


# Scopes, and the end


def test_a_websocket_is_refused(server: Server) -> None:
    with pytest.raises(InvalidStatus) as refused:
        connect(server.ws_url + "/hello", **NO_PROXY, open_timeout=TIMEOUT)
    assert refused.value.response.status_code == 403


async def test_other_scopes_raise() -> None:
    async def never(*_: Any) -> Any:
        raise AssertionError

    with pytest.raises(ValueError, match="lifespan"):
        await WsgiApp(lambda environ, start: [])({"type": "lifespan"}, never, never)


async def test_a_cancelled_request_lets_its_thread_go() -> None:
    """A server, or a middleware with a time limit, may cancel the task."""
    reading, outcome = asyncio.Event(), asyncio.Queue[str]()
    loop = asyncio.get_running_loop()

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        try:
            environ["wsgi.input"].read()
        except OSError as error:
            loop.call_soon_threadsafe(outcome.put_nowait, type(error).__name__)
            raise
        return []

    async def receive() -> dict[str, Any]:
        reading.set()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        raise AssertionError

    scope = {"type": "http", "method": "POST", "path": "/", "headers": [(b"content-length", b"5")]}
    task = asyncio.create_task(WsgiApp(app)(scope, receive, send))
    await reading.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.wait_for(outcome.get(), TIMEOUT) == "ClientDisconnected"


async def test_a_send_that_fails_is_a_client_that_left() -> None:
    """From version 2.4 of its specification ASGI's send() raises OSError then."""
    closed = asyncio.Event()
    loop = asyncio.get_running_loop()

    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [])
        try:
            while True:
                yield b"x"
        finally:
            loop.call_soon_threadsafe(closed.set)

    async def receive() -> dict[str, Any]:
        return await asyncio.Event().wait() or {}

    async def send(message: Any) -> None:
        raise OSError

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await asyncio.wait_for(WsgiApp(app)(scope, receive, send), TIMEOUT)
    await asyncio.wait_for(closed.wait(), TIMEOUT)


async def test_a_small_response_is_two_messages() -> None:
    def app(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Length", "5")])
        yield b"hello"

    messages: list[Any] = []

    async def receive() -> dict[str, Any]:
        raise AssertionError("there is no body, and nothing to watch")

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    await WsgiApp(app)(scope, receive, send)
    assert messages == [
        {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]},
        {"type": "http.response.body", "body": b"hello", "more_body": False},
    ]


def test_the_server_ends_while_a_view_blocks() -> None:
    with serve(TARGET, args=["--timeout-graceful-shutdown", "1"]) as running:
        with raw(running, get("/sleep?seconds=60")):
            httpx.get(running.url + "/hello", trust_env=False)
            running.process.terminate()
            running.process.wait(10)
