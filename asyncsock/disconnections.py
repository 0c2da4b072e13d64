"""How clients leave namespaces and are disconnected from them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from socketio import AsyncServer as BaseServer

from .codec.base import DISCONNECT, Codec
from .connection import Connection
from .engine.awaitables import SENT, Sent, SentAndWaiting
from .engine.deadlines import Deadlines
from .engine.reasons import SERVER_DISCONNECT
from .engine.session import Session
from .engine.tally import Tally
from .engine.tasks import EAGER_TASKS, Tasks, running_loop
from .managers import AnyRooms
from .recovery.recovery import Recovery
from .rooms import Rooms
from .routes import Routes
from .server_loop import wait_for
from .types import Handler


class Disconnector:
    """Disconnects clients from namespaces, and forgets them.

    Args:
        server: The server, for its handlers and options.
        connections: The connections by session id. Each stays there until its connect and disconnect
            handlers have ended.
        rooms: The clients.
        routes: Finds the handlers.
        codec: Encodes the packets.
        connect_timeout: Seconds after which a client that is in no namespace is disconnected.
        recovery: Knows the clients that may come back, if any may.

    Attributes:
        rooms: The clients. Others can be set while there are none.
        left: How many that had been let in have left or were disconnected, by the reason.
        on_leaving: Called with the sid of each client that leaves or is disconnected, and why.
        in_no_namespace: The sessions without a client, until they have one or are too late.
    """

    def __init__(
        self,
        server: BaseServer,
        connections: dict[str, Connection],
        rooms: AnyRooms,
        routes: Routes,
        codec: Codec,
        connect_timeout: float,
        recovery: Recovery | None,
    ) -> None:
        self._server = server
        self._tasks: Tasks = server.eio.tasks
        self._connections = connections
        self.rooms = rooms
        self.left = Tally()
        self.on_leaving: Callable[[str, str], None] | None = None
        self.in_no_namespace: Deadlines[Connection] = Deadlines(connect_timeout, _in_no_namespace)
        self._routes = routes
        self._codec = codec
        self._recovery = recovery

    def end(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        """Disconnect the clients of a session that has ended. Returns a future while handlers run for it."""
        connection = self._connections[session.sid]
        connection.partial = None
        self.in_no_namespace.discard(connection)
        if self._recovery is not None:
            self._recovery.part(connection, reason)
        if self.rooms.is_immediate is True and self._leaves_silently(connection):
            if connection.clients:
                self.left.add(reason, len(connection.clients))
            if self.on_leaving is not None:
                for client in connection.clients.values():
                    self.on_leaving(client.sid, reason)
            self.rooms.forget(connection)
            del self._connections[session.sid]
            return None
        for sid, namespace in self.rooms.abandon(connection, reason):
            self.leave(connection, sid, namespace, reason)
        handlers, connection.handlers = connection.handlers, None
        if not handlers:
            self._after_earlier_events(self._connections.pop, session.sid)
            return None
        ended = asyncio.gather(*handlers, return_exceptions=True)
        ended.add_done_callback(lambda _: self._connections.pop(session.sid))
        return ended

    def _leaves_silently(self, connection: Connection) -> bool:
        """Whether a session that has ended can be forgotten at once, without handlers to call or wait for."""
        if not self._server.async_handlers or connection.handlers or not self._all_have_begun():
            return False
        return not any(self._routes.has("disconnect", name) for name in connection.clients)

    def leave(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        """Disconnect a client that leaves a namespace."""
        self.rooms.pre_disconnect(sid, namespace)
        self._leave(connection, sid, namespace, reason)

    def leave_early(self, connection: Connection, namespace: str, reason: str) -> bool:
        """Note that a client leaves while its connect handler runs; False if none runs."""
        client = connection.clients.get(namespace)
        return client is not None and self.rooms.send_away(client.sid, namespace, reason)

    def disconnect(self, sid: str, namespace: str, ignore_queue: bool) -> Sent:
        """Disconnect a client from a namespace.

        While the client's connect handler runs, this is only noted. From then on the client is sent nothing,
        and what it sends is ignored, because it never becomes connected.
        """
        if self.rooms.send_away(sid, namespace, SERVER_DISCONNECT):
            return SENT
        if not self.rooms.is_connected(sid, namespace):
            self._keep_away(sid, namespace)
            return SENT if ignore_queue else self.rooms.disconnect_elsewhere(sid, namespace)
        connection = self.rooms.connection_of(sid, namespace)
        self.rooms.pre_disconnect(sid, namespace)
        self.tell(connection.session, namespace)
        task = self._leave(connection, sid, namespace, SERVER_DISCONNECT)
        if task is None or self._waits_for_caller(connection):
            return SENT
        return SentAndWaiting(lambda: wait_for(task))

    def _keep_away(self, sid: str, namespace: str) -> None:
        """See to it that a client that has lost its connection does not come back."""
        if self._recovery is not None and isinstance(self.rooms, Rooms):
            client = self.rooms.table.find(sid, namespace)
            if client is not None:
                self._recovery.refuse(client)
            self._recovery.send_away(sid, namespace)

    def _waits_for_caller(self, connection: Connection) -> bool:
        """Whether the disconnect handler has to wait for the caller: another handler of the same session."""
        if self._server.async_handlers:
            return False
        running = self._tasks.running.values()
        return asyncio.current_task() in [task for task, session in running if session is connection.session]

    def _leave(
        self, connection: Connection, sid: str, namespace: str, reason: str
    ) -> asyncio.Task[Any] | None:
        """Run the disconnect handler and forget the client. Returns a task unless that is done at once."""
        self.left.add(reason)
        if self.on_leaving is not None:
            self.on_leaving(sid, reason)
        all_at_once = self._server.async_handlers
        if self.rooms.is_immediate is True and all_at_once and not self._routes.has("disconnect", namespace):
            self._after_earlier_events(self._forget_at_once, self.rooms, connection, sid, namespace)
            return None
        run = self._tasks.spawn if all_at_once else self._tasks.in_turn
        task = run(self.run_handler(connection, sid, namespace, reason), connection.session)
        connection.keep_for(task)
        return task

    async def run_handler(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        """Run the disconnect handler of a client that has been removed from its rooms, and forget it."""
        try:
            await self._server._trigger_event("disconnect", namespace, sid, reason)
        finally:
            await self.forget(connection, sid, namespace)

    async def forget(self, connection: Connection, sid: str, namespace: str) -> None:
        """Forget a client that was refused or has left."""
        await self.rooms.disconnect(sid, namespace, ignore_queue=True)
        self._watch(connection)

    def _forget_at_once(self, rooms: Rooms, connection: Connection, sid: str, namespace: str) -> None:
        rooms.basic_disconnect(sid, namespace)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """Begin to wait for a session that is in no namespace any more to connect to one."""
        is_in_none = connection.session.is_open and not connection.clients
        if is_in_none and connection not in self.in_no_namespace and running_loop() is not None:
            self.in_no_namespace.add(connection)

    def _all_have_begun(self) -> bool:
        """Whether the handlers of all earlier events have begun, if `async_handlers` lets them overlap."""
        return (EAGER_TASKS and self._server.async_handlers) or not self._tasks.running

    def _after_earlier_events(self, function: Handler, *args: Any) -> None:
        """Call a function when the handlers of earlier events have begun."""
        if self._all_have_begun():
            function(*args)
        else:
            asyncio.get_running_loop().call_soon(function, *args)

    def tell(self, session: Session, namespace: str) -> None:
        """Tell a client that it is disconnected from a namespace."""
        for packet in self._codec.assemble(DISCONNECT, namespace, None):
            session.put(packet)


def _in_no_namespace(connection: Connection, _deadline: float) -> None:
    connection.session.reject("it is in no namespace after connect_timeout", 1000, "connect_timeout")
