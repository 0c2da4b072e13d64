"""What our connections of one uvicorn server share, and how they get the engine's WebSockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.http import Request, Scope
from ..engine.server import EngineServer
from ..engine.tested_versions import range_of
from .handshake import Handshake, ProxyHeaders, full_path
from .websocket import Base64WebSocket, UvicornWebSocket, accept_key

if TYPE_CHECKING:
    from .access_log import AccessLog  # not at run time: it imports what a uvicorn may lack


class Installation:
    """What the connections of one uvicorn server share.

    Args:
        engine: The server to connect sessions to.
        owns: Whether a scope belongs to the engine.
        proxy_headers: Puts what proxies say of clients into scopes.
        access_log: Where answered requests are logged.
        config: uvicorn's configuration.
        connection_class: Our class for its connections, derived from the one in the configuration.
    """

    def __init__(
        self,
        engine: EngineServer,
        owns: Callable[[Scope], bool],
        proxy_headers: ProxyHeaders,
        access_log: AccessLog,
        config: Any,
        connection_class: Any,
    ) -> None:
        self.engine = engine
        self._config = config
        self._connection_class = connection_class
        self._uvicorn_class = config.http_protocol_class
        self._owns = owns
        self.proxy_headers = proxy_headers
        self.access_log = access_log
        self.server_state: Any = None  # uvicorn's, once there is a connection
        self.shared_attributes: dict[str, Any] | None = None  # of its new connections
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""

    def protocol(self, **arguments: Any) -> Any:
        """Called by uvicorn to make the protocol object of a new connection."""
        try:
            return self._connection_class(self, **arguments)
        except Exception as error:
            self.failed(error)
            return self._uvicorn_class(**arguments)

    def failed(self, error: Exception) -> None:
        """Log an error in our class and remove the class: new connections get uvicorn's own."""
        if self._config.http_protocol_class != self._uvicorn_class:
            self._config.http_protocol_class = self._uvicorn_class
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
            False if uvicorn is to handle the request; nothing has been changed then.
        """
        try:
            ready = self._take_over(http, method, target)
        except Exception as error:
            self.failed(error)
            return False
        if ready is not None:
            websocket, request, key = ready
            websocket.handshake(self.engine.endpoint, request, key)
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
            self.proxy_headers,
            target,
            packed,
            root_path,
            http.scheme,
            http.server,
            http.client,
            http.app_state,
        )
        request = Request(method, headers, query, make_scope)
        kind = Base64WebSocket if request.wants_base64 else UvicornWebSocket
        websocket = kind(self.engine.core, transport, http.connections)
        websocket.paused = http.flow.write_paused  # by an answer that the client has not read
        http.connections.discard(http)
        transport.set_protocol(websocket)
        return websocket, request, key

    def owns(self, kind: str, method: str, root_path: str, path: bytes) -> bool:
        """Whether a request is for the engine; ``kind`` is the type of its ASGI scope."""
        whole = full_path(root_path, path)
        return self._owns({"type": kind, "method": method, "root_path": root_path, "path": whole})

    def http_scope(self, scope: Scope, method: str, path: bytes, query: bytes) -> Scope:
        """The scope of a request that uvicorn has read, as the application would get it.

        Args:
            scope: What uvicorn has made of it so far.
            method: The method.
            path: The path as it was sent.
            query: The query string.
        """
        root_path: str = scope["root_path"]
        return self.proxy_headers.read(
            {
                **scope,
                "method": method,
                "path": full_path(root_path, path),
                "raw_path": root_path.encode() + path,
                "query_string": query,
            }
        )

    def default_lines(self, headers: list[tuple[bytes, bytes]]) -> bytes:
        """The lines of uvicorn's own response headers, which change once a second."""
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = b"".join([b"%b: %b\r\n" % (name.lower(), value) for name, value in headers])
        return self._default_lines
