"""A Flask app that tries every side of a WSGI server."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flask import Flask, Response, make_response, request, send_file, session, stream_with_context

from asyncsock import ASGIApp, AsyncServer
from asyncsock.flask_bridge.wsgi import WsgiApp

MIB = 1024 * 1024

app = Flask(__name__)
app.config["SECRET_KEY"] = "not secret"
state: dict[str, Any] = {}
released = threading.Event()


@app.get("/state")
def get_state() -> dict[str, Any]:
    return state


@app.post("/reset")
def reset() -> str:
    state.clear()
    released.clear()
    return "ok"


@app.post("/release")
def release() -> str:
    released.set()
    return "ok"


@app.get("/hello")
def hello() -> str:
    return "Hello, World!"


@app.get("/empty")
def empty() -> tuple[str, int]:
    return "", int(request.args["status"])


@app.get("/environ/", defaults={"path": ""})
@app.get("/environ/<path:path>")
def environ(path: str) -> dict[str, Any]:
    return {k: v for k, v in request.environ.items() if isinstance(v, (str, bool))}


@app.get("/cookies")
def cookies() -> Response:
    response = make_response("cookies")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    response.headers["X-Name"] = "ä"
    response.headers["Connection"] = "close"
    response.headers["Keep-Alive"] = "timeout=5"
    return response


@app.get("/count")
def count() -> dict[str, int]:
    session["count"] = session.get("count", 0) + 1
    return {"count": session["count"]}


@app.get("/sleep")
def sleep() -> str:
    time.sleep(float(request.args["seconds"]))
    return threading.current_thread().name


@app.get("/meet")
def meet() -> str:
    barrier.wait(20)  # passes only if all of them run at once
    return "met"


barrier = threading.Barrier(32)


# Request bodies


@app.post("/upload/all")
def upload_all() -> dict[str, Any]:
    data = request.get_data()
    return {"size": len(data), "sha": hashlib.sha256(data).hexdigest()}


@app.post("/upload/stream")
def upload_stream() -> dict[str, Any]:
    size, sha = 0, hashlib.sha256()
    pause = float(request.args.get("pause", 0))
    while chunk := request.stream.read(MIB):
        size += len(chunk)
        sha.update(chunk)
        time.sleep(pause)
    return {"size": size, "sha": sha.hexdigest()}


@app.post("/upload/lines")
def upload_lines() -> dict[str, Any]:
    return {"first": request.stream.readline().decode(), "rest": [line.decode() for line in request.stream]}


@app.post("/upload/form")
def upload_form() -> dict[str, Any]:
    file = request.files["file"]
    size = file.stream.seek(0, os.SEEK_END)
    return {"field": request.form["field"], "name": file.filename, "size": size}


@app.post("/upload/ignored")
def upload_ignored() -> str:
    return "not read"


@app.post("/upload/half")
def upload_half() -> dict[str, Any]:
    state["started"] = True
    try:
        state["size"] = len(request.get_data())
    except OSError as error:
        state["error"] = type(error).__name__
        raise
    return {}


@app.post("/upload/echo")
def upload_echo() -> Response:
    def echo() -> Iterator[bytes]:
        while line := request.stream.readline():
            yield line.upper()

    return Response(stream_with_context(echo()))


@app.post("/upload/unread")
def upload_unread() -> Response:
    return Response(ticks(forever=True))


# Responses


@app.get("/download")
def download() -> Response:
    size = int(request.args["mib"])
    return Response(os.urandom(MIB) if i % 50 == 0 else bytes(MIB) for i in range(size))


@app.get("/file")
def file() -> Response:
    return send_file(
        io.BytesIO(bytes(range(256)) * 4096), download_name="data.bin", conditional=True, etag="fixed"
    )


@app.get("/real-file")
def real_file() -> Response:
    return send_file(__file__, conditional=True)


def ticks(forever: bool = False) -> Iterator[bytes]:
    state["thread"] = threading.get_ident()
    try:
        for number in range(1_000_000_000 if forever else 3):
            yield b"tick %d\n" % number
            time.sleep(0.02)
    finally:
        state["closed_in_own_thread"] = state["thread"] == threading.get_ident()


@app.get("/ticks")
def ticks_forever() -> Response:
    response = Response(ticks(forever=True), mimetype="text/plain")
    response.call_on_close(lambda: state.update(on_close=True))
    return response


@app.get("/flood")
def flood() -> Response:
    def blocks() -> Iterator[bytes]:
        try:
            while True:
                state["blocks"] = state.get("blocks", 0) + 1
                yield bytes(MIB)
        finally:
            state["closed"] = True

    return Response(blocks())


@app.get("/blocked")
def blocked() -> Response:
    def two() -> Iterator[bytes]:
        try:
            yield b"one"
            released.wait(20)
            state["went on"] = True
            yield b"two"
            state["went on twice"] = True
        finally:
            state["closed"] = True

    return Response(two())


@app.get("/late")
def late() -> Response:
    state["late has begun"] = True
    released.wait(20)
    return Response(ticks(forever=True))


@app.get("/events")
def events() -> Response:
    def stream() -> Iterator[str]:
        yield "data: one\n\n"
        released.wait(20)
        yield "data: two\n\n"

    return Response(stream(), mimetype="text/event-stream")


@app.get("/after")
def after() -> Response:
    response = make_response("the response")

    @response.call_on_close
    def work() -> None:
        released.wait(20)
        state["worked"] = True

    return response


# Errors


@app.get("/error")
def error() -> str:
    raise ValueError("an error in a view")


@app.get("/error/stream")
def error_stream() -> Response:
    def stream() -> Iterator[bytes]:
        yield b"some of it"
        raise ValueError("an error in a stream")

    return Response(stream())


# Coroutines


@app.route("/async", methods=["GET", "POST"])
async def asynchronous() -> dict[str, Any]:
    await asyncio.sleep(0)
    data = await asyncio.sleep(0, request.get_data())
    return {
        "loop": id(asyncio.get_running_loop()),
        "thread": threading.get_ident(),
        "size": len(data),
        "sha": hashlib.sha256(data).hexdigest(),
    }


# Limited bodies

limited = Flask("limited")
limited.config["MAX_CONTENT_LENGTH"] = 1000


@limited.post("/limited")
def limited_view() -> dict[str, int]:
    return {"size": len(request.get_data())}


@limited.post("/limited/async")
async def limited_async_view() -> dict[str, int]:
    return {"size": len(request.get_data())}


# Plain WSGI, where Flask would be too well-behaved


class Closing:
    def __init__(self, chunks: Iterable[bytes]) -> None:
        self.chunks = iter(chunks)

    def __iter__(self) -> Iterator[bytes]:
        return self.chunks

    def close(self) -> None:
        state["closed"] = True


def plain(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    case = environ["PATH_INFO"].removeprefix("/plain/")
    length = [("Content-Length", "10")]
    if case == "list":
        start_response("200 OK", [("X-One", "1")])
        return [b"one", b"", b"two"]
    if case == "short":
        start_response("200 OK", length)
        return Closing([b"12345"])
    if case == "long":
        start_response("200 OK", length)
        return Closing([b"12345", b"67890abc", b"def"])
    if case == "write":
        write = start_response("200 OK", [])
        write(b"written ")
        return [b"returned"]
    if case == "replaced":
        try:
            start_response("200 OK", [("X-One", "1")])
            raise ValueError("too bad")
        except ValueError:
            import sys

            start_response("503 Not Now", [("X-Two", "2")], sys.exc_info())
        return [b"replaced"]
    if case == "replaced-late":
        return replaced_late(start_response)
    if case == "twice":
        start_response("200 OK", [])
        start_response("200 OK", [])
        return [b""]
    if case == "late":
        return started_late(start_response)
    if case == "never":
        return [b"data"]
    if case == "nothing":
        return []
    if case == "raise":
        raise ValueError("an error before the headers")
    if case == "raise-close":
        start_response("200 OK", length)
        return RaisesInClose([b"1234567890"])
    if case == "head":
        start_response("200 OK", length)
        return Closing([b"1234567890"])
    if case in ("204", "304"):
        start_response(f"{case} Whatever", [*length, ("ETag", '"x"')])
        return Closing([b"1234567890"])
    if case.startswith("status/"):
        start_response(case.removeprefix("status/"), [])
        return [b"answered"]
    if case == "header":
        start_response("200 OK", [("X-Split", "a\r\nX-Injected: 1")])
        return [b"x"]
    raise AssertionError(case)


class RaisesInClose(Closing):
    def close(self) -> None:
        raise ValueError("an error in close")


def started_late(start_response: Callable[..., Any]) -> Iterator[bytes]:
    yield b""
    start_response("202 Accepted", [])
    yield b"late"


def replaced_late(start_response: Callable[..., Any]) -> Iterator[bytes]:
    import sys

    start_response("200 OK", [])
    yield b"some of it"
    try:
        raise ValueError("too late to replace")
    except ValueError:
        start_response("500 Error", [], sys.exc_info())
    yield b"more"


flask_app = WsgiApp(app)
plain_app = WsgiApp(plain, threads=2)
limited_app = WsgiApp(limited, threads=2)


left: set[str] = set()  # the paths whose clients were gone before they had the whole answer


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Flask, with /loop and /left answered by the server's own loop."""
    path = scope.get("path", "")

    async def receive_and_note() -> Any:
        message = await receive()
        if message["type"] == "http.disconnect":
            left.add(path)
        return message

    if path in ("/loop", "/left"):
        here = {"loop": id(asyncio.get_running_loop()), "thread": threading.get_ident()}
        body = json.dumps(here if path == "/loop" else sorted(left)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})
    elif path.startswith("/plain/"):
        await plain_app(scope, receive, send)
    elif path.startswith("/limited"):
        await limited_app(scope, receive, send)
    elif path == "/blocked":
        left.discard(path)
        await flask_app(scope, receive_and_note, send)
    else:
        await flask_app(scope, receive, send)


class Others:
    """The same beside a Socket.IO server, without ASGI where that can be."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asgi(scope, receive, send)

    def begin_whole_request(self, whole: Any) -> Any:
        path = whole.scope["path"]
        if path in ("/loop", "/left", "/blocked"):
            return None
        app = limited_app if path.startswith("/limited") else flask_app
        return (plain_app if path.startswith("/plain/") else app).begin_whole_request(whole)


beside = ASGIApp(AsyncServer(), Others())
