"""What becomes of connections of uvicorn's whose clients send too slowly or too much, or do not read."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..engine.core import Core
from ..engine.deadlines import Deadlines
from ..engine.http import Headers, status_line
from ..engine.log_lines import LINES_OF_ADDRESS
from ..engine.slow_clients import PROGRESS

LINGER = 2.0  # seconds that a client has to read the answer to a request that was refused
READ_TIMEOUT = 60.0  # seconds that a client has to read `PROGRESS` bytes of an answer, as with nginx


class Refused(Exception):
    """A request that is not read on: it is answered with an error, and its connection is closed.

    Args:
        status: The HTTP status.
        message: What is wrong, for the client and for the log.
        limit: The limit that was reached, as `Limits` names it.
        logged: Whether the log already has a line about it.
    """

    def __init__(self, status: int, message: str, limit: str = "", *, logged: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.limit = limit
        self.logged = logged


class Guard:
    """The time-outs and refusals of the connections of one uvicorn server.

    A connection, below ``http``, is an object of our classes. Beside uvicorn's names it has five of ours:
    ``expects``, the deadlines among which the connection is, or None; ``excused``, whether the next of them
    passes because nothing was read for a while; ``unread``, how much the client had left unread at the last
    look; ``has_begun_head``; and ``unanswered``, the objects of uvicorn's that are to answer requests.

    Args:
        core: Has the limits, and the logger that gets the refusals.
        own_lines: Makes the lines of uvicorn's own response headers.
        keep_alive: Seconds that a client has for its next request.

    Attributes:
        limits: What clients may do.
        first_requests: Instances of `PlainConnection` whose client has sent nothing yet.
        next_requests: Instances of `PlainConnection` whose client may send another request.
        heads: Connections whose client has to send the head of a request.
        bodies: Connections whose client has to send more of a body.
        answers: Connections whose client has to read more of an answer.
    """

    def __init__(self, core: Core, own_lines: Callable[[], bytes], keep_alive: float) -> None:
        self._core = core
        self._own_lines = own_lines
        self.limits = core.limits
        self.first_requests: Deadlines[Any] = Deadlines(self.limits.header_timeout, self._is_silent)
        self.next_requests: Deadlines[Any] = Deadlines(keep_alive, lambda plain, _: plain.transport.close())
        self.heads: Deadlines[Any] = Deadlines(self.limits.header_timeout, self._head_is_late)
        self.bodies: Deadlines[Any] = Deadlines(self.limits.body_timeout, self._body_is_late)
        self.answers: Deadlines[Any] = Deadlines(READ_TIMEOUT, self._answer_is_unread)
        self._lingering: Deadlines[Lingering] = Deadlines(LINGER, lambda connection, _: connection.abort())

    # Sizes

    def check_head(self, url: int, head: int) -> None:
        """Check the sizes of a URL and of a head, or of as much of them as has arrived.

        Raises:
            Refused: One of them is over its limit.
        """
        if url > self.limits.max_url_size:
            raise Refused(414, "The URL is too long", "max_url_size")
        if head > self.limits.max_header_size:
            raise Refused(431, "The head of the request is too large", "max_header_size")

    # Time-outs

    def expect(self, http: Any, deadlines: Deadlines[Any] | None) -> None:
        """Give a client the time of one kind of deadline, beginning now, or with None all time."""
        if http.expects is not None:
            http.expects.discard(http)
        http.expects = deadlines
        if deadlines is not None:
            http.excused = http.flow.read_paused
            deadlines.add(http)

    def _is_silent(self, plain: Any, _deadline: float) -> None:
        self.limits.hits["header_timeout"] += 1
        plain.transport.close()

    def _head_is_late(self, http: Any, _deadline: float) -> None:
        if self._is_excused(http):
            self.expect(http, self.heads)
        elif http.has_begun_head:
            self.refuse(
                http, Refused(408, "The head of the request did not arrive in time", "header_timeout")
            )
        else:
            self._close(http, "header_timeout")

    def _body_is_late(self, http: Any, _deadline: float) -> None:
        if self._is_excused(http) or any(cycle.waiting_for_100_continue for cycle in http.unanswered):
            self.expect(http, self.bodies)
        elif http.cycle.response_complete:  # the request was answered without its body
            self._close(http, "body_timeout")
        else:
            self.refuse(http, Refused(408, "The body of the request did not arrive in time", "body_timeout"))

    def _close(self, http: Any, limit: str) -> None:
        """Close a connection whose client expects no answer."""
        http.expects = None
        self.limits.hits[limit] += 1
        http.transport.close()

    def expect_reading(self, http: Any) -> None:
        """Have a client read more of what waits to be written to it, beginning now."""
        http.unread = http.transport.get_write_buffer_size()
        self.answers.add(http)

    def _answer_is_unread(self, http: Any, _deadline: float) -> None:
        if http.transport.get_write_buffer_size() <= http.unread - PROGRESS:
            self.expect_reading(http)
            return
        host, port = http.client or ("a socket", 0)
        if self._core.log_lines.allow(host, LINES_OF_ADDRESS):
            self._core.logger.warning(
                "connection of %s:%d cut off: it left %d bytes of an answer unread", host, port, http.unread
            )
        http.transport.abort()

    def _is_excused(self, http: Any) -> bool:
        """Whether the server did not read, or not all the time, because an application is busy."""
        return bool(http.excused or http.flow.read_paused)

    # Refusals

    def refuse(self, http: Any, refused: Refused) -> None:
        """Answer with an error and close, with one log line.

        Requests that have not been answered get no answer, as the client could not tell it from the error. If
        an answer is half written, it breaks off there, and there is no error.
        """
        if refused.limit:
            self.limits.hits[refused.limit] += 1
        self._core.refused.add(refused.message)
        host, port = http.client or ("a socket", 0)
        if not refused.logged and self._core.log_lines.allow(host, LINES_OF_ADDRESS):
            self._core.logger.warning(
                "request of %s:%d refused: %d %s", host, port, refused.status, refused.message
            )
        self.expect(http, None)
        transport = http.transport
        unanswered = http.unanswered
        if not (transport.is_closing() or any(cycle.response_started for cycle in unanswered)):
            transport.write(self._answer(http, refused.status, refused.message.encode()))
        for cycle in unanswered:
            cycle.waiting_for_100_continue = False  # it would say that the client may go on
        connections = http.connections
        http.connection_lost(refused)  # an error, as uvicorn closes at once without one
        transport.set_protocol(Lingering(transport, connections, self._lingering))

    def _answer(self, http: Any, status: int, body: bytes) -> bytes:
        head = (
            b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            % len(body)
        )
        return status_line(status) + self._own_lines() + head + body


class Lingering(asyncio.Protocol):
    """A connection to which nothing more is written: what still arrives is dropped until the client closes.

    If it were closed at once, the client could lose the last answer: a socket that is closed while input is
    unread is reset.
    """

    def __init__(
        self, transport: asyncio.Transport, connections: set[Any], deadlines: Deadlines[Lingering]
    ) -> None:
        self._transport = transport
        self._connections = connections
        self._deadlines = deadlines
        connections.add(self)
        deadlines.add(self)
        if transport.can_write_eof() and not transport.is_closing():
            transport.write_eof()
        transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        pass

    def connection_lost(self, error: Exception | None) -> None:
        self._connections.discard(self)
        self._deadlines.discard(self)

    def shutdown(self) -> None:
        """Called by uvicorn when it stops."""
        self._transport.close()

    def abort(self) -> None:
        """Drop the connection."""
        self._transport.abort()


def has_body(headers: Headers) -> bool:
    """Whether a request has a body, by its headers."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def head_size(method: bytes, url: bytes, headers: Headers) -> int:
    """Bytes of the head of a request, if it is written in the usual way."""
    return len(method) + len(b"  HTTP/1.1\r\n\r\n") + kept(url, headers)


def kept(url: bytes, headers: Headers) -> int:
    """Bytes of the lines of a head that have been read."""
    return len(url) + sum([len(name) + len(value) + len(b": \r\n") for name, value in headers])
