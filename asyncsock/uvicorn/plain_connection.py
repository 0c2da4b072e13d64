"""A connection whose requests have all been plain ones, each whole in one read.

Most clients write such requests. They are read with one expression and answered here, those for the engine
and those for an application that does without ASGI: there is no parser and no object of uvicorn's. With the
first request that is anything else, or in several pieces, uvicorn's protocol object gets the connection, and
has it from then on.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from ..engine.deadlines import Deadlines
from ..engine.http import Request
from .heads import FIELDS, OF_PROXIES, Addresses, Fields, Handshake, PollHead, make_scope
from .installation import Installation
from .poll_request import UvicornPollRequest
from .websocket import accept_key
from .whole_request import Begin, WholeRequest

# RFC 9112: a request line in origin form and header fields, none of which is folded or ends with a space.
REQUEST_LINE = rb"(GET|POST|HEAD|PUT|PATCH|DELETE|OPTIONS) (/[!-\"$-~]*) HTTP/1\.1\r\n"
read_request_line = re.compile(REQUEST_LINE).match
read_head = re.compile(
    REQUEST_LINE
    + rb"((?:[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t ]*(?:[!-~\x80-\xff]+(?:[\t ]+[!-~\x80-\xff]+)*)?\r\n)+)\r\n"
).match
POLLS = {"GET", "POST"}
BODY = {b"content-length", b"transfer-encoding"}  # headers of which a request for an upgrade has none
UNUSUAL = {b"expect", b"transfer-encoding"}  # headers of requests that uvicorn understands
KEEP_ALIVE = {b"keep-alive": True, b"close": False}  # plain values of the header Connection
MOST_KEPT = 4096  # bytes of header fields that are kept for a connection's next request


class PlainConnection(asyncio.Protocol):
    """A connection that no object of uvicorn's has had yet.

    Args:
        installation: What it shares with others.

    Attributes:
        installation: The same.
        transport: asyncio's transport; None before there is one.
        unread: How much the client had left unread of answers, at the last look.
    """

    __slots__ = (
        "_addresses",
        "_fields",
        "_is_paused",
        "_request",
        "_waits",
        "installation",
        "transport",
        "unread",
    )

    def __init__(self, installation: Installation) -> None:
        self.installation = installation
        self.transport: Any = None
        self.unread = 0
        self._addresses: Addresses | None = None  # the server's and the client's, once there is a request
        self._fields: Fields | None = None  # of the latest request
        self._request: UvicornPollRequest | WholeRequest | None = None  # the latest, until it is answered
        self._waits: Deadlines[Any] = installation.guard.first_requests  # where it waits for a request
        self._is_paused = False  # whether the client is behind with reading answers

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.installation.connections.add(self)
        self._waits.add(self)
        self.installation.connected(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._forget()
        request, self._request = self._request, None
        if request is not None:
            request.gone()

    def pause_writing(self) -> None:
        self._is_paused = True
        self.installation.guard.expect_reading(self)

    def resume_writing(self) -> None:
        self._is_paused = False
        self.installation.guard.answers.discard(self)

    def data_received(self, data: bytes) -> None:
        is_taken = False
        request = self._request
        if request is not None and request.is_lent:
            request.behind += data
            self.transport.pause_reading()
            return
        if request is None:
            try:
                is_taken = self._read(data)
            except Exception as error:
                if self not in self.installation.connections:
                    raise  # it is a WebSocket already
                self.installation.failed(error)
        if not is_taken:
            self.give_up().data_received(data)

    # For uvicorn and the code that hands connections over

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        request = self._request
        if type(request) is WholeRequest and not request.is_lent:  # uvicorn waits for the task of a request
            self.give_up().shutdown()
        elif self.installation.end(self):
            return
        elif self.is_idle:
            self.transport.close()
        else:
            self.end_after_answer()

    @property
    def scheme(self) -> str:
        """The scheme of its requests."""
        return self.installation.site.scheme

    @property
    def client(self) -> tuple[str, int] | None:
        """The address and port of the client; None if it has none, or there was no request."""
        return self._addresses[1] if self._addresses is not None else None

    @property
    def is_idle(self) -> bool:
        """Whether nothing has arrived that is not answered."""
        return self._request is None and self in self.installation.connections

    def end_after_answer(self) -> None:
        """Have the answer to the latest request say that the connection ends with it."""
        if self._request is not None:
            self._request.keep_alive = False

    def give_up(self) -> Any:
        """Give the connection to a protocol object of uvicorn's, and return that."""
        self._forget()
        http = self.installation.connection()
        self.transport.set_protocol(http)
        http.connection_made(self.transport)
        if self._is_paused:
            http.pause_writing()
        request, self._request = self._request, None
        if type(request) is WholeRequest:
            request.move(http)
        elif request is not None:
            http.go_on_with(request)
        return http

    def _forget(self) -> None:
        self.installation.connections.discard(self)
        self._waits.discard(self)
        if self._is_paused:
            self.installation.guard.answers.discard(self)

    # Requests

    def _read(self, data: bytes) -> bool:
        """Answer a request, or begin to; return False if uvicorn is to read it, and nothing has changed."""
        installation = self.installation
        if installation.ends or self._is_paused:
            return False
        fields = self._fields
        if fields is not None:
            # Clients write the same fields each time. To compare them takes a fraction of reading them.
            line = read_request_line(data)
            if line is not None and data.startswith(fields.lines, line.end()):
                end = line.end() + len(fields.lines)
                if data.startswith(b"\r\n", end):
                    return self._begin(line[1], line[2], fields, data, end + 2)
        head = read_head(data)
        if head is None or head.end() > installation.plain_size:
            return False
        method, target, lines = head.groups()
        pairs = FIELDS(lines)
        headers = {name.lower(): value for name, value in pairs}
        if len(headers) != len(pairs):
            return False  # which one of them holds is for uvicorn to say
        if b"upgrade" in headers:
            return head.end() == len(data) and method == b"GET" and self._to_websocket(target, lines, headers)
        connection = headers.get(b"connection", b"keep-alive").lower()
        if not installation.takes_polls or connection not in KEEP_ALIVE or not UNUSUAL.isdisjoint(headers):
            return False
        fields = Fields(lines, headers, KEEP_ALIVE[connection])
        self._fields = fields if len(lines) <= MOST_KEPT else None
        return self._begin(method, target, fields, data, head.end())

    def _find_addresses(self) -> Addresses:
        self._addresses = addresses = self.installation.addresses(self.transport)
        return addresses

    def _to_websocket(self, target: bytes, lines: bytes, headers: dict[bytes, bytes]) -> bool:
        """Become a WebSocket, if that is what the client asks for."""
        installation = self.installation
        connection = headers.get(b"connection", b"").lower()
        if (
            headers[b"upgrade"].lower() != b"websocket"
            or (connection != b"upgrade" and b"upgrade" not in connection.replace(b" ", b"").split(b","))
            or not BODY.isdisjoint(headers)
        ):
            return False
        path, _, query = target.partition(b"?")
        if not installation.owns("websocket", "GET", installation.site.root_path, path):
            return False
        key = accept_key("GET", headers)
        if key is None:
            return False
        server, client = self._addresses or self._find_addresses()
        request = Request("GET", headers, query, Handshake(installation.site, server, client, target, lines))
        if not installation.keeps(request):
            return False
        self._forget()
        installation.open_websocket(self.transport, request, key)
        return True

    def _begin(self, method: bytes, target: bytes, fields: Fields, data: bytes, end: int) -> bool:
        """Begin to answer a request whose head ends at a place, if it is whole and can be answered here."""
        installation = self.installation
        if end > installation.plain_size or fields.headers.get(b"content-length", b"0") != b"%d" % (
            len(data) - end
        ):
            return False
        path, verb = target.partition(b"?")[0], method.decode()
        if not installation.owns("http", verb, installation.site.root_path, path):
            begin = installation.find_begin(verb, path) if installation.takes_others else None
            return begin is not None and self._have_answered(begin, verb, target, fields, data, end)
        return verb in POLLS and self._poll(verb, target, fields, data[end:])

    def _poll(self, method: str, target: bytes, fields: Fields, body: bytes) -> bool:
        """Begin to answer a polling request, unless another process is to have it."""
        installation = self.installation
        server, client = self._addresses or self._find_addresses()
        path, _, query = target.partition(b"?")
        head = PollHead(installation.site, server, client, target, fields.lines, method)
        request = Request(method, fields.headers, query, head)
        if not (request.query.get("sid") or installation.keeps(request)):
            return False
        self._waits.discard(self)
        poll_request = UvicornPollRequest(
            self, request, path, query, fields.keep_alive, body, more_body=False
        )
        self._request = poll_request
        poll_request.advance()
        return True

    def _have_answered(
        self, begin: Begin, method: str, target: bytes, fields: Fields, data: bytes, end: int
    ) -> bool:
        """Have the application beside the engine answer a request, unless it does not begin."""
        site = self.installation.site
        addresses = self._addresses or self._find_addresses()
        scope = make_scope(site, "http", method, addresses, target, list(fields.headers.items()))
        if not OF_PROXIES.isdisjoint(fields.headers):
            site.proxy_headers.read(scope)
        request = WholeRequest(self, scope, data, data[end:], fields.keep_alive)
        if not request.begin(begin):
            return False
        self._waits.discard(self)
        self._request = request
        return True

    def hand_over_new(self, poll_request: UvicornPollRequest) -> bool:
        """Return False: the process keeps the requests that it reads here."""
        return False

    def answer(self, request: UvicornPollRequest | WholeRequest, *response: bytes) -> None:
        """Write the response to a request, and go on."""
        installation, transport = self.installation, self.transport
        behind, self._request = request.behind, None
        for part in response:
            transport.write(part)
        installation.answered()
        if not request.keep_alive or transport.is_closing():
            transport.close()
        elif behind:
            transport.resume_reading()
            self.data_received(behind)
        elif installation.leaving:
            installation.hand_over_if_idle(self.give_up())
        else:
            self._waits = installation.guard.next_requests
            self._waits.add(self)
