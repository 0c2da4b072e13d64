"""A polling request and its answer, over ASGI or on a connection of uvicorn's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..http import JSON, TEXT, Headers, HTTPError, Request

if TYPE_CHECKING:
    from ..endpoint import Endpoint
    from ..session import Session
    from .polling import Polling


class PollRequest:
    """A request that is answered at once, or when it has its body, packets, or its connect handler's word.

    What received it calls `begin`, then `feed` while it is `reading`, and `gone` when the
    client leaves. Subclasses write the answer.

    Attributes:
        request: The request without its body.
        session: The session that it belongs to, once that is known.
        reading: Whether it waits for the rest of its body.
        size: Bytes of the body that have arrived.
        is_open: Whether it has neither been answered nor given up.
    """

    __slots__ = (
        "_chunks",
        "_cors",
        "_endpoint",
        "_most_bytes",
        "_polling",
        "is_open",
        "reading",
        "request",
        "session",
        "size",
    )

    def __init__(self, endpoint: Endpoint, request: Request) -> None:
        self._endpoint = endpoint
        self._cors: Headers = []
        self._polling: Polling | None = None
        self._chunks: list[bytes] = []
        self.size = self._most_bytes = 0
        self.request = request
        self.session: Session | None = None
        self.reading = False
        self.is_open = True

    # The receiver's side

    def begin(self) -> None:
        """Answer the request, or wait."""
        try:
            self._cors = self._endpoint.cors_headers(self.request)
            self._endpoint.answer(self)
        except HTTPError as error:
            self.refuse(error)

    def feed(self, chunk: bytes, more: bool) -> None:
        """Take a part of the body.

        Args:
            chunk: The part.
            more: Whether others follow.
        """
        assert self._polling is not None
        assert self.session is not None
        self._chunks.append(chunk)
        self.size += len(chunk)
        if more and self.size <= self._most_bytes:
            return
        self.reading = False
        try:
            self._polling.posted(self.session, b"".join(self._chunks))
        except HTTPError as error:
            self.refuse(error)
        else:
            self.respond(b"ok")

    def gone(self) -> None:
        """The client left; an poll_request that has been answered does not mind."""
        if self.is_open:
            self.is_open = self.reading = False
            if self._polling is not None and self.session is not None:
                self._polling.client_gone(self, self.session)

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        """Send a whole answer."""
        raise NotImplementedError

    # The engine's side

    def wait(self, session: Session, polling: Polling) -> None:
        """Stay open until the session has packets."""
        self.session = session
        self._polling = polling

    def read(self, session: Session, polling: Polling, most_bytes: int) -> None:
        """Wait for the body, which is for a session, or for more than the most that is wanted of it."""
        self.wait(session, polling)
        self.reading = True
        self._most_bytes = most_bytes

    def respond(self, body: bytes, headers: Headers | tuple[()] = ()) -> None:
        """Answer with status 200."""
        if self.is_open:
            self.is_open = False
            body, encoding = self._endpoint.compress(body, self.request)
            self.write(200, body, [*self._cors, *headers, *encoding], TEXT)

    def refuse(self, error: HTTPError) -> None:
        """Answer with an error."""
        if self.is_open:
            self.is_open = self.reading = False
            self._endpoint.log_refusal(self.request, error)
            self.write(error.status, error.body, self._cors, JSON)
