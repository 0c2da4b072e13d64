"""What the answers to requests have in common: headers, compression, and the log line of a refusal."""

from __future__ import annotations

from typing import Any

from .core import Core
from .environ import build_environ
from .http import CORS, Headers, HTTPError, Request, compress, session_cookie
from .log import shown


class Answers:
    """Completes answers by the options of a server.

    Args:
        core: Whose logger gets the refusals.
        cors: Which origins are let in.
        cookie: Name of a cookie with the session id, or a dictionary of ``name`` and attributes.
        http_compression: Whether bodies are compressed for clients that accept it.
        compression_threshold: Bytes below which they are not.
    """

    def __init__(
        self,
        core: Core,
        cors: CORS,
        cookie: str | dict[str, Any] | None,
        http_compression: bool,
        compression_threshold: int,
    ) -> None:
        self._core = core
        self.cors = cors
        self.cookie = cookie
        self.http_compression = http_compression
        self.compression_threshold = compression_threshold

    def check_origin(self, request: Request) -> None:
        """Look whether a request's origin is let in.

        Raises:
            HTTPError: It is not.
        """
        if not self.cors.allows(request, lambda: build_environ(request.make_scope())):
            raise HTTPError(400, "Not an accepted origin.", remedy=self.cors.remedy(request))

    def cors_headers(self, request: Request) -> Headers:
        """The CORS headers of an answer.

        Raises:
            HTTPError: The request's origin is not let in.
        """
        self.check_origin(request)
        return self.cors.headers(request)

    def cookie_headers(self, sid: str) -> Headers:
        """The header that sets the cookie of a session that is being opened, if there is to be one."""
        cookie = self.cookie
        return [(b"set-cookie", session_cookie(cookie, sid).encode())] if cookie is not None else []

    def compress(self, body: bytes, request: Request) -> tuple[bytes, Headers]:
        """The body of an answer as the client is to get it, and the headers that say how."""
        if not self.http_compression or len(body) < self.compression_threshold:
            return body, []
        return compress(body, request.header(b"accept-encoding"))

    def log_refusal(self, request: Request, error: HTTPError) -> None:
        """Log that a request is answered with an error."""
        if not error.logged:
            path, message = shown(request.make_scope()["path"]), shown(error.message)
            if error.remedy:
                message = f"{message.rstrip('.')}: {error.remedy}"
            self._core.logger.warning("%s %s refused: %d %s", request.method, path, error.status, message)
