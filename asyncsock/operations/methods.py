"""The methods of a server that reach the clients and the servers of all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import checks
from ..cluster import Cluster
from ..codec.base import Codec
from ..codec.json_codec import JSONCodec
from ..disconnections import Disconnector
from ..engine.awaitables import Sent, counts_as_coroutine
from ..engine.server import EngineServer
from ..server_loop import ServerLoop
from ..types import H, Handler
from .calls import Calls
from .clients import ClientOperations
from .local_clients import LocalClients
from .server_events import ServerEvents


class Operations:
    """What stands behind `ReachesAll`.

    Args:
        cluster: The processes.
        engine: The engine of this one's server.
        disconnector: Knows its clients, and disconnects them.
        codec: Encodes its packets.
    """

    def __init__(
        self, cluster: Cluster, engine: EngineServer, disconnector: Disconnector, codec: Codec
    ) -> None:
        local = LocalClients(engine, disconnector)
        between = codec if isinstance(codec, JSONCodec) else JSONCodec()
        self.clients = ClientOperations(cluster, local)
        self.calls = Calls(cluster, local, engine.tasks, between)
        self.events = ServerEvents(cluster, engine.tasks, between)


class ReachesAll:
    """Methods of a server, which reach the clients and the servers of all processes with its message queue.

    Each may be called from any thread. With a client manager of python-socketio's, they reach the clients of
    this process only.
    """

    manager: Any
    async_handlers: bool
    _loop: ServerLoop
    _operations: Operations

    @counts_as_coroutine
    def fetch_sockets(self, to: Any = None, namespace: str | None = None) -> Any:
        """Find out about clients.

        Args:
            to: A room, a sid, or a list of them; everybody in the namespace by default.
            namespace: ``'/'`` by default.

        Returns:
            A list of `RemoteSocket`; on the event loop, an awaitable of it.

        Raises:
            AnswersMissing: A process has not answered in time; the error has what the others have answered.
                Nobody waits for one that is gone.
            RuntimeError: This process only writes to a message queue.
        """
        checks.check_asking("fetch_sockets()", self.manager)
        return self._loop.result(self._operations.clients.fetch(to, namespace or "/"))

    @counts_as_coroutine
    def sockets_join(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Add clients to a room, or to a list of them. Events that are emitted to it afterwards reach them.

        Args:
            room: The room, or the rooms.
            to: Which clients: a room, a sid, or a list of them; everybody in the namespace by default.
            namespace: ``'/'`` by default.

        Returns:
            Something to await, or to drop: awaiting waits for the message queue.

        Raises:
            ValueError: The room is a client's own.
            TypeError: A room cannot be one, or cannot be sent through the message queue.
        """
        return self._loop.call(self._operations.clients.join, room, to, namespace or "/")

    @counts_as_coroutine
    def sockets_leave(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Remove clients from a room, or from a list of them; the arguments are those of `sockets_join`."""
        return self._loop.call(self._operations.clients.leave, room, to, namespace or "/")

    @counts_as_coroutine
    def disconnect_sockets(self, to: Any = None, namespace: str | None = None, close: bool = False) -> Sent:
        """Disconnect clients from a namespace. What was emitted to them before reaches them.

        Args:
            to: Which clients: a room, a sid, or a list of them; everybody in the namespace by default.
            namespace: ``'/'`` by default.
            close: Whether to close their connections too, and so leave the other namespaces.

        Returns:
            Something to await, or to drop: awaiting waits for the message queue, and for the disconnect
            handlers of the clients of this process.
        """
        return self._loop.call(self._operations.clients.disconnect, to, namespace or "/", close)

    @counts_as_coroutine
    def call_all(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        namespace: str | None = None,
        timeout: float | None = 60,
        skip_sid: str | list[str] | None = None,
        callback: Handler | None = None,
    ) -> Any:
        """Emit an event to clients, and return what each acknowledges it with.

        Args:
            event: The name of the event.
            data: What to send; a tuple stands for several arguments.
            to: A room, a sid, or a list of them; everybody in the namespace by default.
            namespace: ``'/'`` by default.
            timeout: Seconds to wait. Nobody waits for a client that leaves, or whose process is gone.
            skip_sid: A sid, or a list of them, to leave out.
            callback: Called with what each client acknowledges with, when that comes.

        Returns:
            A list of the answers, each as `call` returns one, in the order in which they came; on the event
            loop, an awaitable of it.

        Raises:
            AnswersMissing: Not all have answered in time. It is a ``socketio.exceptions.TimeoutError``, with
                the ``answers`` that have come, and how many are ``missing``.
            TypeError: The data cannot be encoded.
            RuntimeError: With ``async_handlers=False``, no answer could be handled meanwhile; or this process
                only writes to a message queue.
        """
        checks.check_asking("call_all()", self.manager)
        checks.check_async_handlers("call_all()", self.async_handlers)
        return self._loop.result(
            self._operations.calls.call(event, data, to, namespace or "/", skip_sid, timeout, callback)
        )

    @counts_as_coroutine
    def server_side_emit(
        self,
        event: str,
        *args: Any,
        namespace: str | None = None,
        ack: bool = False,
        timeout: float | None = 5,
    ) -> Any:
        """Send an event to the servers of the other processes, which `on_server_side` handles there.

        Args:
            event: The name of the event.
            *args: What to send.
            namespace: ``'/'`` by default.
            ack: Whether to wait for what their handlers return.
            timeout: Seconds to wait for that. Nobody waits for a process that is gone.

        Returns:
            Something to await, or to drop: awaiting waits for the message queue. With ``ack=True`` a list of
            what the handlers have returned; on the event loop, an awaitable of it.

        Raises:
            AnswersMissing: A handler has failed, or has not returned in time; see `call_all`.
            TypeError: An argument cannot be encoded.
            RuntimeError: With ``ack=True``, this process only writes to a message queue.
        """
        events = self._operations.events
        if not ack:
            return self._loop.call(events.emit, event, args, namespace or "/")
        checks.check_asking("server_side_emit(ack=True)", self.manager)
        return self._loop.result(events.ask(event, args, namespace or "/", timeout))

    def on_server_side(self, event: str, namespace: str | None = None) -> Callable[[H], H]:
        """Decorate the handler of an event of other servers: see `server_side_emit`.

        A function is called on the event loop, a coroutine function runs as a task.
        """

        def register(handler: H) -> H:
            self._operations.events.register(event, namespace or "/", handler)
            return handler

        return register
