"""What all HTTP answers share: headers, compression, and the log line of a refusal."""

from __future__ import annotations

from typing import Any

from .core import Core
from .environ import build_environ
from .http import CORS, Headers, HTTPError, Request, compress, own_origins, session_cookie
from .log import shown
from .log_lines import LINES_OF_ADDRESS


class Answers:
    """Adds headers and compression to answers, as the options of a server say.

    Args:
        core: Its logger gets the refusals.
        cors: Which origins are allowed.
        cookie: Name of a cookie with the session id, or a dictionary of ``name`` and attributes.
        http_compression: Whether bodies are compressed for clients that accept it.
        compression_threshold: Bodies of fewer bytes are not compressed.
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
        """Check that a request's origin is allowed.

        Raises:
            HTTPError: It is not.
        """
        if b"origin" not in request.headers:
            return
        proxies = self._core.proxies

        def own() -> list[str]:
            return own_origins(request, proxies.are_believed(request.make_scope()))

        if not self.cors.allows(request, lambda: build_environ(request.make_scope()), own):
            remedy = self.cors.remedy(request, own(), proxies.unheard(request))
            raise HTTPError(400, "Not an accepted origin.", remedy=remedy)

    def cors_headers(self, request: Request) -> Headers:
        """The CORS headers of an answer.

        Raises:
            HTTPError: The request's origin is not allowed.
        """
        if b"origin" not in request.headers:
            return []
        self.check_origin(request)
        return self.cors.headers(request)

    def cookie_headers(self, sid: str) -> Headers:
        """The header that sets the cookie of a new session; no header if the server sets no cookie."""
        cookie = self.cookie
        return [(b"set-cookie", session_cookie(cookie, sid).encode())] if cookie is not None else []

    def compress(self, body: bytes, request: Request) -> tuple[bytes, Headers]:
        """Compress a body if the options and the client allow it; return it with the headers that say so."""
        if not self.http_compression or len(body) < self.compression_threshold:
            return body, []
        return compress(body, request.header(b"accept-encoding"))

    def log_refusal(self, request: Request, error: HTTPError) -> None:
        """Count and log that a request is answered with an error."""
        self._core.refused.add(error.message.partition(":")[0].rstrip("."))
        if error.logged:
            return
        scope = request.make_scope()
        address = scope["client"][0] if scope.get("client") else ""
        if self._core.log_lines.allow(address, LINES_OF_ADDRESS):
            method, path = shown(request.method), shown(scope["path"])
            message = shown(error.message)
            if error.remedy:
                message = f"{message.rstrip('.')}: {error.remedy}"
            self._core.logger.warning("%s %s refused: %d %s", method, path, error.status, message)
