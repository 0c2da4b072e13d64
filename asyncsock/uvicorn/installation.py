"""What our connections of one uvicorn server share, and how they get the engine's WebSockets."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

import msgspec

from ..engine.elsewhere import Elsewhere, Owner
from ..engine.http import Headers, Request, Scope, status_line
from ..engine.server import EngineServer
from ..engine.tested_versions import range_of
from .guard import Guard, has_body
from .handover import Adopted, hand_over, written
from .heads import Addresses, Handshake, ProxyHeaders, Site, full_path, lines_of
from .websocket import Base64WebSocket, UvicornWebSocket, accept_key
from .whole_request import Begin

if TYPE_CHECKING:
    from .access_log import AccessLog  # not at run time: it imports what a uvicorn may lack


# Seconds in which clients may use a connection that ends, so that a request on its way is answered.
LINGER = 1.0


class Installation:
    """What the connections of one uvicorn server share.

    Args:
        engine: The server to connect sessions to.
        owns: Whether a scope belongs to the engine.
        find_begin: What begins to answer a request that does not, without ASGI, or None; by its scope.
        proxy_headers: Puts what proxies say of clients into scopes.
        access_log: Where answered requests are logged.
        config: uvicorn's configuration.
        plain_class: `PlainConnection`, which new connections are of.
        connection_class: Our class for those that had to be given up, derived from that in the configuration.

    Attributes:
        site: What its requests have in common.
        connections: uvicorn's set of the objects that serve connections.
        plain_size: Bytes of a head that `PlainConnection` may read.
        takes_polls: Whether polls are answered without ASGI.
        takes_others: Whether requests for the application beside the engine may be.
        leaving: Whether other workers get all connections.
        ends: Whether uvicorn has told the connections to end.
    """

    def __init__(
        self,
        engine: EngineServer,
        owns: Callable[[Scope], bool],
        find_begin: Callable[[Scope], Begin | None],
        proxy_headers: ProxyHeaders,
        access_log: AccessLog,
        config: Any,
        plain_class: Any,
        connection_class: Any,
    ) -> None:
        self.engine = engine
        self._config = config
        self._plain_class = plain_class
        self._connection_class = connection_class
        self._uvicorn_class = config.http_protocol_class
        self._owns = owns
        self._find_begin = find_begin
        self.proxy_headers = proxy_headers
        self.access_log = access_log
        self.guard = Guard(engine.core, self.own_lines, config.timeout_keep_alive)
        self._default_headers: list[tuple[bytes, bytes]] = []
        self._default_lines = b""
        self._heads: dict[tuple[int, bytes], bytes] = {}  # with these lines
        self.elsewhere: Elsewhere | None = engine.endpoint.elsewhere
        self._arguments: dict[str, Any] = {}  # with which uvicorn makes protocol objects
        self.shared_attributes: dict[str, Any] | None = None  # of new connections of uvicorn's class
        self.site = Site(proxy_headers, config.root_path, "https" if config.is_ssl else "http", {})
        self.connections: set[Any] = set()
        limits = engine.core.limits
        self.plain_size = min(limits.max_url_size, limits.max_header_size)
        self.takes_polls = hasattr(connection_class, "answer") and config.limit_concurrency is None
        # Some uvicorn can be told to give each task contextvars of its own.
        self.takes_others = self.takes_polls and not getattr(config, "reset_contextvars", False)
        self.leaving = False
        self.ends = False

    # Other workers

    def serve_others(self, **arguments: Any) -> None:
        """Serve the connections of a server of uvicorn's, and those that other workers hand over to it.

        Args:
            **arguments: With which uvicorn makes protocol objects.
        """
        self._arguments = arguments
        self.shared_attributes = None
        self.connections = arguments["server_state"].connections
        self.site = msgspec.structs.replace(self.site, state=arguments["app_state"])
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
        worker = self.elsewhere.lighter() if self.elsewhere is not None and http.is_idle else None
        if worker is None:
            return False
        return self._hand_over(http.give_up() if type(http) is self._plain_class else http, worker)

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
        """The connections of our classes; WebSockets are of others."""
        ours = (self._connection_class, self._plain_class)
        return [http for http in self.connections if isinstance(http, ours)]

    def _hand_over_websocket(self, http: Any, request: Request, target: bytes) -> bool:
        """Hand a request for a WebSocket over to the owner of its session, or who should have a new one."""
        if self.elsewhere is None or self.keeps(request):
            return False
        sid = request.query.get("sid")
        worker = self.elsewhere.owner(sid) if sid else self.elsewhere.lighter()
        return self._hand_over(http, worker, written("GET", target, http.headers))

    def keeps(self, request: Request) -> bool:
        """Whether a request is for a session that this process has, or for a new one that it should have."""
        if self.elsewhere is None:
            return True
        sid = request.query.get("sid")
        return sid in self.engine.sessions if sid else self.elsewhere.lighter() is None

    # Requests

    def protocol(self, **arguments: Any) -> Any:
        """Called by uvicorn to make the protocol object of a new connection."""
        if not self._arguments or self._arguments["server_state"] is not arguments["server_state"]:
            self.serve_others(**arguments)
        try:
            return self.connection() if self.leaving or self.ends else self._plain_class(self)
        except Exception as error:
            self.failed(error)
            return self._uvicorn_class(**arguments)

    def connection(self) -> Any:
        """A protocol object that is uvicorn's too, and reads all kinds of requests."""
        try:
            return self._connection_class(self, **self._arguments)
        except Exception as error:
            self.failed(error)
            return self._uvicorn_class(**self._arguments)

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
            path, _, query = target.partition(b"?")
            if not self.owns("websocket", method, http.root_path, path):
                return False
            headers = dict(http.headers)
            key = accept_key(method, headers)
            if key is None:
                return False
            make_scope = Handshake(self.site, http.server, http.client, target, lines_of(http.headers))
            request = Request(method, headers, query, make_scope)
            if self._hand_over_websocket(http, request, target):
                return True
        except Exception as error:
            self.failed(error)
            return False
        self.connections.discard(http)
        self.open_websocket(http.transport, request, key, http.flow.write_paused)
        return True

    def open_websocket(
        self, transport: asyncio.Transport, request: Request, key: bytes, is_paused: bool = False
    ) -> None:
        """Answer the request for a WebSocket.

        Args:
            transport: The connection.
            request: The request.
            key: What `accept_key` has returned for it.
            is_paused: Whether the client has yet to read an earlier answer.
        """
        kind = Base64WebSocket if request.wants_base64 else UvicornWebSocket
        websocket = kind(self.engine.core, transport, self.connections)
        websocket.paused = is_paused
        transport.set_protocol(websocket)
        websocket.handshake(self.engine.endpoint, request, key)

    def owns(self, kind: str, method: str, root_path: str, path: bytes) -> bool:
        """Whether a request is for the engine; ``kind`` is the type of its ASGI scope."""
        whole = full_path(root_path, path)
        return self._owns({"type": kind, "method": method, "root_path": root_path, "path": whole})

    def find_begin(self, method: str, path: bytes) -> Begin | None:
        """What begins to answer an HTTP request that is not for the engine, if that needs no ASGI."""
        root_path = self.site.root_path
        whole = full_path(root_path, path)
        return self._find_begin({"type": "http", "method": method, "root_path": root_path, "path": whole})

    def answered(self) -> None:
        """Count a request as uvicorn does, which may stop after a number of them."""
        self._arguments["server_state"].total_requests += 1

    def wait_for(self, rest: Coroutine[Any, Any, None]) -> None:
        """Run the rest of a request in a task that uvicorn waits for when it stops, as for its own.

        The engine's tasks would be cancelled with its sessions.
        """
        task = asyncio.get_running_loop().create_task(self._do(rest))
        tasks = self._arguments["server_state"].tasks
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def _do(self, rest: Coroutine[Any, Any, None]) -> None:
        try:
            await rest
        except Exception as error:
            self.engine.tasks.failed(error)

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

    def own_lines(self) -> bytes:
        """The lines of uvicorn's own response headers, which change once a second."""
        headers = self._arguments["server_state"].default_headers
        if headers is not self._default_headers:
            self._default_headers = headers
            self._default_lines = lines_of([(name.lower(), value) for name, value in headers])
            self._heads.clear()
        return self._default_lines

    def head(self, status: int, content_type: bytes) -> bytes:
        """The head of a response of ours, up to the length of its body."""
        lines = self.own_lines()
        head = self._heads.get((status, content_type))
        if head is None:
            head = self._heads[status, content_type] = b"%b%bcontent-type: %b\r\ncontent-length: " % (
                status_line(status),
                lines,
                content_type,
            )
        return head

    def addresses(self, transport: asyncio.Transport) -> Addresses:
        """The addresses of the server and the client of a connection, as uvicorn has them in scopes.

        The transport is not asked for its socket, as uvicorn does: uvloop makes one for that.
        """
        # Each is asked: a server may listen at several, and workers of others hand connections over.
        name = transport.get_extra_info("sockname")
        server = (name, None) if isinstance(name, str) else _host_and_port(name)
        return server, _host_and_port(transport.get_extra_info("peername"))


def _host_and_port(name: Any) -> tuple[str, int] | None:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else None
