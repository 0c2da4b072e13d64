"""How clients connect to namespaces, leave them, and are disconnected."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from typing import Any

from socketio import AsyncServer as BaseServer
from socketio import exceptions

from .codec.base import CONNECT, CONNECT_ERROR, DISCONNECT, Codec
from .codec.not_encodable import describe_failure
from .connect_handlers import asking
from .connection import Connection
from .engine.awaitables import SENT, Sent, SentAndWaiting
from .engine.deadlines import Deadlines
from .engine.limits import Limits
from .engine.log import printable
from .engine.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from .engine.session import Session
from .engine.shutdown import SERVICE_RESTART
from .engine.tally import Tally
from .engine.tasks import CANCELLATIONS, EAGER_TASKS, Tasks, running_loop
from .managers import AnyRooms
from .recovery.clients import Claim, Parked, read_claim
from .recovery.recovery import Recovery
from .rooms import Rooms
from .routes import Routes
from .server_loop import wait_for
from .typed.invalid_payload import InvalidPayload
from .types import Handler

# Seconds between the CONNECT and the DISCONNECT packet of a client that its connect handler disconnects.
# python-socketio's clients ignore a DISCONNECT that comes before their connect() has returned.
LET_IN = 0.05
UNABLE = "Unable to connect"


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
        recovery: Knows the clients that may come back, if any may.
        give_back: Called with such a client that has come back, and its new connection.

    Attributes:
        rooms: The clients. Others can be set while there are none.
        connected: How many clients have been let into each namespace.
        refused: How many have not, by the reason.
        left: How many that had been let in have left or were disconnected, by the reason.
        recoveries: How many that had lost their connection came back, and whether as they were or as new.
        on_leaving: Called with the sid of each client that leaves or is disconnected, and why.
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
        give_back: Callable[[Connection, Parked], None],
    ) -> None:
        self._server = server
        self._tasks: Tasks = server.eio.tasks
        self._limits: Limits = server.eio.core.limits
        self._connections = connections
        self.rooms = rooms
        self.connected = Tally()
        self.refused = Tally()
        self.left = Tally()
        self.recoveries = Tally()
        self._routes = routes
        self._codec = codec
        self._recovery = recovery
        self._give_back = give_back
        self.on_leaving: Callable[[str, str], None] | None = None
        self._deadlines: Deadlines[Connection] = Deadlines(connect_timeout, _in_no_namespace)

    @property
    def connect_timeout(self) -> float:
        """Seconds after which a client that is in no namespace is disconnected."""
        return self._deadlines.delay

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

    def left_loop(self) -> None:
        """Forget the clients that are left when the event loop has ended; no handler can run for them."""
        self.rooms.forget_all()
        if self._recovery is not None:
            self._recovery.clear()
        self._connections.clear()
        self._deadlines.clear()

    def stop(self) -> None:
        """Stop the timer for clients that are in no namespace."""
        self._deadlines.clear()

    # Connecting

    def connect(self, connection: Connection, namespace: str, auth: Any) -> asyncio.Task[Any] | None:
        """Connect a client to a namespace, or refuse it: at once, or in a task when it has been decided."""
        connection.greeted = True
        claim, claims = None, False
        if self._recovery is not None:
            auth, claim, claims = read_claim(auth)
        refusal = self._reason_to_refuse(connection, namespace)
        if refusal is not None:
            self.refused.add(refusal)
            self._put(connection.session, CONNECT_ERROR, namespace, {"message": refusal})
            return None
        if claim is not None and self._restore_at_once(connection, namespace, claim):
            return None
        if not claims and self.rooms.is_immediate is True and not self._routes.has("connect", namespace):
            sid = self.rooms.connect_at_once(connection, namespace)  # there is no handler to wait for
            self._welcome(connection, sid, namespace)
            return None
        self.rooms.expect(connection, namespace)
        if claims:
            connecting = self._reconnect(connection, namespace, auth, claim)
        else:
            connecting = self._connect(connection, namespace, auth)
        task = self._tasks.spawn(connecting, connection.session)
        self._keep_for(task, connection)
        return task

    def _reason_to_refuse(self, connection: Connection, namespace: str) -> str | None:
        """Why a client cannot connect to a namespace, whatever its connect handler would say."""
        session, logger = connection.session, self._server.logger
        if not self._routes.accepts(namespace):
            text = (
                "session %s asked for unknown namespace %.100r: it has no handler, and namespaces= lacks it"
            )
            session.warn(logger, text, session.sid, namespace)
            return "Invalid namespace"
        if namespace in connection.clients:
            return UNABLE
        limit = self._limits.max_namespaces
        if limit is not None and len(connection.clients) >= limit:
            self._limits.hits["max_namespaces"] += 1
            text = "session %s asked for too many namespaces: max_namespaces is %d"
            session.warn(logger, text, session.sid, limit)
            return "Too many namespaces"
        return None

    def _restore_at_once(self, connection: Connection, namespace: str, claim: Claim) -> bool:
        """Restore a client that is known here, unless there is a handler to ask."""
        recovery, rooms = self._recovery, self.rooms
        if recovery is None or not isinstance(rooms, Rooms) or self._routes.has("connect", namespace):
            return False
        taken = recovery.take(claim, namespace)
        if taken is None:
            return False
        parked, missed = taken
        rooms.restore_at_once(connection, namespace, parked)
        self.recoveries.add("recovered")
        self._welcome(connection, parked.sid, namespace)
        if missed:
            self._server.eio.outboxes.fan_out([connection.session], missed)
        self._give_back(connection, parked)
        return True

    async def _reconnect(
        self, connection: Connection, namespace: str, auth: Any, claim: Claim | None
    ) -> None:
        """Connect a client that claims to have lost its connection; as the one that it was, if it was one."""
        if not (claim is not None and await self._restore(connection, namespace, claim)):
            session = connection.session
            if self._server.eio.core.closing:  # another process can do it
                session.close(SERVER_DISCONNECT, SERVICE_RESTART)
            if session.is_open:  # or it has gone, and may well be recovered at its next attempt
                self.recoveries.add("new")
                self._server.logger.debug("a client of session %s could not be recovered", session.sid)
                if claim is not None and self._recovery is not None:
                    self._recovery.begin_with(connection.clients[namespace], claim)
        await self._connect(connection, namespace, auth)

    async def _restore(self, connection: Connection, namespace: str, claim: Claim) -> bool:
        recovery, rooms, session = self._recovery, self.rooms, connection.session
        assert recovery is not None
        assert isinstance(rooms, Rooms)
        await recovery.seek(claim, session)
        if not session.is_open or rooms.why_gone(connection.clients[namespace].sid, namespace):
            return False
        taken = recovery.take(claim, namespace)
        if taken is None:
            return False
        parked, missed = taken
        rooms.restore(connection, namespace, parked, missed)
        self.recoveries.add("recovered")
        self._give_back(connection, parked)
        return True

    async def _connect(self, connection: Connection, namespace: str, auth: Any) -> None:
        session, always_connect = connection.session, self._server.always_connect
        sid = await self.rooms.pre_connect(session.sid, namespace)
        if sid is None:
            self.refused.add(UNABLE)
            self._put(session, CONNECT_ERROR, namespace, {"message": UNABLE})
            return
        if always_connect:
            await self._accept(connection, sid, namespace)
        refusal = await self._ask_connect_handler(session, sid, namespace, auth)
        if refusal is not None:
            await self._refuse(connection, sid, namespace, refusal)
        elif reason := self.rooms.why_gone(sid, namespace):
            await self._let_in_and_out(connection, sid, namespace, reason)
        else:
            if not always_connect:
                await self._accept(connection, sid, namespace)
            if not session.is_open:
                await self._undo(connection, sid, namespace)

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
        except InvalidPayload as error:
            text = "session %s is refused: its auth is not what the connect handler takes: %s at %s"
            what = printable(error.message), printable(error.path)
            session.warn(self._server.logger, text, session.sid, *what)
            return error.refusal()
        except CANCELLATIONS:
            raise
        except BaseException as error:
            self._tasks.failed(error)
            result = False
        return exceptions.ConnectionRefusedError().error_args if result is False else None

    async def _accept(self, connection: Connection, sid: str, namespace: str) -> None:
        self._welcome(connection, sid, namespace)
        await self.rooms.connect(sid, namespace)

    def _welcome(self, connection: Connection, sid: str, namespace: str) -> None:
        self._deadlines.discard(connection)
        self.connected.add(namespace)
        data = {"sid": sid}
        if self._recovery is not None:
            data["pid"] = self._recovery.welcome(connection.clients[namespace])
        self._put(connection.session, CONNECT, namespace, data)

    async def _refuse(self, connection: Connection, sid: str, namespace: str, refusal: Any) -> None:
        self.refused.add("connect handler")
        session = connection.session
        client = connection.clients.get(namespace)
        if self._recovery is not None and client is not None:
            self._recovery.refuse(client)
        if not self._server.always_connect:
            self._put_refusal(session, namespace, refusal)
        elif self.rooms.is_connected(sid, namespace):
            self._put(session, DISCONNECT, namespace)
            self.left.add(SERVER_DISCONNECT)
        else:
            return  # it left or was disconnected meanwhile, which removes it
        await self._forget(connection, sid, namespace)

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
            self.left.add(reason)
            await asyncio.sleep(LET_IN)
            self.rooms.let_go(sid)
            self._put(session, DISCONNECT, namespace)
        await self._run_disconnect(connection, sid, namespace, reason)

    async def _undo(self, connection: Connection, sid: str, namespace: str) -> None:
        """Run the disconnect handler of a client whose session ended while its connect handler ran."""
        if self.rooms.is_connected(sid, namespace):
            self.rooms.pre_disconnect(sid, namespace)
            self.left.add(TRANSPORT_CLOSE)
            await self._run_disconnect(connection, sid, namespace, TRANSPORT_CLOSE)

    # Leaving

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
        self._put(connection.session, DISCONNECT, namespace)
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
        task = run(self._run_disconnect(connection, sid, namespace, reason), connection.session)
        self._keep_for(task, connection)
        return task

    async def _run_disconnect(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        try:
            await self._server._trigger_event("disconnect", namespace, sid, reason)
        finally:
            await self._forget(connection, sid, namespace)

    async def _forget(self, connection: Connection, sid: str, namespace: str) -> None:
        """Forget a client that was refused or has left."""
        await self.rooms.disconnect(sid, namespace, ignore_queue=True)
        self._watch(connection)

    def _forget_at_once(self, rooms: Rooms, connection: Connection, sid: str, namespace: str) -> None:
        rooms.basic_disconnect(sid, namespace)
        self._watch(connection)

    def _watch(self, connection: Connection) -> None:
        """Begin to wait for a session that is in no namespace any more to connect to one."""
        is_in_none = connection.session.is_open and not connection.clients
        if is_in_none and connection not in self._deadlines and running_loop() is not None:
            self._deadlines.add(connection)

    def _all_have_begun(self) -> bool:
        """Whether the handlers of all earlier events have begun, if `async_handlers` lets them overlap."""
        return (EAGER_TASKS and self._server.async_handlers) or not self._tasks.running

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
    connection.session.reject("it is in no namespace after connect_timeout", 1000, "connect_timeout")
