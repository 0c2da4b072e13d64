"""How clients connect to namespaces, leave them, and are disconnected."""

from __future__ import annotations

import asyncio
import builtins
from typing import Any

from socketio import AsyncServer as BaseServer
from socketio import exceptions

from .codec.base import CONNECT, CONNECT_ERROR, DISCONNECT, Codec
from .codec.values import describe_failure
from .connect_handlers import asking
from .connection import Connection
from .engine.awaitables import SENT, Sent, SentAndWaiting
from .engine.deadlines import Deadlines
from .engine.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from .engine.session import Session
from .engine.tasks import EAGER_TASKS, Tasks
from .managers import AnyRooms
from .routes import Routes
from .server_loop import wait_for
from .types import Handler

# Seconds between the CONNECT and the DISCONNECT packet of a client that its connect handler disconnects.
# python-socketio's clients ignore a DISCONNECT that comes before their connect() has returned.
LET_IN = 0.05


class Connector:
    """Connects clients to namespaces, and disconnects them.

    Args:
        server: The server, for its handlers and options.
        connections: The connections by session id. Each stays there until its connect and disconnect
            handlers have ended.
        rooms: The clients.
        routes: Finds the handlers.
        codec: Encodes the packets.
        connect_timeout: Seconds after which a client that is in no namespace is disconnected.
    """

    def __init__(
        self,
        server: BaseServer,
        connections: dict[str, Connection],
        rooms: AnyRooms,
        routes: Routes,
        codec: Codec,
        connect_timeout: float,
    ) -> None:
        self._server = server
        self._tasks: Tasks = server.eio.tasks
        self._connections = connections
        self._rooms = rooms
        self._routes = routes
        self._codec = codec
        self._deadlines: Deadlines[Connection] = Deadlines(connect_timeout, _in_no_namespace)

    # Sessions

    def begin(self, session: Session) -> None:
        """Begin to serve a session that has been opened."""
        connection = self._connections[session.sid] = Connection(session)
        self._deadlines.add(connection)

    def end(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        """Disconnect the clients of a session that has ended. Returns a future while handlers run for it."""
        connection = self._connections[session.sid]
        connection.partial = None
        self._deadlines.discard(connection)
        if self._rooms.is_immediate is True and self._leaves_silently(connection):
            self._rooms.forget(connection)
            del self._connections[session.sid]
            return None
        for sid, namespace in self._rooms.abandon(connection, reason):
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

    def left_loop(self) -> None:
        """Forget the clients that are left when the event loop has ended; no handler can run for them."""
        self._rooms.forget_all()
        self._connections.clear()
        self._deadlines.clear()

    def stop(self) -> None:
        """Stop the timer for clients that are in no namespace."""
        self._deadlines.clear()

    # Connecting

    def connect(self, connection: Connection, namespace: str, auth: Any) -> None:
        """Connect a client to a namespace, or refuse it: at once, or when its connect handler has decided."""
        connection.greeted = True
        session = connection.session
        if not self._routes.accepts(namespace):
            self._server.logger.warning(
                "session %s asked for unknown namespace %.100r", session.sid, namespace
            )
            self._put(session, CONNECT_ERROR, namespace, {"message": "Invalid namespace"})
        elif self._rooms.is_immediate is True and not self._routes.has("connect", namespace):
            sid = self._rooms.connect_at_once(connection, namespace)  # there is no handler to wait for
            if sid is None:
                self._put(session, CONNECT_ERROR, namespace, {"message": "Unable to connect"})
            else:
                self._welcome(connection, sid, namespace)
        else:
            connecting = self._connect(connection, namespace, auth)
            self._keep_for(self._tasks.spawn(connecting, session.sid), connection)

    async def _connect(self, connection: Connection, namespace: str, auth: Any) -> None:
        session, always_connect = connection.session, self._server.always_connect
        sid = await self._rooms.pre_connect(session.sid, namespace)
        if sid is None:
            self._put(session, CONNECT_ERROR, namespace, {"message": "Unable to connect"})
            return
        if always_connect:
            await self._accept(connection, sid, namespace)
        refusal = await self._ask_connect_handler(session, sid, namespace, auth)
        if refusal is not None:
            await self._refuse(session, sid, namespace, refusal)
        elif reason := self._rooms.why_gone(sid, namespace):
            await self._let_in_and_out(connection, sid, namespace, reason)
        else:
            if not always_connect:
                await self._accept(connection, sid, namespace)
            if not session.is_open:
                await self._undo(sid, namespace)

    async def _ask_connect_handler(self, session: Session, sid: str, namespace: str, auth: Any) -> Any:
        """Run the connect handler. Returns None if it accepts the client, or else the data of the refusal."""
        environ = self._server.environ.get(session.sid)
        try:
            with asking(sid):
                result = await self._server._trigger_event("connect", namespace, sid, environ, auth or None)
        except exceptions.ConnectionRefusedError as error:
            return error.error_args
        except builtins.ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception as error:
            self._tasks.failed(error)
            result = False
        return exceptions.ConnectionRefusedError().error_args if result is False else None

    async def _accept(self, connection: Connection, sid: str, namespace: str) -> None:
        self._welcome(connection, sid, namespace)
        await self._rooms.connect(sid, namespace)

    def _welcome(self, connection: Connection, sid: str, namespace: str) -> None:
        self._deadlines.discard(connection)
        self._put(connection.session, CONNECT, namespace, {"sid": sid})

    async def _refuse(self, session: Session, sid: str, namespace: str, refusal: Any) -> None:
        if not self._server.always_connect:
            self._put_refusal(session, namespace, refusal)
        elif self._rooms.is_connected(sid, namespace):
            self._put(session, DISCONNECT, namespace)
        else:
            return  # it left or was disconnected meanwhile, which removes it
        await self._rooms.disconnect(sid, namespace, ignore_queue=True)

    def _put_refusal(self, session: Session, namespace: str, refusal: Any) -> None:
        try:
            self._put(session, CONNECT_ERROR, namespace, refusal)
        except Exception as error:
            text = f"the reason for refusing a client cannot be sent: {describe_failure(error)}"
            self._tasks.result_failed(TypeError(text))
            self._put(session, CONNECT_ERROR, namespace, exceptions.ConnectionRefusedError().error_args)

    async def _let_in_and_out(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        """Disconnect a client that left, or was sent away, while the handler that accepts it ran.

        It gets CONNECT first, because clients understand DISCONNECT only after that.
        """
        session = connection.session
        if reason == SERVER_DISCONNECT and session.is_open:
            self._welcome(connection, sid, namespace)
            await asyncio.sleep(LET_IN)
            self._rooms.let_go(sid)
            self._put(session, DISCONNECT, namespace)
        await self._run_disconnect(sid, namespace, reason)

    async def _undo(self, sid: str, namespace: str) -> None:
        """Run the disconnect handler of a client whose session ended while its connect handler ran."""
        if self._rooms.is_connected(sid, namespace):
            self._rooms.pre_disconnect(sid, namespace)
            await self._run_disconnect(sid, namespace, TRANSPORT_CLOSE)

    # Leaving

    def leave(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        """Disconnect a client that leaves a namespace."""
        self._rooms.pre_disconnect(sid, namespace)
        self._leave(connection, sid, namespace, reason)

    def leave_early(self, connection: Connection, namespace: str, reason: str) -> bool:
        """Note that a client leaves while its connect handler runs; False if none runs."""
        client = connection.clients.get(namespace)
        return client is not None and self._rooms.send_away(client.sid, namespace, reason)

    def disconnect(self, sid: str, namespace: str, ignore_queue: bool) -> Sent:
        """Disconnect a client from a namespace.

        While the client's connect handler runs, this is only noted. From then on the client is sent nothing,
        and what it sends is ignored, because it never becomes connected.
        """
        if self._rooms.send_away(sid, namespace, SERVER_DISCONNECT):
            return SENT
        if not self._rooms.is_connected(sid, namespace):
            return SENT if ignore_queue else self._rooms.disconnect_elsewhere(sid, namespace)
        connection = self._rooms.connection_of(sid, namespace)
        self._rooms.pre_disconnect(sid, namespace)
        self._put(connection.session, DISCONNECT, namespace)
        task = self._leave(connection, sid, namespace, SERVER_DISCONNECT)
        if task is None or self._waits_for_caller(connection):
            return SENT
        return SentAndWaiting(lambda: wait_for(task))

    def _waits_for_caller(self, connection: Connection) -> bool:
        """Whether the disconnect handler has to wait for the caller: another handler of the same session."""
        if self._server.async_handlers:
            return False
        running = self._tasks.running.values()
        return asyncio.current_task() in [task for task, sid in running if sid == connection.session.sid]

    def _leave(
        self, connection: Connection, sid: str, namespace: str, reason: str
    ) -> asyncio.Task[Any] | None:
        """Run the disconnect handler and forget the client. Returns a task unless that is done at once."""
        all_at_once = self._server.async_handlers
        if self._rooms.is_immediate is True and all_at_once and not self._routes.has("disconnect", namespace):
            self._after_earlier_events(self._rooms.basic_disconnect, sid, namespace)
            return None
        run = self._tasks.spawn if all_at_once else self._tasks.in_turn
        task = run(self._run_disconnect(sid, namespace, reason), connection.session.sid)
        self._keep_for(task, connection)
        return task

    async def _run_disconnect(self, sid: str, namespace: str, reason: str) -> None:
        try:
            await self._server._trigger_event("disconnect", namespace, sid, reason)
        finally:
            await self._rooms.disconnect(sid, namespace, ignore_queue=True)

    def _all_have_begun(self) -> bool:
        """Whether the handlers of all earlier events have begun, if `async_handlers` lets them overlap."""
        return EAGER_TASKS or not self._tasks.running

    def _after_earlier_events(self, function: Handler, *args: Any) -> None:
        """Call a function when the handlers of earlier events have begun."""
        if self._all_have_begun():
            function(*args)
        else:
            asyncio.get_running_loop().call_soon(function, *args)

    def _keep_for(self, task: asyncio.Task[Any], connection: Connection) -> None:
        """Keep a connection until a connect or disconnect handler has ended."""
        if not task.done():
            if connection.handlers is None:
                connection.handlers = set()
            connection.handlers.add(task)
            task.add_done_callback(connection.handlers.discard)

    def _put(self, session: Session, kind: int, namespace: str, data: Any = None) -> None:
        body = self._codec.encode(data) if data is not None else None
        for packet in self._codec.assemble(kind, namespace, body):
            session.put(packet)


def _in_no_namespace(connection: Connection, _deadline: float) -> None:
    connection.session.reject("it is in no namespace after connect_timeout", 1000)
