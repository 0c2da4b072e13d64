"""A polling request and its answer, over ASGI or on a connection of uvicorn's."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Protocol

from ..answers import Answers
from ..http import JSON, TEXT, Headers, HTTPError, Receive, Request
from ..session import Session


class WaitsForPolls(Protocol):
    """What a request needs of the transport that it belongs to."""

    def posted(self, poll_request: PollRequest, body: bytes) -> None:
        """Take the body of a POST, and answer it when its packets are handled."""

    def client_gone(self, poll_request: PollRequest) -> None:
        """Note that the client left before the request was answered."""


class PollRequest:
    """A polling request: it is answered at once, or later, when what it waits for is there.

    It may wait for its body, for packets, or for the connect handler. The code that received it gives it to
    `Endpoint.begin`, then calls `feed` while it is `reading`, and `gone` when the client leaves. Subclasses
    write the answer. A GET does nothing before it is whole: if its body is broken, nobody gets the answer.
    Those that know at once that it is whole, because there is no body, say so with `is_whole`.

    Args:
        answers: Adds headers and compression to the answer.
        request: The request without its body.

    Attributes:
        request: The request without its body.
        session: The session that it belongs to; None if that is not known yet, or not of this process.
        reading: Whether it waits for the rest of its body.
        size: Bytes of the body that have arrived.
        is_open: Whether it can be answered: it has not been, and its client has not left.
    """

    __slots__ = (
        "_answer_whole",
        "_answers",
        "_chunks",
        "_cors",
        "_limit",
        "_polling",
        "is_open",
        "reading",
        "request",
        "session",
        "size",
    )

    def __init__(self, answers: Answers, request: Request) -> None:
        self._answers = answers
        self._cors: Headers = []
        self._polling: WaitsForPolls | None = None
        self._answer_whole: Callable[[PollRequest], None] | None = None
        self._chunks: list[bytes] = []
        self.size = self._limit = 0
        self.request = request
        self.session: Session | None = None
        self.reading = False
        self.is_open = True

    # For the code that received it

    def feed(self, chunk: bytes, more: bool) -> None:
        """Take a part of the body.

        Args:
            chunk: The part.
            more: Whether others follow.
        """
        self.size += len(chunk)
        if self._answer_whole is None:
            self._chunks.append(chunk)
        if more and self.size <= self._limit:
            return
        self.reading = False
        if self._answer_whole is None:
            assert self._polling is not None
            body = b"".join(self._chunks)
            self._chunks.clear()
            self._polling.posted(self, body)
            return
        try:
            if self.size > self._limit:
                raise HTTPError(413, "Payload too large")
            self._answer_whole(self)
        except HTTPError as error:
            self.refuse(error)

    def gone(self) -> None:
        """Note that the client has left. If the request has been answered, nothing happens."""
        if self.is_open:
            self.is_open = self.reading = False
            if self._polling is not None:
                self._polling.client_gone(self)

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        """Send a whole answer."""
        raise NotImplementedError

    # For the engine

    @property
    def is_whole(self) -> bool:
        """Whether the request is known to have no body."""
        return False

    def admit(self) -> None:
        """Check the origin of the request.

        Raises:
            HTTPError: The origin is not allowed.
        """
        self._cors = self._answers.cors_headers(self.request)

    def wait(self, session: Session | None, polling: WaitsForPolls) -> None:
        """Stay open until the session has packets. It is None if another process has it."""
        self.session = session
        self._polling = polling

    def read(self, session: Session | None, polling: WaitsForPolls, limit: int) -> None:
        """Wait until the body, or more than ``limit`` bytes of it, has arrived for a session."""
        self.wait(session, polling)
        self.reading = True
        self._limit = limit

    def skip(self, limit: int, answer: Callable[[PollRequest], None]) -> None:
        """Drop the body, and have the request answered at its end; one of over ``limit`` bytes is refused."""
        self.reading = True
        self._limit = limit
        self._answer_whole = answer

    def respond(self, body: bytes, opened: str | None = None) -> None:
        """Answer with status 200.

        Args:
            body: The body, which is not compressed yet.
            opened: The id of the session that the answer opens.
        """
        if self.is_open:
            self.is_open = False
            body, encoding = self._answers.compress(body, self.request)
            cookie = self._answers.cookie_headers(opened) if opened is not None else []
            self.write(200, body, [*self._cors, *cookie, *encoding], TEXT)

    def refuse(self, error: HTTPError) -> None:
        """Answer with an error."""
        if self.is_open:
            self.is_open = self.reading = False
            self._answers.log_refusal(self.request, error)
            self.write(error.status, error.body, self._cors, JSON)

    def cut_off(self, error: HTTPError) -> None:
        """Answer with an error while the body is being read, and close the connection."""
        raise NotImplementedError


class ASGIPollRequest(PollRequest):
    """A polling request over ASGI."""

    __slots__ = ("_answered", "_reader", "written")

    def __init__(self, answers: Answers, request: Request) -> None:
        super().__init__(answers, request)
        self.written: tuple[int, bytes, Headers, bytes] | None = None
        self._answered = asyncio.Event()
        self._reader: asyncio.Task[Any] | None = None  # waits for a part of the body

    async def read_on(self, receive: Receive) -> bool:
        """Wait for a part of the body; return False if the client has left or the request was cut off."""
        self._reader = asyncio.current_task()
        try:
            message = await receive()
        except asyncio.CancelledError:
            if self.written is None:
                raise
            if sys.version_info >= (3, 11):
                asyncio.current_task().uncancel()
            return False
        finally:
            self._reader = None
        if message["type"] == "http.disconnect":
            return False
        self.feed(message.get("body", b""), message.get("more_body", False))
        return True

    def cut_off(self, error: HTTPError) -> None:
        if self.request.make_scope().get("http_version") == "1.1":
            self._cors = [*self._cors, (b"connection", b"close")]
        self.refuse(error)
        if self._reader is not None:
            self._reader.cancel()

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        self.written = status, body, headers, content_type
        self._answered.set()

    async def answered(self, receive: Receive) -> None:
        """Wait for the answer, or until the client has left."""
        watch = asyncio.ensure_future(_client_gone(receive))
        watch.add_done_callback(lambda _: self._answered.set())
        try:
            await self._answered.wait()
        finally:
            watch.cancel()


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
