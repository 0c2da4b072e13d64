"""The request for a WebSocket, kept small for the life of its session."""

from __future__ import annotations

from typing import Any
from urllib.parse import unquote

import msgspec

from ..engine.http import Scope
from ..engine.subprotocol import offered


class ProxyHeaders:
    """Puts a client's address and scheme into scopes where uvicorn was told to believe proxies.

    Args:
        middleware: uvicorn's own, around an application that does nothing; None if it is not in use.
    """

    def __init__(self, middleware: Any) -> None:
        self._middleware = middleware

    @property
    def are_believed(self) -> bool:
        """Whether uvicorn was told to believe proxies."""
        return self._middleware is not None

    def read(self, scope: Scope) -> Scope:
        """Change a scope as uvicorn would, and return it."""
        if self._middleware is not None:
            # It is run by hand: it awaits nothing but the application that it wraps.
            try:
                self._middleware(scope, None, None).send(None)
            except StopIteration:
                pass
        return scope


class Handshake(msgspec.Struct, gc=False):
    """The parts of a WebSocket's scope. Calling it makes the scope.

    A session keeps it to its end: the headers are one string, which takes a fraction of the memory of a list
    of pairs, and the garbage collector need not track it.
    """

    proxy_headers: ProxyHeaders
    target: bytes
    headers: bytes  # names and values in turn, a line each
    root_path: str
    scheme: str
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    state: dict[str, Any]

    def __call__(self) -> Scope:
        """The scope, as the application would get it from uvicorn."""
        path, _, query = self.target.partition(b"?")
        parts = iter(self.headers.split(b"\n"))
        headers = list(zip(parts, parts, strict=True))
        return self.proxy_headers.read(
            {
                "type": "websocket",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": self.scheme.replace("http", "ws"),
                "server": self.server,
                "client": self.client,
                "root_path": self.root_path,
                "path": full_path(self.root_path, path),
                "raw_path": self.root_path.encode() + path,
                "query_string": query,
                "headers": headers,
                "subprotocols": offered(headers),
                "state": self.state.copy(),
            }
        )


def full_path(root_path: str, path: bytes) -> str:
    """The whole path of a request: where the application is mounted, then the request's path, unquoted."""
    text = path.decode("latin-1")
    return root_path + (unquote(text) if "%" in text else text)
