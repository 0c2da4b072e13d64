"""Heads of requests, from which ASGI scopes are made when somebody asks for them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import unquote

import msgspec

from ..engine.http import Headers, Scope
from ..engine.subprotocol import offered

Addresses = tuple[tuple[str, int | None] | None, tuple[str, int] | None]  # of a connection: server, client

# The names and values in lines of header fields.
FIELDS = re.compile(rb"([^:\r\n]+):[\t ]*([^\r\n]*)\r\n").findall

# The headers for which uvicorn may change a scope.
OF_PROXIES = frozenset((b"x-forwarded-for", b"x-forwarded-proto"))


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


class Site(msgspec.Struct, frozen=True):
    """What all requests to one uvicorn server have in common."""

    proxy_headers: ProxyHeaders
    root_path: str
    scheme: str
    state: dict[str, Any]


class Handshake(msgspec.Struct, gc=False):
    """The request for a WebSocket. Calling it makes the scope.

    A session keeps it to its end: the headers are one string, which takes a fraction of the memory of a list
    of pairs, and the garbage collector need not track it.
    """

    site: Site
    server: tuple[str, int | None] | None
    client: tuple[str, int] | None
    target: bytes
    lines: bytes  # of the header fields, each with its line break

    def __call__(self) -> Scope:
        """The scope, as the application would get it from uvicorn."""
        scope = self._make_scope("websocket", "GET")
        scope["asgi"]["spec_version"] = "2.4"
        scope["scheme"] = self.site.scheme.replace("http", "ws")
        scope["subprotocols"] = offered(scope["headers"])
        return self.site.proxy_headers.read(scope)

    def _make_scope(self, kind: str, method: str) -> Scope:
        headers = [(name.lower(), value) for name, value in FIELDS(self.lines)]
        return make_scope(self.site, kind, method, (self.server, self.client), self.target, headers)


class PollHead(Handshake, gc=False):
    """A polling request. Calling it makes the scope."""

    method: str

    def __call__(self) -> Scope:
        return self.site.proxy_headers.read(self._make_scope("http", self.method))


def make_scope(
    site: Site, kind: str, method: str, addresses: Addresses, target: bytes, headers: Headers
) -> Scope:
    """A scope, as uvicorn makes it before it looks for what proxies say.

    Args:
        site: The server.
        kind: The type of the scope.
        method: The method.
        addresses: Those of the connection.
        target: The path and the query.
        headers: The headers, with their names in lower case.
    """
    path, _, query = target.partition(b"?")
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": addresses[0],
        "client": addresses[1],
        "scheme": site.scheme,
        "method": method,
        "root_path": site.root_path,
        "path": full_path(site.root_path, path),
        "raw_path": site.root_path.encode() + path,
        "query_string": query,
        "headers": headers,
        "state": site.state.copy(),
    }


class Fields(msgspec.Struct, frozen=True):
    """The header fields of a request, of which no two have the same name."""

    lines: bytes  # as they were written
    headers: dict[bytes, bytes]
    keep_alive: bool  # whether the connection goes on after the answer


def lines_of(headers: Headers) -> bytes:
    """Header fields as they are written, each with its line break."""
    return b"".join([b"%b: %b\r\n" % pair for pair in headers])


def full_path(root_path: str, path: bytes) -> str:
    """The whole path of a request: where the application is mounted, then the request's path, unquoted."""
    text = path.decode("latin-1")
    return root_path + (unquote(text) if "%" in text else text)
