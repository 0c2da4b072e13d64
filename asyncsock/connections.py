"""How clients connect to namespaces, or are refused."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from typing import Any

from socketio import AsyncServer as BaseServer
from socketio import exceptions

from .codec.base import CONNECT, CONNECT_ERROR, Codec
from .codec.not_encodable import describe_failure
from .connect_handlers import asking
from .connection import Connection
from .disconnections import Disconnector
from .engine.limits import Limits
from .engine.log import printable
from .engine.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from .engine.session import Session
from .engine.shutdown import SERVICE_RESTART
from .engine.tally import Tally
from .engine.tasks import CANCELLATIONS, Tasks
from .managers import AnyRooms
from .recovery.clients import Claim, Parked, read_claim
from .recovery.recovery import Recovery
from .rooms import Rooms
from .routes import Routes
from .typed.invalid_payload import InvalidPayload

# Seconds between the CONNECT and the DISCONNECT packet of a client that its connect handler disconnects.
# python-socketio's clients ignore a DISCONNECT that comes before their connect() has returned.
LET_IN = 0.05
UNABLE = "Unable to connect"


class Connector:
    """Connects clients to namespaces.

    Args:
        server: The server, for its handlers and options.
        connections: The connections by session id.
        rooms: The clients.
        routes: Finds the handlers.
        codec: Encodes the packets.
        disconnector: Disconnects them.
        recovery: Knows the clients that may come back, if any may.
        give_back: Called with such a client that has come back, and its new connection.

    Attributes:
        rooms: The clients. Others can be set while there are none.
        connected: How many clients have been let into each namespace.
        refused: How many have not, by the reason.
        recoveries: How many that had lost their connection came back, and whether as they were or as new.
    """

    def __init__(
        self,
        server: BaseServer,
        connections: dict[str, Connection],
        rooms: AnyRooms,
        routes: Routes,
        codec: Codec,
        disconnector: Disconnector,
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
        self.recoveries = Tally()
        self._routes = routes
        self._codec = codec
        self._recovery = recovery
        self._give_back = give_back
        self._disconnector = disconnector
        self._in_no_namespace = disconnector.in_no_namespace

    @property
    def connect_timeout(self) -> float:
        """Seconds after which a client that is in no namespace is disconnected."""
        return self._in_no_namespace.delay

    # Sessions

    def begin(self, session: Session) -> None:
        """Begin to serve a session that has been opened."""
        connection = self._connections[session.sid] = Connection(session)
        self._in_no_namespace.add(connection)

    def left_loop(self) -> None:
        """Forget the clients that are left when the event loop has ended; no handler can run for them."""
        self.rooms.forget_all()
        if self._recovery is not None:
            self._recovery.clear()
        self._connections.clear()
        self._in_no_namespace.clear()

    def stop(self) -> None:
        """Stop the timer for clients that are in no namespace."""
        self._in_no_namespace.clear()

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
        connection.keep_for(task)
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
        self._in_no_namespace.discard(connection)
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
            self._disconnector.tell(session, namespace)
            self._disconnector.left.add(SERVER_DISCONNECT)
        else:
            return  # it left or was disconnected meanwhile, which removes it
        await self._disconnector.forget(connection, sid, namespace)

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
            self._disconnector.left.add(reason)
            await asyncio.sleep(LET_IN)
            self.rooms.let_go(sid)
            self._disconnector.tell(session, namespace)
        await self._disconnector.run_handler(connection, sid, namespace, reason)

    async def _undo(self, connection: Connection, sid: str, namespace: str) -> None:
        """Run the disconnect handler of a client whose session ended while its connect handler ran."""
        if self.rooms.is_connected(sid, namespace):
            self.rooms.pre_disconnect(sid, namespace)
            self._disconnector.left.add(TRANSPORT_CLOSE)
            await self._disconnector.run_handler(connection, sid, namespace, TRANSPORT_CLOSE)

    def _put(self, session: Session, kind: int, namespace: str, data: Any = None) -> None:
        body = self._codec.encode(data) if data is not None else None
        for packet in self._codec.assemble(kind, namespace, body):
            session.put(packet)
