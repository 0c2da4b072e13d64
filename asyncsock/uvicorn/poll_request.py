"""A polling request on a connection of uvicorn's that parses HTTP with httptools."""

from __future__ import annotations

from typing import Any

from ..engine.http import TEXT, Headers, HTTPError, Request
from ..engine.transports.poll_request import PollRequest


class HTTPToolsPollRequest(PollRequest):
    """A polling request on a connection, with the attributes that uvicorn reads of its latest request."""

    __slots__ = ("_begun", "_http", "chunks", "keep_alive", "more_body", "path", "query", "response_complete")
    response_started = False  # it is written at once

    def __init__(self, http: Any, request: Request, path: bytes, query: bytes, keep_alive: bool) -> None:
        super().__init__(http.installation.engine.endpoint.answers, request)
        self._http = http
        self._begun = False
        self.path = path
        self.query = query
        self.keep_alive = keep_alive
        self.chunks: list[bytes] = []  # of the body, not yet handled
        self.more_body = True
        self.response_complete = False

    @property
    def is_whole(self) -> bool:
        return not (self.more_body or self.chunks)

    def advance(self) -> None:
        """Handle what has been read since the last call."""
        try:
            if not self._begun:
                self._begun = True
                installation = self._http.installation
                if installation.elsewhere is not None and self._http.hand_over_new(self):
                    self.is_open = False
                    return
                installation.engine.endpoint.begin(self)
            if self.reading and (self.chunks or not self.more_body):
                self.feed(b"".join(self.chunks), self.more_body)
        except Exception as error:
            installation.engine.core.log_lines.error("error in a polling request", error)
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

    def cut_off(self, error: HTTPError) -> None:
        self.keep_alive = False
        self.refuse(error)
