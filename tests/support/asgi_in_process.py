"""An ASGI server in miniature: requests, WebSockets and the lifespan of an application in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, MutableMapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

from tests.support.raw_clients import TIMEOUT, within

Headers = MutableMapping[str, str]
HANDSHAKE = "EIO=4&transport=polling"
WEBSOCKET = "EIO=4&transport=websocket"


@dataclass
class Answer:
    """What an application answered a request with."""

    status: int
    headers: httpx.Headers
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


def make_scope(kind: str, path: str, query: str, headers: Headers | None, **more: Any) -> dict[str, Any]:
    fields = {"host": "example.org", **{name.lower(): value for name, value in (headers or {}).items()}}
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws" if kind == "websocket" else "http",
        "root_path": "",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "server": ("example.org", 80),
        "client": ("127.0.0.1", 50000),
        "state": {},
        **more,
    }


async def request(
    app: Any,
    method: str = "GET",
    path: str = "/socket.io/",
    query: str = HANDSHAKE,
    headers: Headers | None = None,
    body: bytes | Iterable[bytes] = b"",
    **more: Any,
) -> Answer:
    """Make an HTTP request; `body` is given out as the application asks for it, `more` is for the scope."""
    chunks = iter([body] if isinstance(body, bytes) else body)
    ended = False
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        nonlocal ended
        if ended:
            await asyncio.Event().wait()  # the client stays
        chunk = next(chunks, None)
        ended = chunk is None or isinstance(body, bytes)
        return {"type": "http.request", "body": chunk or b"", "more_body": not ended}

    async def send(message: Any) -> None:
        sent.append(message)

    await within(app(make_scope("http", path, query, headers, method=method, **more), receive, send))
    start, *rest = sent
    assert start["type"] == "http.response.start"
    return Answer(
        start["status"],
        httpx.Headers([(name.decode(), value.decode()) for name, value in start["headers"]]),
        b"".join(message.get("body", b"") for message in rest),
    )


class Refused(Exception):
    """A WebSocket was not accepted."""


class Closed(Exception):
    """The application closed the WebSocket."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Socket:
    """A WebSocket to an application in this process, for an `async with` block.

    Attributes:
        reads: whether the client reads; while this event is not set, what the application sends waits.
    """

    def __init__(
        self,
        app: Any,
        path: str = "/socket.io/",
        query: str = WEBSOCKET,
        headers: Headers | None = None,
        **more: Any,
    ) -> None:
        self._app = app
        self._scope = make_scope("websocket", path, query, headers, subprotocols=[], **more)
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        self._left = False
        self.headers = httpx.Headers()
        self.reads = asyncio.Event()
        self.reads.set()

    async def __aenter__(self) -> Socket:
        self.start()
        await self.accepted()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.reads.set()
        self.leave()
        await within(self.task)

    def start(self) -> None:
        """Begin the handshake."""
        self.task = asyncio.ensure_future(self._app(self._scope, self._to_app.get, self._take))
        self._to_app.put_nowait({"type": "websocket.connect"})

    async def accepted(self) -> None:
        message = await self._next()
        if message["type"] != "websocket.accept":
            self.leave()
            await within(self.task)
            raise Refused(message)
        self.headers = httpx.Headers(
            [(name.decode(), value.decode()) for name, value in message.get("headers", [])]
        )

    async def _take(self, message: Any) -> None:
        await self.reads.wait()
        self._from_app.put_nowait(message)
        if message["type"] == "websocket.close":
            self.leave(message.get("code", 1000))

    async def _next(self) -> Any:
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([answer, self.task], timeout=TIMEOUT, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        if self.task.done():
            self.task.result()
        raise AssertionError("the application sent nothing")

    def leave(self, code: int = 1005) -> None:
        """Be gone, or answer the close of the application."""
        if not self._left:
            self._left = True
            self._to_app.put_nowait({"type": "websocket.disconnect", "code": code})

    def send(self, data: str | bytes) -> None:
        self._to_app.put_nowait(
            {"type": "websocket.receive", "bytes" if isinstance(data, bytes) else "text": data}
        )

    async def receive(self) -> Any:
        message = await self._next()
        if message["type"] == "websocket.close":
            raise Closed(message.get("code", 1000))
        assert message["type"] == "websocket.send"
        return message["text"] if message.get("text") is not None else message["bytes"]


class Lifespan:
    """The lifespan of an application."""

    def __init__(self, app: Any, state: dict[str, Any] | None = None) -> None:
        self.state: dict[str, Any] = {} if state is None else state
        scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": self.state}
        self._to_app: asyncio.Queue[Any] = asyncio.Queue()
        self._from_app: asyncio.Queue[Any] = asyncio.Queue()
        self.task = asyncio.ensure_future(app(scope, self._to_app.get, self._from_app.put))

    async def startup(self) -> Any:
        self._to_app.put_nowait({"type": "lifespan.startup"})
        return await within(self._from_app.get())

    async def shutdown(self) -> Any:
        self._to_app.put_nowait({"type": "lifespan.shutdown"})
        answer = await within(self._from_app.get())
        await within(self.task)
        return answer


async def other(scope: Any, receive: Any, send: Any) -> None:
    """An application that names the path that it was asked for."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": f"other {scope['path']}"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    elif scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": f"other {scope['path']}".encode()})
    else:
        raise AssertionError("a lifespan")
