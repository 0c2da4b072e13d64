"""A request that is not for the engine, read whole, and answered without ASGI if its answer is plain."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any, Protocol, TypeAlias
from urllib.parse import quote

from ..engine.http import Headers, Message, Receive, Scope, Send, status_line
from ..engine.log import printable
from .file_sending import LentSocket, lend_now, may_lend
from .heads import lines_of

NO_BODY = (204, 304)
JOINED_SIZE = 65_536  # bytes of a body that is copied to be written with its head
# Header fields that uvicorn writes as they are. Names are in lower case.
are_plain = re.compile(rb"(?:[!#$%&'*+\-.^_`|~0-9a-z]+: [^\x00-\x08\x0a-\x1f\x7f]*\r\n)*").fullmatch


class Answering(Protocol):
    """What an application has made of a request."""

    async def go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the rest of it through ASGI."""

    async def finish(self) -> None:
        """Do the rest of it if the client leaves while a thread has the socket."""


# Begins to answer a request and returns at once; None if the application wants to get it through ASGI.
Begin: TypeAlias = Callable[["WholeRequest"], Answering | None]


class WholeRequest:
    """A request that has been read whole, until it is answered or goes on through ASGI.

    The application answers with `answer`, or with `lend` and then `take_back`. If it needs more than that, it
    calls `use_asgi`: uvicorn then reads the request again, as if it had just come, and goes on with the
    application's `go_on`. That is also what happens if more arrives behind the request, and when uvicorn
    stops, unless a thread has the socket.

    Args:
        http: The connection. Its ``answer(request, *response)`` writes the response.
        scope: The scope, as the application would get it from uvicorn.
        data: The request as it was read.
        body: Its body.
        keep_alive: Whether the connection goes on after the answer.

    Attributes:
        scope: As above.
        body: As above.
        keep_alive: As above; it may still become False.
        is_open: Whether it may be answered here.
        is_lent: Whether a thread has the socket, to write the response.
        behind: What has arrived behind the request meanwhile.
        disconnected: Whether the client has left meanwhile.
    """

    __slots__ = (
        "_answering",
        "_data",
        "_http",
        "behind",
        "body",
        "disconnected",
        "is_lent",
        "is_open",
        "keep_alive",
        "scope",
    )

    def __init__(self, http: Any, scope: Scope, data: bytes, body: bytes, keep_alive: bool) -> None:
        self._http = http
        self._data = data
        self._answering: Any = None
        self.scope = scope
        self.body = body
        self.keep_alive = keep_alive
        self.is_open = True
        self.is_lent = False
        self.behind = b""
        self.disconnected = False

    @property
    def transport(self) -> Any:
        """asyncio's transport of the connection."""
        return self._http.transport

    def begin(self, begin: Begin) -> bool:
        """Have the application begin; return False if it does not."""
        self._answering = begin(self)
        return self._answering is not None

    def answer(self, status: int, headers: Headers, body: bytes) -> bool:
        """Answer, if uvicorn would write just this.

        Args:
            status: The status.
            headers: The headers, with their names in lower case.
            body: The body; of the size that the headers give, or empty where an answer has none.

        Returns:
            False if it would not. Nothing has been done then.
        """
        lines = self._lines(status, headers)
        if lines is None:
            return False
        http = self._http
        installation = http.installation
        self.is_open = False
        self._answering = None  # it refers to this object
        try:
            if installation.access_log.is_heard:
                self._log(status)
            head = self._head(status, lines)
            if len(body) <= JOINED_SIZE:
                http.answer(self, head + body)
            else:
                http.answer(self, head, body)
        except Exception as error:  # not raised: the caller may be at work for another client
            installation.failed(error)
            http.transport.abort()
        return True

    def lend(self, status: int, headers: Headers) -> LentSocket | None:
        """Lend a thread the socket to write the response, if uvicorn would write just this head.

        The head is written with the file. What arrives behind the request meanwhile waits.

        Args:
            status: The status.
            headers: The headers, with their names in lower case.

        Returns:
            None if uvicorn would write another, or if the socket cannot be lent. Nothing has been done then.
        """
        lines = self._lines(status, headers)
        if lines is None or not may_lend(self.transport):
            return None
        try:
            lent = lend_now(self, self._head(status, lines))
        except Exception as error:
            self._http.installation.failed(error)
            return None
        if lent is None:
            return None
        self.is_open = False
        self.is_lent = True
        if self._http.installation.access_log.is_heard:
            self._log(status)
        return lent

    def take_back(self, is_complete: bool) -> None:
        """Go on with the connection after the thread has closed its socket.

        Args:
            is_complete: Whether it has written the whole response. If not, the connection ends.
        """
        if self.disconnected:
            return
        if not is_complete:
            self.transport.abort()
            return
        self.is_lent = False
        try:
            self._http.answer(self)
        except Exception as error:  # not raised, as above
            self._http.installation.failed(error)
            self.transport.abort()

    def wait_for(self, rest: Coroutine[Any, Any, None]) -> None:
        """Have the server wait, when it stops, for what the application does behind its answer."""
        self._http.installation.wait_for(rest)

    def use_asgi(self) -> None:
        """Have uvicorn read the request, and the application go on with it."""
        installation = self._http.installation
        try:
            self._http.give_up()
        except Exception as error:
            installation.failed(error)
            self._http.transport.abort()

    def move(self, http: Any) -> None:
        """Have a protocol object of uvicorn's read the request."""
        self.is_open = False
        if not http.read_for(self._go_on, self._data):
            self.gone()

    def gone(self) -> None:
        """The client has left."""
        if self.is_lent:
            self.disconnected = True
            self.wait_for(self._answering.finish())
            return
        self.is_open = False
        self.wait_for(self._answering.go_on(self.scope, _receive_end, _drop))

    async def _go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._answering.go_on(self._http.installation.proxy_headers.read(scope), receive, send)

    def _lines(self, status: int, headers: Headers) -> bytes | None:
        """The lines of the headers of a response; None if uvicorn would change them."""
        lines = lines_of(headers)
        if are_plain(lines) is None or lines.count(b"\n") != len(headers):
            return None
        has_body = self.scope["method"] != "HEAD" and status not in NO_BODY
        if has_body and [name for name, _ in headers].count(b"content-length") != 1:
            return None
        return lines

    def _head(self, status: int, lines: bytes) -> bytes:
        return b"%b%b%b%b\r\n" % (
            status_line(status),
            self._http.installation.own_lines(),
            lines,
            b"" if self.keep_alive else b"connection: close\r\n",
        )

    def _log(self, status: int) -> None:
        scope = self.scope
        client, query = scope["client"], scope["query_string"]
        target = _quoted(scope["path"])
        self._http.installation.access_log(
            printable(f"{client[0]}:{client[1]}") if client else "",
            scope["method"],
            f"{target}?{query.decode()}" if query else target,
            status,
        )


_quoted = lru_cache(maxsize=64)(quote)


async def _receive_end() -> Message:
    return {"type": "http.disconnect"}


async def _drop(message: Message) -> None:
    pass
