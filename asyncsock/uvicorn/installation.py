"""What our connections of one uvicorn server share, and how they get the engine's WebSockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..engine.elsewhere import Elsewhere, Owner
from ..engine.http import Headers, Request, Scope
from ..engine.server import EngineServer
from ..engine.tested_versions import range_of
from .guard import Guard, has_body
from .handover import Adopted, hand_over, written
from .handshake import Handshake, ProxyHeaders, full_path
from .websocket import Base64WebSocket, UvicornWebSocket, accept_key

if TYPE_CHECKING:
    from .access_log import AccessLog  # not at run time: it imports what a uvicorn may lack


# Seconds in which clients may use a connection that ends, so that a request on its way is answered.
LINGER = 1.0


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
        self.guard = Guard(engine.core, self.default_lines)
        self.server_state: Any = None  # uvicorn's, once there is a connection
        self.shared_attributes: dict[str, Any] | None = None  # of its new connections
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self.elsewhere: Elsewhere | None = engine.endpoint.elsewhere
        self._arguments: dict[str, Any] = {}  # with which uvicorn makes protocol objects
        self.leaving = False  # whether other workers get all connections
        self.ends = False  # whether uvicorn has told the connections to end

    # Other workers

    def serve_others(self, **arguments: Any) -> None:
        """Take connections that other workers hand over, if there are any.

        Args:
            **arguments: With which uvicorn makes protocol objects.
        """
        self._arguments = arguments
        if self.elsewhere is not None:
            self.elsewhere.use_door(self)

    async def adopt(self, connection: socket.socket, request: bytes) -> None:
        """Serve a client that another worker has handed over."""
        adopted = Adopted(self.protocol(**self._arguments), request)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: adopted, connection)

    def hand_over_idle(self) -> None:
        """Hand over the connections on which no request waits for its answer, from now on."""
        self.leaving = True
        for http in self._connections():
            self.hand_over_if_idle(http)

    def hand_over_if_idle(self, http: Any) -> bool:
        """Hand a connection over, if no request on it waits for its answer; return whether it was."""
        return self.elsewhere is not None and http.is_idle and self._hand_over(http, self.elsewhere.lighter())

    def connected(self, http: Any) -> None:
        """Called with each new connection: one that a worker accepts while it leaves goes on to another."""
        if self.leaving:
            asyncio.get_running_loop().call_soon(self.hand_over_if_idle, http)

    def hand_over_new(self, http: Any, request: Request, target: bytes, headers: Headers) -> bool:
        """Hand over the request for a new session to who should have it; return whether it was."""
        if self.elsewhere is None or request.method != "GET" or request.query.get("sid") or not http.is_idle:
            return False
        if has_body(headers):  # of no bytes, as the request is whole; the other would wait for its end
            return False
        return self._hand_over(http, self.elsewhere.lighter(), written("GET", target, headers))

    def _hand_over(self, http: Any, worker: Owner | None, request: bytes = b"") -> bool:
        if worker is None or not hand_over(http, worker, request):
            return False
        self.guard.expect(http, None)
        self.guard.answers.discard(http)
        return True

    def end(self, http: Any) -> bool:
        """End a connection between two requests, because uvicorn stops.

        Another worker gets it, or the next answer says that it is the last, or it ends when there is no
        request for a while.

        Returns:
            False if uvicorn is to close it, because there are no other processes.
        """
        if self.elsewhere is None:
            return False
        if not self.ends:
            self.ends = True
            asyncio.get_running_loop().call_later(LINGER, self._close_idle)
            if not self.leaving:  # no signal has stopped uvicorn
                self.elsewhere.leave()
                self.engine.tasks.spawn(self.elsewhere.release())
        if not self.hand_over_if_idle(http):
            self.requested(http)
        return True

    def requested(self, http: Any) -> None:
        """Called with each connection that has a new request: its answer may be the last."""
        if not self.ends or self.elsewhere is None:
            return
        if http.scheme != "http" or self.elsewhere.lighter() is None:
            http.end_after_answer()

    def _close_idle(self) -> None:
        ours = self._connections()
        for http in ours:
            if http.is_idle and not self.hand_over_if_idle(http):
                http.transport.close()
        if ours:
            asyncio.get_running_loop().call_later(LINGER, self._close_idle)

    def _connections(self) -> list[Any]:
        """The connections of our class; WebSockets are of others."""
        connections = self._arguments["server_state"].connections if self._arguments else ()
        return [http for http in connections if isinstance(http, self._connection_class)]

    def _hand_over_websocket(self, http: Any, method: str, target: bytes) -> bool:
        """Hand a request for a WebSocket over to the owner of its session, or who should have a new one."""
        elsewhere = self.elsewhere
        path, _, query = target.partition(b"?")
        if elsewhere is None or not self.owns("websocket", method, http.root_path, path):
            return False
        sid = Request(method, {}, query, dict).query.get("sid")
        if sid in self.engine.sessions:
            return False
        worker = elsewhere.owner(sid) if sid else elsewhere.lighter()
        return self._hand_over(http, worker, written(method, target, http.headers))

    # Requests

    def protocol(self, **arguments: Any) -> Any:
        """Called by uvicorn to make the protocol object of a new connection."""
        if not self._arguments:
            self.serve_others(**arguments)
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
            if self._hand_over_websocket(http, method, target):
                return True
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
