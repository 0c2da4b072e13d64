"""The engine on uvicorn's connections that parse HTTP with httptools.

uvicorn's protocol object reads the requests of a connection, from the first that was not a plain one on.
Polling requests are answered from its callbacks: they need no scope, no task and no queue, and a poll that
waits is one small object. A WebSocket takes the connection over. uvicorn's own code handles all requests that
are not for the engine, and the unusual ones that are: those reach the engine through ASGI.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from ..engine.deadlines import Deadlines
from ..engine.http import ASGI, TWO_HOSTS, Request, has_two_hosts
from .guard import Refused, has_body, head_size, kept
from .installation import Installation
from .poll_request import UvicornPollRequest
from .protocol_attributes import new_parser, shared_attributes

PIECE = 2048  # bytes of input that are read at once outside of bodies
MOST_HELD = 1_000_000  # bytes that may arrive behind requests that are not answered
INVALID = "Invalid HTTP request received."  # as uvicorn says it
METHODS = {b"GET": "GET", b"POST": "POST", b"OPTIONS": "OPTIONS"}


class HTTPToolsConnection(HttpToolsProtocol):
    """uvicorn's protocol, except that it gives the engine's requests to the engine."""

    access_logger: Any
    app: Any
    cycle: Any  # what answers the latest request: uvicorn's object, or a UvicornPollRequest
    scope: Any
    parser: Any
    pipeline: deque[Any]
    expects: Deadlines[Any] | None = None  # what the client has to send in time; see Guard
    excused = False
    unread = 0
    _held = b""  # what has arrived and is not read yet
    _earlier: Sequence[Any] = ()  # what answers earlier requests than the latest, or has answered them
    _whole_head: Any = None  # the list of headers when the latest head had been read
    _head_size = 0  # bytes of a head that began in an earlier piece of input
    _in_body = False  # whether a body is being read
    _got_body = False  # whether any of it was in the piece of input that is being read
    _framing = 0  # bytes that were read since then

    def __init__(self, installation: Installation, **arguments: Any) -> None:
        if installation.shared_attributes is None:
            installation.shared_attributes = shared_attributes(arguments)
        if not installation.shared_attributes:
            super().__init__(**arguments)
        else:
            self.__dict__.update(installation.shared_attributes)
            self.parser = new_parser(self)
            self.pipeline = deque()
        self.installation = installation
        self.guard = installation.guard
        self.access_logger = installation.access_log
        self._poll_request: UvicornPollRequest | None = None  # being read or answered
        self._to_websocket = False  # whether the request that is being read asks for a WebSocket

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.expects = heads = self.guard.heads
        heads.add(self)
        self.installation.connected(self)

    def data_received(self, data: bytes) -> None:
        if self._held:
            self._hold_more(data)
            return
        # uvicorn's own method would drop what follows a request for an upgrade that is not made, and read all
        # requests at once.
        if self.timeout_keep_alive_task is not None:
            self._unset_keepalive_if_required()
        refused: Refused | None = None
        try:
            self._feed(data)
        except Refused as error:
            refused = error
        except httptools.HttpParserError as error:
            if isinstance(error.__context__, Refused):  # raised in one of the methods that the parser calls
                refused = error.__context__
            else:
                refused = Refused(400, INVALID)
        poll_request = self._poll_request
        if poll_request is not None and not (refused and poll_request.more_body):
            poll_request.advance()
        if refused is not None:
            self.guard.refuse(self, refused)
        elif self.expects is not None or self.timeout_keep_alive_task is None:
            self._expect_more()

    def connection_lost(self, error: Exception | None) -> None:
        if self.expects is not None:
            self.expects.discard(self)
        self.guard.answers.discard(self)
        for earlier in self._earlier and self.unanswered:  # uvicorn tells the latest only
            earlier.disconnected = True
            earlier.message_event.set()
        if type(self.cycle) is UvicornPollRequest:
            self.cycle = None
        super().connection_lost(error)
        poll_request, self._poll_request = self._poll_request, None
        if poll_request is not None:
            poll_request.gone()

    def pause_writing(self) -> None:
        super().pause_writing()
        self.guard.expect_reading(self)

    def resume_writing(self) -> None:
        self.guard.answers.discard(self)
        super().resume_writing()

    # Reading

    def _hold(self, data: bytes) -> None:
        """Keep input until the requests that have been read have been answered, or are being answered."""
        self._held = data
        self.flow.pause_reading()

    def _hold_more(self, data: bytes) -> None:
        """Keep more: uvicorn goes on reading whenever the application asks whether the client is there."""
        if len(self._held) < MOST_HELD:
            self._hold(self._held + data)
        else:
            self._held = b""
            self.guard.refuse(self, Refused(400, "Too much behind a request that is not answered"))

    def _read_held(self) -> None:
        held, self._held = self._held, b""
        if held and self in self.connections:
            self.data_received(held)
            if not (self._held or self.pipeline):
                self.flow.resume_reading()

    def _feed(self, data: bytes | memoryview) -> None:
        """Have the parser read, until requests wait for an earlier one to be answered.

        Raises:
            Refused: The input breaks a limit, or a rule that the parser does not know.
            httptools.HttpParserError: The input is not HTTP.
        """
        # At once it is given no more than a head may have: a larger head is in several pieces, and measured.
        # Outside of bodies the pieces are small, so that few requests are read before the first is answered.
        limit = self.guard.limits.max_header_size
        while data:
            if self.pipeline:
                self._hold(bytes(data))
                return
            most = limit if self._in_body or limit < PIECE else PIECE
            piece = data
            if len(data) > most:
                data = memoryview(data)
                piece = data[:most]
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                data = memoryview(data)[upgrade.args[0] :]
                if not self._to_websocket:
                    self._unsupported_upgrade_warning()
                elif data:
                    raise Refused(400, "Data behind a request for a WebSocket") from None
                else:
                    self.handle_websocket_upgrade()
                continue
            if self.headers is not self._whole_head:
                self._measure_head(len(piece))
            elif self._in_body:
                self._measure_body(len(piece))
            if piece is data:
                return
            data = data[most:]

    @property
    def has_begun_head(self) -> bool:
        """Whether a part of a head has arrived, and the rest has not."""
        return self.headers is not self._whole_head  # uvicorn makes a list for each request

    @property
    def is_idle(self) -> bool:
        """Whether nothing has arrived that is not answered."""
        return (
            self in self.connections
            and not (self.has_begun_head or self._in_body or self._held or self.pipeline)
            and (self.cycle is None or self.cycle.response_complete)
        )

    def hand_over_new(self, poll_request: UvicornPollRequest) -> bool:
        """Hand over a request, if it is whole and for a new session that another worker should have."""
        if self.installation.elsewhere is None or not poll_request.is_whole:
            return False
        cycle, self.cycle = self.cycle, None
        headers = self.scope["headers"]
        if self.installation.hand_over_new(self, poll_request.request, self.url, headers):
            self._poll_request = None
            return True
        self.cycle = cycle
        return False

    def go_on_with(self, poll_request: UvicornPollRequest) -> None:
        """Have the request that is to be answered next, which another object has read."""
        self._poll_request = self.cycle = poll_request
        poll_request.move(self)

    def read_for(self, app: ASGI, data: bytes) -> bool:
        """Read a request for an application other than the configured one; return whether it was one."""
        configured, self.app = self.app, app
        self.data_received(data)
        self.app = configured
        return self.cycle is not None

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        if not self.installation.end(self):
            super().shutdown()

    def end_after_answer(self) -> None:
        """Have the answer to the latest request say that the connection ends with it, unless it has begun."""
        cycle = self.cycle
        if cycle is not None and not (cycle.response_complete or cycle.response_started):
            cycle.keep_alive = False

    def _measure_head(self, size: int) -> None:
        """Count a piece of input that has left a head unfinished."""
        # How much of the piece in which it began belongs to it is not known, only what has been kept of it.
        self._head_size = self._head_size + size if self._head_size else max(1, kept(self.url, self.headers))
        self.guard.check_head(len(self.url), self._head_size)

    def _measure_body(self, size: int) -> None:
        """Count a piece of input that has left a body unfinished."""
        if self._got_body:
            self._got_body = False
            self._framing = 0
            self.guard.expect(self, self.guard.bodies)
        else:
            self._framing += size
            if self._framing > self.guard.limits.max_header_size:
                raise Refused(431, "Too much between the parts of a body", "max_header_size")

    def _expect_more(self) -> None:
        """Have the client send the rest of what it has begun, or a request if there is none."""
        expects: Deadlines[Any] | None = None
        if self not in self.connections:
            return  # it has become a WebSocket
        if self.headers is not self._whole_head:
            expects = self.guard.heads
        elif self._in_body:
            return
        elif self.timeout_keep_alive_task is None and (self.cycle is None or self.cycle.response_complete):
            expects = None if self.transport.is_closing() else self.guard.heads
        if expects is not self.expects:
            self.guard.expect(self, expects)

    def timeout_keep_alive_handler(self) -> None:
        """Called by uvicorn some time after an answer; a request that has begun has a deadline of its own."""
        if not self.has_begun_head:
            super().timeout_keep_alive_handler()

    @property
    def unanswered(self) -> list[Any]:
        """uvicorn's objects that answer requests, and have not yet."""
        cycles = self._earlier if self.cycle is None else [*self._earlier, self.cycle]
        return [each for each in cycles if not (each.response_complete or type(each) is UvicornPollRequest)]

    # httptools

    def on_headers_complete(self) -> None:
        if self._head_size or len(self.url) > self.guard.limits.max_url_size:
            size = head_size(self.parser.get_method(), self.url, self.headers)
            self.guard.check_head(len(self.url), size)
            self._head_size = 0
        self._in_body = self._got_body = True
        upgrades = self.parser.should_upgrade()
        if upgrades:
            if has_body(self.headers):
                raise Refused(400, "A request for an upgrade has no body")
            if has_two_hosts(self.headers):
                raise Refused(400, TWO_HOSTS)
            self._to_websocket = super()._should_upgrade()
            if self._to_websocket:
                if self.cycle is not None and not self.cycle.response_complete:
                    raise Refused(400, "A request for a WebSocket behind a request that is not answered")
                self.scope["method"] = self.parser.get_method().decode("ascii")
                self._whole_head = self.headers
                return
        if upgrades or not self._try_to_take_request():
            previous = self.cycle
            super().on_headers_complete()
            if self.pipeline:
                self._note_earlier(previous)
        self._whole_head = self.headers = []  # another list, because trailers are no headers
        if self.installation.ends:
            self.installation.requested(self)

    def _note_earlier(self, cycle: Any) -> None:
        """Note what answers an earlier request than the latest."""
        earlier = self._earlier
        if not isinstance(earlier, list) or len(earlier) >= 2 * len(self.pipeline):
            earlier = self._earlier = [each for each in earlier if not each.response_complete]
        earlier.append(cycle)

    def _try_to_take_request(self) -> bool:
        try:
            return self._take_request()
        except Exception as error:
            self.installation.failed(error)
            return False

    def _should_upgrade(self) -> bool:
        return self._to_websocket  # uvicorn asks more than once, and its own method searches all headers

    def on_body(self, body: bytes) -> None:
        self._got_body = True
        cycle = self.cycle
        if type(cycle) is not UvicornPollRequest:
            super().on_body(body)
        elif cycle.is_open:
            cycle.chunks.append(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        cycle = self.cycle
        if type(cycle) is not UvicornPollRequest:
            super().on_message_complete()
        else:
            cycle.more_body = False

    def _take_request(self) -> bool:
        """Begin to handle the request whose headers have been read, if it is an ordinary one of ours."""
        parser = self.parser
        method = METHODS.get(parser.get_method())
        url = self.url
        path, _, query = url.partition(b"?")
        earlier = self.cycle
        if (
            method is None
            or not self.installation.owns("http", method, self.root_path, path)
            or parser.get_http_version() != "1.1"
            or self.expect_100_continue
            or self.limit_concurrency is not None
            or self.flow.write_paused
            or b"#" in query
            or not url.isascii()
            or (earlier is not None and not earlier.response_complete)
        ):
            return False
        headers = dict(self.headers)
        if len(headers) < len(self.headers) and has_two_hosts(self.headers):
            return False
        make_scope = partial(self.installation.http_scope, self.scope, method, path, query)
        request = Request(method, headers, query, make_scope)
        self._poll_request = self.cycle = UvicornPollRequest(
            self, request, path, query, parser.should_keep_alive()
        )
        return True

    def handle_websocket_upgrade(self) -> None:
        """Hand over the connection: a request for a WebSocket has been read."""
        self.guard.expect(self, None)
        self.guard.answers.discard(self)
        if self.installation.upgrade(self, self.scope["method"], self.url):
            self.parser = None  # it refers to this object: the cycle would need the garbage collector
        else:
            super().handle_websocket_upgrade()

    # Answers

    def answer(self, poll_request: UvicornPollRequest, response: bytes) -> None:
        """Write the response to a request, and go on as uvicorn does after one."""
        self._poll_request = None
        self.transport.write(response)
        if not poll_request.keep_alive:
            self.transport.close()
        self.on_response_complete()

    def on_response_complete(self) -> None:
        """Called when a request has been answered; uvicorn begins with the next one that has been read."""
        super().on_response_complete()
        if self._held:
            self._go_on()
        elif self.installation.leaving:
            self.installation.hand_over_if_idle(self)

    def _go_on(self) -> None:
        """Read what is held soon."""
        if not self.transport.is_closing():
            self.flow.pause_reading()
            if not self.pipeline:
                self.loop.call_soon(self._read_held)
