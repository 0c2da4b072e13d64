"""The engine on uvicorn's connections that parse HTTP with httptools.

uvicorn's protocol object reads the requests. Polling requests are answered from its callbacks: they need no
scope, no task and no queue, and a poll that waits is one small object. A WebSocket takes the connection over.
uvicorn's own code handles all requests that are not for the engine, and the unusual ones that are: those
reach the engine through ASGI.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote, unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..engine.http import TEXT, Headers, Request, status_line
from ..engine.transports.poll_request import PollRequest
from .installation import Installation

METHODS = {b"GET": "GET", b"POST": "POST", b"OPTIONS": "OPTIONS"}


class HTTPToolsConnection(HttpToolsProtocol):
    """uvicorn's protocol, except that it gives the engine's requests to the engine."""

    cycle: Any  # what answers the latest request: uvicorn's object, or a HTTPToolsPollRequest
    scope: Any
    parser: Any
    pipeline: deque[Any]

    def __init__(self, installation: Installation, **arguments: Any) -> None:
        if installation.server_state is not arguments["server_state"]:
            installation.server_state = arguments["server_state"]
            installation.shared_attributes = _shared_attributes(arguments)
        if installation.shared_attributes is None:
            super().__init__(**arguments)
        else:
            self.__dict__.update(installation.shared_attributes)
            self.parser = _parser(self)
            self.pipeline = deque()
        self.installation = installation
        self._poll_request: HTTPToolsPollRequest | None = None  # being read or answered
        self._to_websocket = False  # whether the request that is being read asks for a WebSocket

    # asyncio.Protocol

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._poll_request is not None:
            self._poll_request.advance()

    def connection_lost(self, error: Exception | None) -> None:
        if type(self.cycle) is HTTPToolsPollRequest:
            self.cycle = None
        super().connection_lost(error)
        if self._poll_request is not None:
            self._poll_request.gone()

    # httptools

    def on_headers_complete(self) -> None:
        upgrades = self.parser.should_upgrade()
        self._to_websocket = upgrades and super()._should_upgrade()
        if self._to_websocket:
            self.scope["method"] = self.parser.get_method().decode("ascii")
        elif upgrades or not self._try_to_take_request():
            super().on_headers_complete()

    def _try_to_take_request(self) -> bool:
        try:
            return self._take_request()
        except Exception as error:
            self.installation.failed(error)
            return False

    def _should_upgrade(self) -> bool:
        return self._to_websocket  # uvicorn asks more than once, and its own method searches all headers

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if type(cycle) is not HTTPToolsPollRequest:
            super().on_body(body)
        elif cycle.is_open:
            cycle.chunks.append(body)

    def on_message_complete(self) -> None:
        cycle = self.cycle
        if type(cycle) is not HTTPToolsPollRequest:
            super().on_message_complete()
        else:
            cycle.more_body = False

    def _take_request(self) -> bool:
        """Begin to handle the request whose headers have been read, if it is an ordinary one of ours."""
        parser = self.parser
        method = METHODS.get(parser.get_method())
        path, _, query = self.url.partition(b"?")
        if (
            method is None
            or not self.installation.owns("http", method, self.root_path, path)
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.limit_concurrency is not None
            or self.flow.write_paused
            or b"#" in query
            or not self.url.isascii()
            or (self.cycle is not None and not self.cycle.response_complete)
        ):
            return False
        make_scope = partial(self.installation.http_scope, self.scope, method, path, query)
        request = Request(method, dict(self.headers), query, make_scope)
        self._poll_request = poll_request = HTTPToolsPollRequest(
            self, request, path, query, parser.should_keep_alive()
        )
        self.cycle = poll_request
        return True

    def handle_websocket_upgrade(self) -> None:
        """Called by uvicorn when a request for a WebSocket has been read."""
        if self.installation.upgrade(self, self.scope["method"], self.url):
            self.parser = None  # it refers to this object: the cycle would need the garbage collector
        else:
            super().handle_websocket_upgrade()

    # Answers

    def answer(
        self,
        poll_request: HTTPToolsPollRequest,
        status: int,
        body: bytes,
        headers: Headers,
        content_type: bytes,
    ) -> None:
        """Write a response, log the request, and go on as uvicorn does after one."""
        self._poll_request = None
        poll_request.response_complete = True
        if self.access_log:
            self._log(poll_request, status)
        parts = [status_line(status), self.installation.default_lines(self.server_state.default_headers)]
        parts.append(
            b"content-type: %b\r\ncontent-length: %d\r\ncache-control: no-store\r\n"
            % (content_type, len(body))
        )
        for name, value in headers:
            parts.append(b"%b: %b\r\n" % (name, value))
        parts.append(b"\r\n" if poll_request.keep_alive else b"connection: close\r\n\r\n")
        parts.append(body)
        self.transport.write(b"".join(parts))
        if not poll_request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _log(self, poll_request: HTTPToolsPollRequest, status: int) -> None:
        client = self.client
        request = poll_request.request
        if self.installation.proxy_headers.are_believed and b"x-forwarded-for" in request.headers:
            client = request.make_scope()["client"]
        target = _quoted(self.root_path, poll_request.path)
        if poll_request.query:
            target = f"{target}?{poll_request.query.decode()}"
        address = f"{client[0]}:{client[1]}" if client else ""
        self.installation.access_log(address, request.method, target, status)


def _parser(owner: HttpToolsProtocol) -> Any:
    """A parser as uvicorn makes it for each connection."""
    parser = httptools.HttpRequestParser(owner)
    try:
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    except AttributeError:  # httptools before 0.6.3
        pass
    return parser


def _shared_attributes(arguments: dict[str, Any]) -> dict[str, Any] | None:
    """The attributes that all new connections share; None unless parser and pipeline alone differ."""
    first, second = (vars(HttpToolsProtocol(**arguments)) for _ in range(2))
    shared = {name: value for name, value in first.items() if value is second.get(name)}
    return shared if first.keys() - shared.keys() == {"parser", "pipeline"} else None


@lru_cache(maxsize=64)
def _quoted(root_path: str, path: bytes) -> str:
    return quote(root_path + unquote(path.decode()))


class HTTPToolsPollRequest(PollRequest):
    """A polling request on a connection, with the attributes that uvicorn reads of its latest request."""

    __slots__ = ("_begun", "_http", "chunks", "keep_alive", "more_body", "path", "query", "response_complete")

    def __init__(
        self, http: HTTPToolsConnection, request: Request, path: bytes, query: bytes, keep_alive: bool
    ) -> None:
        super().__init__(http.installation.engine.endpoint.answers, request)
        self._http = http
        self._begun = False
        self.path = path
        self.query = query
        self.keep_alive = keep_alive
        self.chunks: list[bytes] = []  # of the body, not yet handled
        self.more_body = True
        self.response_complete = False

    def advance(self) -> None:
        """Handle what has been read since the last call."""
        try:
            if not self._begun:
                self._begun = True
                self._http.installation.engine.endpoint.begin(self)
            if self.reading and (self.chunks or not self.more_body):
                self.feed(b"".join(self.chunks), self.more_body)
        except Exception as error:
            self._http.logger.error("Exception in ASGI application\n", exc_info=error)
            self.keep_alive = self.is_open = False
            if self.response_complete:
                self._http.transport.close()
            else:
                self.write(500, b"Internal Server Error", [], TEXT)
        self.chunks.clear()

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        try:
            self._http.answer(self, status, body, headers, content_type)
        except Exception as error:  # not raised: the caller may be at work for another client
            self._http.installation.failed(error)
            self._http.transport.abort()
