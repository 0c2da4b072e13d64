"""What clients send: from a message of the engine to the handler of an event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from socketio import AsyncServer as BaseServer

from .codec.base import ACKS, CONNECT, DISCONNECT, EVENTS, Codec, Incoming, check_shape, put_back
from .codec.json_codec import JSONCodec, decode_usual_event
from .connection import CONNECTED, Client, Connection, Partial
from .connections import Connector
from .disconnections import Disconnector
from .engine.core import Core
from .engine.errors import BadPacket
from .engine.limits import MESSAGE_SIZE
from .engine.log import shown
from .engine.reasons import CLIENT_DISCONNECT
from .engine.session import Session
from .managers import AnyRooms
from .routes import EventRun, Routes, Running
from .server_loop import ServerLoop

RunEvent = Callable[[Connection, str, Incoming], Running | None]
LetIn = Callable[[Connection, str, Any], asyncio.Task[Any] | None]
ATTACHMENTS = 10  # times max_http_buffer_size that the attachments of one packet may have together


class Dispatcher:
    """The engine's application that speaks Socket.IO: it takes sessions and what they send.

    Args:
        server: The server, for its options and its logger.
        connections: The connections by session id.
        connector: Connects clients.
        disconnector: Disconnects them.
        rooms: The clients.
        routes: Finds and runs the handlers.
        codec: Decodes the packets.
        loop: The event loop to serve on.
        verbose: Whether each event is logged.

    Attributes:
        rooms: The clients. Others can be set while there are none.
        run_event: Says what runs an event: `Routes.run_event`, or what stands around it.
        let_in: Called with each CONNECT packet: `Connector.connect`, or what stands around it.
        on_upgrade: Called with each session that moves to a WebSocket.
    """

    def __init__(
        self,
        server: BaseServer,
        connections: dict[str, Connection],
        connector: Connector,
        disconnector: Disconnector,
        rooms: AnyRooms,
        routes: Routes,
        codec: Codec,
        loop: ServerLoop,
        verbose: bool,
    ) -> None:
        self._server = server
        self._core: Core = server.eio.core
        self._tasks = self._core.tasks
        self._connections = connections
        self._connector = connector
        self._disconnector = disconnector
        self.rooms = rooms
        self.run_event: RunEvent = routes.run_event
        self.let_in: LetIn = connector.connect
        self.on_upgrade: Callable[[Session], None] | None = None
        self._codec = codec
        self._is_json = isinstance(codec, JSONCodec) and codec.is_plain
        self._loop = loop
        self._verbose = verbose

    # The engine's sessions

    def connect(self, session: Session) -> None:
        """Take a new session."""
        server = self._server
        if not server.manager_initialized:
            server.manager_initialized = True
            server.manager.initialize()
        self._loop.follow(self._core.loop)
        self._connector.begin(session)

    def disconnect(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        """Disconnect the clients of a session that has ended. Returns a future while handlers run for it."""
        return self._disconnector.end(session, reason)

    def upgraded(self, session: Session) -> None:
        """Tell whoever wants to know that a session has moved to a WebSocket."""
        if self.on_upgrade is not None:
            self.on_upgrade(session)

    def left_loop(self) -> None:
        """Forget all sessions, because the event loop has ended."""
        self._connector.left_loop()

    # Packets

    def message(self, session: Session, message: str | bytes) -> None:
        """Take a message of a session: a packet, or an attachment of a packet.

        Raises:
            BadPacket: The client broke the protocol.
        """
        connection = self._connections[session.sid]
        packet: Incoming | None = None
        if connection.partial is None and self._is_json and type(message) is str:
            packet = decode_usual_event(message)
        if packet is None:
            packet = self._take(connection, message)
            if packet is None:
                return
        elif packet.places:
            connection.partial = Partial(packet)
            return
        client = connection.clients.get(packet.namespace)
        if client is None or client.state is not CONNECTED:
            self._not_connected(connection, packet)
        elif not self._core.closing:
            run = self.run_event(connection, client.sid, packet)
            if self._verbose:
                self._log_event(client, packet)
            if run is None:
                return
            if not self._server.async_handlers:
                self._tasks.in_turn(run, session)
            elif isinstance(run, EventRun):
                run.start()
            else:
                self._tasks.start(run, packet, session)

    def _take(self, connection: Connection, message: str | bytes) -> Incoming | None:
        """Take a message that is no usual event. Returns an event that is whole now, or else None."""
        partial = connection.partial
        packet: Incoming | None
        if partial is not None:
            packet = self._complete(connection, partial, message)
        else:
            packet = self._codec.decode(message[1:] if isinstance(message, str) else message)
            check_shape(packet)
            if packet.places:
                connection.partial = Partial(packet)
                return None
        if packet is None or packet.kind in EVENTS:
            return packet
        self._take_other(connection, packet)
        return None

    def _complete(self, connection: Connection, partial: Partial, message: str | bytes) -> Incoming | None:
        """Take an attachment. Returns the packet if this was its last one, or else None."""
        if not isinstance(message, bytes):
            raise BadPacket("a text packet in place of an attachment")
        packet = partial.packet
        partial.size += len(message)
        partial.attachments.append(message)
        if partial.size > ATTACHMENTS * self._core.terms.max_payload:
            self._core.limits.hits[MESSAGE_SIZE] += 1
            raise BadPacket("attachments that are too large together")
        if len(partial.attachments) < len(packet.places):
            return None
        connection.partial = None
        put_back(partial.attachments, packet.places)
        return packet

    def _take_other(self, connection: Connection, packet: Incoming) -> None:
        if packet.kind == CONNECT:
            self.let_in(connection, packet.namespace, packet.data)
            return
        client = connection.clients.get(packet.namespace)
        if client is None or client.state is not CONNECTED:
            self._not_connected(connection, packet)
        elif packet.kind in ACKS:
            self._acknowledged(connection.session, client, packet)
        else:
            self._disconnector.leave(connection, client.sid, packet.namespace, CLIENT_DISCONNECT)

    def _acknowledged(self, session: Session, client: Client, packet: Incoming) -> None:
        assert packet.id is not None  # `check_shape` has looked
        if self.rooms.expects(client.sid, packet.id):
            self._tasks.spawn(self.rooms.trigger_callback(client.sid, packet.id, packet.data), session)
        else:
            text = "unknown acknowledgement %d from %s ignored"
            session.warn(self._server.logger, text, packet.id, client.sid)

    def _not_connected(self, connection: Connection, packet: Incoming) -> None:
        """Ignore a packet for a namespace that its session is not in, or not any more."""
        if not connection.greeted:
            raise BadPacket("a packet before CONNECT")
        namespace = packet.namespace
        leaves = packet.kind == DISCONNECT
        if leaves and self._disconnector.leave_early(connection, namespace, CLIENT_DISCONNECT):
            return
        session = connection.session
        text = "packet for %.100r ignored: session %s is not in it"
        session.warn(self._server.logger, text, namespace, session.sid)

    def _log_event(self, client: Client, packet: Incoming) -> None:
        event, namespace = shown(packet.data[0]), shown(packet.namespace)
        self._server.logger.info('received event "%s" from %s [%s]', event, client.sid, namespace)
