"""The engine on uvicorn's connections that parse HTTP with h11."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..engine.deadlines import Deadlines
from .guard import Guard, Refused, has_body, head_size
from .installation import Installation

CLOSE = (b"connection", b"close")


class H11Connection(H11Protocol):
    """uvicorn's protocol, except that it gives WebSockets to the engine. Polls go through ASGI."""

    access_logger: Any
    cycle: Any  # uvicorn's object that answers the latest request
    expects: Deadlines[Any] | None = None  # what the client has to send in time; see Guard
    excused = False
    unread = 0
    _more = False  # whether more has arrived than the parser has been given

    def __init__(self, installation: Installation, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._installation = installation
        self._guard = installation.guard
        self.access_logger = installation.access_log
        self.conn = LimitedParser(self._guard, self._guard.limits.max_header_size)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._guard.expect(self, self._guard.heads)
        self._installation.connected(self)

    def data_received(self, data: bytes) -> None:
        # In slices, so that a head that is too large is refused before h11 has parsed all of it.
        size = self._guard.limits.max_header_size
        for start in range(0, len(data), size):
            self._more = start + size < len(data)
            super().data_received(data[start : start + size])
            if self not in self.connections:
                return  # it was refused, or has become a WebSocket
        self._expect_more()

    def on_response_complete(self) -> None:
        """Called by uvicorn when a request has been answered; it reads the next one, which may be there."""
        super().on_response_complete()
        if self in self.connections:
            self._expect_more()
            if self._installation.leaving:
                self._installation.hand_over_if_idle(self)

    def connection_lost(self, error: Exception | None) -> None:
        self._guard.expect(self, None)
        self._guard.answers.discard(self)
        super().connection_lost(error)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._guard.expect_reading(self)

    def resume_writing(self) -> None:
        self._guard.answers.discard(self)
        super().resume_writing()

    # Reading

    def handle_events(self) -> None:
        """Handle what the parser has read."""
        try:
            super().handle_events()
            self._installation.requested(self)
        except Refused as refused:
            self._guard.refuse(self, refused)

    def send_400_response(self, message: str) -> None:
        """Called by uvicorn when it has logged that what it has read is not HTTP."""
        self._guard.refuse(self, Refused(400, message, logged=True))

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """Hand over the connection: a request for a WebSocket has been read."""
        if has_body(self.headers):
            raise Refused(400, "A request for an upgrade has no body")
        if self._more or self.conn.trailing_data[0]:
            raise Refused(400, "Data behind a request for a WebSocket")
        self._guard.expect(self, None)
        self._guard.answers.discard(self)
        if not self._installation.upgrade(self, event.method.decode("ascii"), event.target):
            super().handle_websocket_upgrade(event)

    def _expect_more(self) -> None:
        """Have the client send the rest of what it has begun, or a request if there is none."""
        expects = None
        state = self.conn.their_state
        if state is h11.SEND_BODY:
            expects = self._guard.bodies
        elif state is h11.IDLE and (self.timeout_keep_alive_task is None or self.has_begun_head):
            expects = self._guard.heads
        if expects is not self.expects or state is h11.SEND_BODY:
            self._guard.expect(self, expects)

    def timeout_keep_alive_handler(self) -> None:
        """Called by uvicorn some time after an answer; a request that has begun has a deadline of its own."""
        if not self.has_begun_head:
            super().timeout_keep_alive_handler()

    @property
    def is_idle(self) -> bool:
        """Whether nothing has arrived that is not answered."""
        return (
            self in self.connections
            and self.conn.our_state is h11.IDLE
            and self.conn.their_state is h11.IDLE
            and not (self._more or self.has_begun_head)
        )

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        if not self._installation.end(self):
            super().shutdown()

    def end_after_answer(self) -> None:
        """Have the answer to the latest request say that the connection ends with it, unless it has begun."""
        cycle = self.cycle
        if cycle is not None and not cycle.response_started and CLOSE not in cycle.default_headers:
            cycle.default_headers = [*cycle.default_headers, CLOSE]

    @property
    def has_begun_head(self) -> bool:
        """Whether a part of a head has arrived, and the rest has not."""
        return self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])

    @property
    def unanswered(self) -> list[Any]:
        """uvicorn's objects that answer requests, and have not yet."""
        return [] if self.cycle is None or self.cycle.response_complete else [self.cycle]


class LimitedParser(h11.Connection):
    """h11's parser of requests, which refuses those that are too large.

    Args:
        guard: Has the limits.
        max_incomplete_event_size: Bytes of a head, or of what frames a body, that are kept until it is whole.
    """

    def __init__(self, guard: Guard, max_incomplete_event_size: int) -> None:
        super().__init__(h11.SERVER, max_incomplete_event_size)
        self._guard = guard

    def next_event(self) -> Any:
        """The next event, as h11 has it.

        Raises:
            Refused: A request is too large.
            h11.RemoteProtocolError: The input is not HTTP.
        """
        begins = self.their_state is h11.IDLE
        try:
            event = super().next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 431:
                line = self.trailing_data[0].partition(b"\r\n")[0] if begins else b""
                self._guard.check_head(len(line), self._guard.limits.max_header_size + 1)
            raise
        if isinstance(event, h11.Request):
            size = head_size(event.method, event.target, list(event.headers))
            self._guard.check_head(len(event.target), size)
        return event
