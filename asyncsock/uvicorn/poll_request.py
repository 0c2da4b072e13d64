"""A polling request on a connection of uvicorn's, without ASGI."""

from __future__ import annotations

from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

from ..engine.http import TEXT, Headers, HTTPError, Request
from ..engine.log import printable
from ..engine.transports.poll_request import PollRequest
from .heads import lines_of


class UvicornPollRequest(PollRequest):
    """A polling request on a connection, with the attributes that uvicorn reads of its latest request.

    Args:
        http: The connection. Its ``answer(poll_request, response)`` writes the response.
        request: The request without its body.
        path: Its path, as it was sent.
        query: Its query.
        keep_alive: Whether the connection goes on after the answer.
        body: What has been read of its body.
        more_body: Whether there may be more.

    Attributes:
        chunks: What has been read of its body and is not handled yet.
        response_complete: Whether the answer has been written.
    """

    __slots__ = (
        "_begun",
        "_http",
        "_path",
        "_query",
        "chunks",
        "keep_alive",
        "more_body",
        "response_complete",
    )
    response_started = False  # it is written at once
    is_lent = False  # no thread writes it
    behind = b""

    def __init__(
        self,
        http: Any,
        request: Request,
        path: bytes,
        query: bytes,
        keep_alive: bool,
        body: bytes = b"",
        more_body: bool = True,
    ) -> None:
        super().__init__(http.installation.engine.endpoint.answers, request)
        self._http = http
        self._path = path
        self._query = query
        self._begun = False
        self.keep_alive = keep_alive
        self.chunks = [body] if body else []
        self.more_body = more_body
        self.response_complete = False

    @property
    def is_whole(self) -> bool:
        return not (self.more_body or self.chunks)

    def advance(self) -> None:
        """Handle what has been read since the last call."""
        try:
            if not self._begun:
                self._begun = True
                if self._http.hand_over_new(self):
                    self.is_open = False
                    return
                self._http.installation.engine.endpoint.begin(self)
            if self.reading and (self.chunks or not self.more_body):
                self.feed(b"".join(self.chunks), self.more_body)
        except Exception as error:
            self._broken(error)
        self.chunks.clear()

    def move(self, http: Any) -> None:
        """Be answered by another object that has the connection."""
        self._http = http

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        http = self._http
        installation = http.installation
        try:
            if installation.access_log.is_heard:
                installation.access_log(self._client(), self.request.method, self._target(), status)
            response = b"%b%d\r\ncache-control: no-store\r\n%b%b\r\n%b" % (
                installation.head(status, content_type),
                len(body),
                lines_of(headers) if headers else b"",
                b"" if self.keep_alive else b"connection: close\r\n",
                body,
            )
            self.response_complete = True
            http.answer(self, response)
        except Exception as error:  # not raised: the caller may be at work for another client
            installation.failed(error)
            http.transport.abort()

    def cut_off(self, error: HTTPError) -> None:
        self.keep_alive = False
        self.refuse(error)

    def _client(self) -> str:
        """The address and port of the client, for the log."""
        client = self._http.client
        proxy_headers = self._http.installation.proxy_headers
        if b"x-forwarded-for" in self.request.headers and proxy_headers.are_believed:
            client = self.request.make_scope()["client"]
            return printable(f"{client[0]}:{client[1]}") if client else ""
        return f"{client[0]}:{client[1]}" if client else ""

    def _target(self) -> str:
        """The path, quoted, and the query, for the log."""
        path = _quoted(self._http.installation.site.root_path, self._path)
        return f"{path}?{self._query.decode()}" if self._query else path

    def _broken(self, error: Exception) -> None:
        """Answer a request that the engine could not handle, if it has not been answered."""
        self._http.installation.engine.core.log_lines.error("error in a polling request", error)
        self.keep_alive = False
        if self.is_open:
            self.is_open = False
            self.write(500, b"Internal Server Error", [], TEXT)
        else:
            self._http.transport.close()


@lru_cache(maxsize=64)
def _quoted(root_path: str, path: bytes) -> str:
    return quote(root_path + unquote(path.decode()))
