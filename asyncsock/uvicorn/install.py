"""Serving the engine straight on uvicorn's connections, without ASGI between.

uvicorn makes a protocol object of a class named in its configuration for each connection. Where that is
one of its default ones and the application it serves is ours and nothing else, `install` puts ours there:
a subclass that lets uvicorn's own code have every request but the engine's. A WebSocket for the engine
then needs no task and no queue, and a broadcast's one frame is written to each transport; with httptools
(httptools.py; h11.py is for WebSockets only) neither does a poll.

It stands on uvicorn's insides, and so it is a shortcut that must never be in the way: where uvicorn lacks a
name in probe.py it is not installed, and where it fails at a connection it is taken out again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import msgspec

from ..engine.http import ASGI, Request, Scope, Send
from ..engine.subprotocol import offered
from ..engine.tested_versions import range_of
from .probe import (
    Missing,
    check_access_log,
    check_attributes,
    check_methods,
    check_protocol,
    check_proxy_headers,
)
from .websocket import Base64WebSocket, UvicornWebSocket, accept_key

if TYPE_CHECKING:
    from ..engine.server import EngineServer
    from .access_log import AccessLog


FRAMING = (b"connection", b"content-length", b"transfer-encoding")  # headers, as uvicorn was told to add


def install(engine: EngineServer, app: ASGI, send: Send, owns: Callable[[Scope], bool]) -> str:
    """Install our connections if the server that started `app` is a uvicorn that they fit.

    Never raises: a uvicorn that ought to fit and does not is named in one warning.

    Args:
        engine: The server to connect sessions to.
        app: The ASGI application that was started.
        send: The ``send`` of its lifespan.
        owns: Whether a scope belongs to the engine.

    Returns:
        How requests are served from now on, in words.
    """
    try:
        return _install(engine, app, send, owns)
    except Exception as error:
        lack = f"has no {error}" if isinstance(error, Missing) else f"does not fit: {error!r}"
        engine.logger.warning(
            "this uvicorn %s. WebSockets and polls are served through plain ASGI, which takes more time (%s)",
            lack,
            range_of("uvicorn"),
        )
        return "plain ASGI (this uvicorn is not supported)"


def _install(engine: EngineServer, app: ASGI, send: Send, owns: Callable[[Scope], bool]) -> str:
    lifespan: Any = getattr(send, "__self__", send)
    if not _is_uvicorns(lifespan):
        return "plain ASGI (the server is not uvicorn)"
    check_attributes("LifespanOn", lifespan)
    config: Any = lifespan.config
    check_attributes("Config", config)

    from uvicorn import __version__
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    if config.ws_protocol_class is not WebSocketsSansIOProtocol:
        if config.ws == "auto" and _is_uvicorns(config.ws_protocol_class):
            raise Missing("WebSocketsSansIOProtocol as its default")
        return "plain ASGI (uvicorn's default WebSocket class is not in use)"
    if any(name.lower() in FRAMING for name, _ in config.encoded_headers):
        return "plain ASGI (uvicorn was given headers that frame responses)"
    plain = config.http_protocol_class
    direct = _direct_class(plain)
    if direct is None:
        return "plain ASGI (none of uvicorn's default HTTP classes is in use)"
    proxy_headers: Any = None
    served: Any = config.loaded_app
    if type(served) is ProxyHeadersMiddleware:
        check_attributes("ProxyHeadersMiddleware", served)
        check_methods(ProxyHeadersMiddleware)
        proxy_headers = copy.copy(served)
        proxy_headers.app = _nothing
        check_proxy_headers(proxy_headers)
        served = served.app
    if served is not app:
        return "plain ASGI (the application is wrapped)"
    check_protocol(plain, config)
    check_access_log()

    from .access_log import AccessLog

    installation = Installation(engine, owns, proxy_headers, AccessLog(), config, direct)
    config.http_protocol_class = installation.protocol
    if config.timeout_graceful_shutdown is not None:
        engine.shutdown_grace = float(config.timeout_graceful_shutdown)
    polling = "" if hasattr(direct, "answer") else ", but polling through ASGI"
    return f"direct (uvicorn {__version__}){polling}"


def _is_uvicorns(thing: Any) -> bool:
    """Whether a class, a function or an object comes from uvicorn."""
    module = getattr(thing, "__module__", None) or ""
    return f"{module}.".startswith("uvicorn.")


def _direct_class(http_class: Any) -> Any:
    """Our subclass of one of uvicorn's HTTP protocol classes, if there is one."""
    # They are imported when they are needed: uvicorn can be without httptools.
    module = getattr(http_class, "__module__", "")
    if module == "uvicorn.protocols.http.httptools_impl":
        from .httptools import HTTPToolsConnection

        return HTTPToolsConnection if http_class is HTTPToolsConnection.__base__ else None
    if module == "uvicorn.protocols.http.h11_impl":
        from .h11 import H11Connection

        return H11Connection if http_class is H11Connection.__base__ else None
    return None


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


class Installation:
    """What the connections of one uvicorn server share.

    Args:
        engine: The server to connect sessions to.
        owns: Whether a scope belongs to the engine.
        proxy_headers: uvicorn's middleware that believes proxies, if it is in use.
        access_log: Where answered requests are logged.
        config: uvicorn's configuration.
        direct: Our class for its connections, which is derived from the one in the configuration.
    """

    def __init__(
        self,
        engine: EngineServer,
        owns: Callable[[Scope], bool],
        proxy_headers: Any,
        access_log: AccessLog,
        config: Any,
        direct: Any,
    ) -> None:
        self.engine = engine
        self._config = config
        self._direct = direct
        self._plain = config.http_protocol_class
        self._owns = owns
        self._proxy_headers = proxy_headers
        self.believes_proxies = proxy_headers is not None
        self.access_log = access_log
        self.server_state: Any = None  # uvicorn's, once there is a connection
        self.shared_attributes: dict[str, Any] | None = None  # of its new connections
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def protocol(self, **arguments: Any) -> Any:
        """Called by uvicorn to make the protocol object of a new connection."""
        try:
            return self._direct(self, **arguments)
        except Exception as error:
            self.failed(error)
            return self._plain(**arguments)

    def failed(self, error: Exception) -> None:
        """Take it out, because it does not do what it should: new connections are uvicorn's own."""
        if self._config.http_protocol_class != self._plain:
            self._config.http_protocol_class = self._plain
            self.engine.logger.error(
                "the direct door failed, and new connections are served through plain ASGI (%s)",
                range_of("uvicorn"),
                exc_info=error,
            )

    def upgrade(self, http: Any, method: str, target: bytes) -> bool:
        """Take over the connection of a request for a WebSocket, if it is one for the engine.

        Args:
            http: uvicorn's protocol object, which has read the request.
            method: The method of the request.
            target: Its path and query.

        Returns:
            False for a request that uvicorn had better handle itself; nothing has happened then.
        """
        try:
            ready = self._take_over(http, method, target)
        except Exception as error:
            self.failed(error)
            return False
        if ready is not None:
            websocket, request, key = ready
            websocket.handshake(request, key)
        return ready is not None

    def _take_over(
        self, http: Any, method: str, target: bytes
    ) -> tuple[UvicornWebSocket, Request, bytes] | None:
        path, _, query = target.partition(b"?")
        root_path: str = http.root_path
        if not self.owns("websocket", method, root_path, path):
            return None
        pairs: list[tuple[bytes, bytes]] = http.headers
        headers = dict(pairs)
        key = accept_key(method, headers)
        if key is None:
            return None
        transport = http.transport
        packed = b"\n".join([text for pair in pairs for text in pair])
        make_scope = Handshake(
            self, target, packed, root_path, http.scheme, http.server, http.client, http.app_state
        )
        request = Request(method, headers, query, make_scope)
        kind = Base64WebSocket if request.wants_base64 else UvicornWebSocket
        websocket = kind(self.engine, transport, http.connections)
        websocket.paused = http.flow.write_paused  # by an answer that the client has not read
        http.connections.discard(http)
        transport.set_protocol(websocket)
        return websocket, request, key

    def owns(self, kind: str, method: str, root_path: str, path: bytes) -> bool:
        """Whether a request is for the engine; its kind is that of its ASGI scope."""
        full_path = _full_path(root_path, path)
        return self._owns({"type": kind, "method": method, "root_path": root_path, "path": full_path})

    def http_scope(self, scope: Scope, method: str, path: bytes, query: bytes) -> Scope:
        """The scope of a request that uvicorn has read, as the application would get it.

        Args:
            scope: What uvicorn has made of it so far.
            method: The method.
            path: The path as it was sent.
            query: The query string.
        """
        root_path: str = scope["root_path"]
        return self.believe_proxies(
            {
                **scope,
                "method": method,
                "path": _full_path(root_path, path),
                "raw_path": root_path.encode() + path,
                "query_string": query,
            }
        )

    def default_lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """uvicorn's own response headers, as they are written; they change once a second."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = b"".join([b"%b: %b\r\n" % (name.lower(), value) for name, value in headers])
        return self._default_lines

    def believe_proxies(self, scope: Scope) -> Scope:
        """Put a client's address and scheme into a scope where uvicorn was told to believe proxies."""
        if self._proxy_headers is not None:
            # uvicorn's own middleware, run by hand: it awaits nothing but the application it wraps.
            try:
                self._proxy_headers(scope, None, None).send(None)
            except StopIteration:
                pass
        return scope


class Handshake(msgspec.Struct, gc=False):
    """What the scope of a WebSocket is made from when somebody asks for it.

    A session keeps it to its end: the headers are one string, which takes a fraction of the memory of a list
    of pairs, and the garbage collector need not look at it.
    """

    installation: Installation
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
        return self.installation.believe_proxies(
            {
                "type": "websocket",
                "asgi": {"version": "3.0", "spec_version": "2.4"},
                "http_version": "1.1",
                "method": "GET",
                "scheme": self.scheme.replace("http", "ws"),
                "server": self.server,
                "client": self.client,
                "root_path": self.root_path,
                "path": _full_path(self.root_path, path),
                "raw_path": self.root_path.encode() + path,
                "query_string": query,
                "headers": headers,
                "subprotocols": offered(headers),
                "state": self.state.copy(),
            }
        )


def _full_path(root_path: str, path: bytes) -> str:
    text = path.decode("latin-1")
    return root_path + (unquote(text) if "%" in text else text)
