"""The response side of PEP 3333, turned into ASGI messages."""

from __future__ import annotations

import logging
import re
from collections.abc import AsyncIterable, Awaitable, Callable, Iterable, MutableMapping
from functools import lru_cache
from types import TracebackType
from typing import Any, TypeAlias

from ..engine.log_lines import LogLines

Message: TypeAlias = MutableMapping[str, Any]
ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

logger = logging.getLogger("asyncsock.wsgi")
lines = LogLines(logger)

# PEP 3333 and RFC 9112: three digits, a space, and a reason, which may be missing. A status below 200 only
# announces an answer; RFC 9110 knows none above 599.
STATUS = re.compile(r"([2-5][0-9]{2})(?: .*)?", re.DOTALL)
NO_BODY = (204, 304)
HOP_BY_HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailer trailers "
    b"transfer-encoding upgrade".split()
)


class Response:
    """start_response(), write() and the iterable that the application returns.

    Args:
        method: the request's method.
        send: takes the messages of one piece of the response, and returns when they are sent.
        end: takes the last messages of the response, and does not wait. It is called once.

    Attributes:
        rest: An asynchronous iterable of the body, which `stream` sends; the application may set it until its
            own iterable ends.
    """

    def __init__(
        self, method: str, send: Callable[[list[Message]], None], end: Callable[[list[Message]], None]
    ) -> None:
        self.method = method
        self.ended = False
        self.headers_sent = False
        self.rest: AsyncIterable[bytes | str] | None = None
        self._send = send
        self._end = end
        self._start: Message | None = None
        self._bodiless = False
        self._left: int | None = None  # bytes that are due by the Content-Length

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], None]:
        if exc_info:
            try:
                if self.headers_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # break the cycle traceback -> frame -> exc_info
        elif self._start is not None:
            raise AssertionError("start_response() was called a second time without exc_info")
        code = _code(status)
        left = None
        encoded = []
        for name, value in headers:
            key = name.lower().encode("latin-1")
            if key == b"content-length":
                left = int(value)
                if left < 0:
                    raise ValueError(f"the Content-Length {value!r} is negative")
                if code in NO_BODY:
                    continue
                value = str(left)  # int() takes more spellings than a client does
            elif key in HOP_BY_HOP:
                continue
            encoded.append((key, value.encode("latin-1")))
        self._bodiless = code in NO_BODY or self.method == "HEAD"
        self._left = 0 if self._bodiless else left
        self._start = {"type": "http.response.start", "status": code, "headers": encoded}
        return self.write

    def write(self, chunk: bytes) -> None:
        """Send a piece of the body, and return when the server has taken it."""
        if self._start is None:
            raise RuntimeError("the WSGI application sent data before it called start_response()")
        chunk = self._due(chunk)
        if self._left == 0:
            # The client has all now, and need not wait for what the application does afterwards.
            if not self.ended:
                self.end(chunk)
            return
        self._send(self._messages(chunk, more=True))

    def respond(self, result: Iterable[bytes]) -> None:
        """Send what the application returned, piece by piece as it comes. The `rest` is left to `stream`."""
        is_whole = isinstance(result, (list, tuple)) and self.rest is None
        if is_whole and self._start is not None and not self.headers_sent:
            result = [b"".join(result)]
            if self._left is None:
                self._left = len(result[0])
                self._start["headers"].append((b"content-length", b"%d" % self._left))
        if self._left == 0 and not self.ended:
            self.end()
        for chunk in result:
            if chunk:
                had_ended = self.ended
                self.write(chunk)
                if had_ended:
                    break
        if self.ended:
            return
        if self._start is None:
            raise RuntimeError("the WSGI application did not call start_response()")
        if self.rest is None:
            self._check_end()
            self.end()

    @property
    def unsent(self) -> int:
        """Bytes of a body whose length is known, and of which nothing has been sent; 0 for others."""
        return 0 if self.headers_sent or self._left is None else self._left

    @property
    def start(self) -> Message:
        """The first message of the response. The application has called `start_response`."""
        assert self._start is not None
        return self._start

    def sent(self) -> None:
        """Note that the body has been sent by other means."""
        self._left = 0
        self.end()

    async def stream(self, send: Callable[[Message], Awaitable[None]]) -> None:
        """Send the rest, on the event loop. The headers go first, as the body may begin much later.

        Args:
            send: returns when the server has taken a message.
        """
        assert self.rest is not None
        chunks = aiter(self.rest)
        try:
            for message in self._messages(b"", more=True):
                await send(message)
            async for chunk in chunks:
                due = self._due(chunk.encode() if isinstance(chunk, str) else chunk)
                [message] = self._messages(due, more=self._left != 0)
                await send(message)
                if self._left == 0:
                    return
        finally:
            aclose = getattr(chunks, "aclose", None)
            if aclose is not None:
                await aclose()
        self._check_end()
        [message] = self._messages(b"", more=False)
        await send(message)

    def _due(self, chunk: bytes) -> bytes:
        """As much of a chunk as the Content-Length leaves room for."""
        if self._left is None:
            return chunk
        if len(chunk) > self._left and not self._bodiless and lines.allow("long responses"):
            logger.warning("A response is longer than its Content-Length; the rest is not sent")
        due = chunk[: self._left]
        self._left -= len(due)
        return due

    def _check_end(self) -> None:
        if self._left:
            raise RuntimeError(f"the response ended {self._left} bytes short of its Content-Length")

    def fail(self) -> None:
        """Answer 500. Only if nothing of the response has been sent."""
        body = b"Internal Server Error"
        headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
        self._start = {"type": "http.response.start", "status": 500, "headers": headers}
        self.end(b"" if self.method == "HEAD" else body)

    @property
    def status(self) -> str:
        """The status code; ``none`` if there is none."""
        return str(self._start["status"]) if self._start is not None else "none"

    def end(self, chunk: bytes = b"") -> None:
        self.ended = True
        self._end(self._messages(chunk, more=False))

    def _messages(self, chunk: bytes, more: bool) -> list[Message]:
        body: Message = {"type": "http.response.body", "body": chunk, "more_body": more}
        if self.headers_sent or self._start is None:
            return [body]
        self.headers_sent = True
        return [self._start, body]


@lru_cache(maxsize=128)
def _code(status: str) -> int:
    """The number of a status.

    Raises:
        ValueError: It is none that an answer can have.
    """
    match = STATUS.fullmatch(status)
    if match is None:
        raise ValueError(
            f"the status {status!r} is none of an answer: it is 200 to 599, a space and a reason"
        )
    return int(match[1])
