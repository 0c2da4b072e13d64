"""What clients send: from the engine's events to the application's handlers."""

from __future__ import annotations

import asyncio
import builtins
import logging
import threading
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import Any

from socketio import AsyncManager, exceptions
from socketio import AsyncServer as BaseServer
from socketio import packet as socketio_packet
from socketio.async_namespace import AsyncNamespace

from .codec import make_codec
from .codec.base import ACKS, ANY, CONNECT, CONNECT_ERROR, DISCONNECT, EVENTS, Incoming, check_shape
from .codec.json_codec import JSONCodec
from .codec.values import JSONModule, NotEncodable, describe_failure
from .connecting import Connecting, asking
from .connection import CONNECTED, Connection, Environs, Partial, Target
from .engine import EngineServer
from .engine.awaitables import SENT_TYPES
from .engine.deadlines import Deadlines
from .engine.errors import BadPacket
from .engine.log import make_logger
from .engine.session import Session
from .engine.signatures import option_names, refuse_unknown
from .engine.tasks import EAGER_TASKS
from .engine.tested_versions import warn_once
from .rooms import Rooms
from .shortcut import make_shortcut

Handler = Callable[..., Any]

# Seconds for which a client is let in that its connect handler sent away: python-socketio's clients ignore
# a DISCONNECT that comes before their connect() has returned.
LET_IN = 0.05
# Methods of python-socketio's: overridden here, where it or its managers call them, or called.
PRIVATE = (
    "_engineio_server_class",
    "_get_namespace_handler",
    "_handle_connect",
    "_handle_eio_connect",
    "_handle_eio_disconnect",
    "_handle_eio_message",
    "_handle_event",
    "_send_eio_packet",
    "_send_packet",
    "_trigger_event",
)
ATTACHMENTS = 10  # times max_http_buffer_size that the attachments of one packet may have together


class ReceivingServer(BaseServer):
    """The half of `asyncsock.AsyncServer` that takes packets and runs handlers."""

    eio: EngineServer
    manager_initialized: bool
    packet_class: Any

    def __init__(
        self,
        client_manager: Any = None,
        logger: bool | logging.Logger = False,
        json: Any = None,
        async_handlers: bool = True,
        namespaces: list[str] | str | None = None,
        connect_timeout: float = 45,
        **options: Any,
    ) -> None:
        if unknown := options.keys() - self.option_names():
            refuse_unknown(type(self).__name__, unknown, self.option_names())
        _check_socketio()
        _check_manager(client_manager)
        _check_serializer(options.get("serializer", "default"))
        if isinstance(namespaces, str) and namespaces != ANY:
            namespaces = [namespaces]
        super().__init__(
            client_manager=client_manager if client_manager is not None else Rooms(),
            logger=make_logger("asyncsock.server", logger),
            async_handlers=async_handlers,
            namespaces=namespaces,
            **options,
        )
        self.connections: dict[str, Connection] = {}  # by session, until its handlers have ended
        self.environ = Environs(self.connections)
        self.eio.async_handlers = async_handlers
        if json is not None:
            self.eio.json = json
            if self.packet_class is not socketio_packet.Packet:
                self.packet_class = type("Packet", (self.packet_class,), {"json": json})
        self.codec = make_codec(self.packet_class, json)
        self._ours = isinstance(self.manager, Rooms)
        if not self._ours and json is None and self.packet_class is socketio_packet.Packet:
            self.packet_class = type("Packet", (self.packet_class,), {"json": JSONModule})
        self._verbose = logger is not False and self.logger.isEnabledFor(logging.INFO)
        self._theirs = None if self._ours else Connecting(self.manager)
        self._connect_deadlines: Deadlines[Connection] = Deadlines(connect_timeout, self._no_namespace)
        shortcut = None
        if (
            self._ours
            and async_handlers
            and not self._verbose
            and json is None
            and isinstance(self.codec, JSONCodec)
        ):
            shortcut = make_shortcut(self)
        self.eio.serve(_Application(self, shortcut))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    @classmethod
    def option_names(cls) -> set[str]:
        """The options that the constructor takes, its own and those of the engine."""
        names = {"engineio_logger", *option_names(EngineServer)}
        for base in cls.__mro__[:-1]:
            if "__init__" in vars(base):
                names |= option_names(vars(base)["__init__"])
        return names - {"self"}

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # The event loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop to work on, while there is one."""
        return self._loop if self._loop is not None and not self._loop.is_closed() else None

    def attach_loop(self) -> None:
        """Serve on the running event loop; other threads hand their work to it.

        Raises:
            RuntimeError: None runs in this thread.
        """
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self.eio.follow_loop()
        if self._ours:
            self.manager.start()

    def on_loop(self) -> bool:
        """Whether the caller is on the event loop."""
        return threading.get_ident() == self._thread and self._loop is not None and self._loop.is_running()

    def _left_loop(self) -> None:
        """The event loop is over: forget the clients that it left, of whom no handler can hear any more."""
        for namespace in list(self.manager.get_namespaces()):
            for sid, _ in list(self.manager.get_participants(namespace, None)):
                self.manager.basic_disconnect(sid, namespace)
        self.connections.clear()
        self._connect_deadlines.clear()

    # The engine's events

    def _handle_session(self, session: Session) -> None:
        if not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        if self._loop is not self.eio.loop:
            self.attach_loop()
        connection = self.connections[session.sid] = Connection(session)
        self._connect_deadlines.add(connection)

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        self._handle_session(self.eio.sessions[eio_sid])

    def _no_namespace(self, connection: Connection, _deadline: float) -> None:
        connection.session.reject("it is in no namespace after connect_timeout", 1000)

    def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        connection = self.connections[eio_sid]
        if connection.partial is not None:
            self._handle_attachment(connection, connection.partial, data)
            return
        packet = self.codec.decode(data)
        check_shape(packet)
        if packet.attachments:
            connection.partial = Partial(packet)
        else:
            self._handle_packet(connection, packet)

    def _handle_attachment(self, connection: Connection, partial: Partial, data: str | bytes) -> None:
        if not isinstance(data, bytes):
            raise BadPacket("a text packet in place of an attachment")
        packet = partial.packet
        partial.size += len(data) * packet.attachments[len(partial.attachments)]
        partial.attachments.append(data)
        if partial.size > ATTACHMENTS * self.eio.max_http_buffer_size:
            raise BadPacket("attachments that are too large together")
        if len(partial.attachments) == len(packet.attachments):
            connection.partial = None
            packet.data = self.codec.join(packet.data, partial.attachments)
            self._handle_packet(connection, packet)

    def _handle_packet(self, connection: Connection, packet: Incoming) -> None:
        kind, namespace = packet.kind, packet.namespace
        if kind == CONNECT:
            self._handle_connect_packet(connection, namespace, packet.data)
            return
        sid = self._connected_sid(connection, namespace)
        if sid is None:
            if not connection.greeted:
                raise BadPacket("a packet before CONNECT")
            if kind == DISCONNECT and self._leaves_early(connection, namespace):
                return
            eio_sid = connection.session.sid
            self.logger.warning("packet for %.100r ignored: session %s is not in it", namespace, eio_sid)
        elif kind in EVENTS:
            self._handle_event(connection, packet, sid)
        elif kind in ACKS:
            if self._ours or packet.id != 0:  # python-socketio's managers keep their counter there
                answer = self.manager.trigger_callback(sid, packet.id, packet.data)
                self.eio.tasks.spawn(answer, connection.session.sid)
        else:
            self.manager.pre_disconnect(sid, namespace)
            self._leave(connection, sid, namespace, self.reason.CLIENT_DISCONNECT)

    def _connected_sid(self, connection: Connection, namespace: str) -> str | None:
        """The sid of a session's client in a namespace, if it is connected and not about to leave."""
        if self._ours:
            client = connection.clients.get(namespace)
            return client.sid if client is not None and client.state is CONNECTED else None
        sid: str | None = self.manager.sid_from_eio_sid(connection.session.sid, namespace)
        if sid is None or (self._theirs is not None and (sid, namespace) in self._theirs):
            return None
        return sid if self.manager.is_connected(sid, namespace) else None

    def _leaves_early(self, connection: Connection, namespace: str) -> bool:
        """Note that a client leaves while its connect handler runs; False if none runs."""
        sid: str | None = self.manager.sid_from_eio_sid(connection.session.sid, namespace)
        return sid is not None and self._send_away(sid, namespace, self.reason.CLIENT_DISCONNECT)

    def _send_away(self, sid: str, namespace: str, reason: str) -> bool:
        """Note that a client is to leave when its connect handler has ended; False if none runs.

        From here on it is sent nothing, and it never comes to be connected: what it sends is ignored.
        """
        connecting = self._theirs or self.manager
        return bool(connecting.send_away(sid, namespace, reason))

    def _connected_clients(self, connection: Connection, reason: str) -> list[tuple[str, str]]:
        """The sid and the namespace of each client of a session that has ended."""
        if self._ours:
            return [(client.sid, client.namespace) for client in self.manager.abandon(connection, reason)]
        named = [(self._connected_sid(connection, name), name) for name in self.manager.get_namespaces()]
        return [(sid, name) for sid, name in named if sid is not None]

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> asyncio.Future[Any] | None:
        connection = self.connections[eio_sid]
        connection.partial = None
        self._connect_deadlines.discard(connection)
        if self._leaves_silently(connection):
            self.manager.forget(connection)
            del self.connections[eio_sid]
            return None
        for sid, namespace in self._connected_clients(connection, reason):
            self.manager.pre_disconnect(sid, namespace)
            self._leave(connection, sid, namespace, reason)
        handlers, connection.handlers = connection.handlers, None
        if not handlers:
            self._after_earlier_events(self.connections.pop, eio_sid)
            return None
        ended = asyncio.gather(*handlers, return_exceptions=True)
        ended.add_done_callback(lambda _: self.connections.pop(eio_sid))
        return ended

    def _leaves_silently(self, connection: Connection) -> bool:
        """Whether a session that has ended can be forgotten at once: no handler is to hear of it or runs."""
        if not self._ours or not self.async_handlers or connection.handlers:
            return False
        if not self._all_have_begun():
            return False
        handlers = [self._find_handler("disconnect", name, ()) for name in connection.clients]
        return not any(handlers)

    def _keep_for(self, task: asyncio.Task[Any], connection: Connection) -> None:
        """Keep what belongs to a session until a connect or disconnect handler has ended."""
        if not task.done():
            if connection.handlers is None:
                connection.handlers = set()
            connection.handlers.add(task)
            task.add_done_callback(connection.handlers.discard)

    # Packets

    def _handle_connect_packet(self, connection: Connection, namespace: str, auth: Any) -> None:
        connection.greeted = True
        session = connection.session
        if not self._accepts_namespace(namespace):
            self.logger.warning("session %s asked for unknown namespace %.100r", session.sid, namespace)
            self._put(session, CONNECT_ERROR, namespace, {"message": "Invalid namespace"})
        elif self._ours and self._find_handler("connect", namespace, ()) is None:
            sid = self.manager.connect_at_once(connection, namespace)  # there is nobody to wait for
            if sid is None:
                self._put(session, CONNECT_ERROR, namespace, {"message": "Unable to connect"})
            else:
                self._connect_deadlines.discard(connection)
                self._put(session, CONNECT, namespace, {"sid": sid})
        else:
            connect = self._handle_connect(connection, namespace, auth)
            self._keep_for(self.eio.tasks.spawn(connect, session.sid), connection)

    async def _handle_connect(self, connection: Connection, namespace: str, auth: Any) -> None:
        session = connection.session
        # Client managers of python-socketio before 5.18 know one step only.
        in_two_steps = hasattr(self.manager, "pre_connect")
        enter = self.manager.pre_connect if in_two_steps else self.manager.connect
        sid = await enter(session.sid, namespace)
        if sid is None:
            self._put(session, CONNECT_ERROR, namespace, {"message": "Unable to connect"})
            return
        if self.always_connect:
            await self._accept(connection, sid, namespace)
        elif self._theirs is not None:
            self._theirs.begin(sid, namespace)
        try:
            refusal = await self._ask_connect_handler(session.sid, sid, namespace, auth)
            if refusal is not None:
                await self._refuse(session, sid, namespace, refusal)
            elif reason := (self._theirs or self.manager).why_gone(sid, namespace):
                await self._let_in_and_out(connection, sid, namespace, reason)
            else:
                if not self.always_connect:
                    await self._accept(connection, sid, namespace)
                if not session.is_open:
                    await self._handle_gone(sid, namespace)
        finally:
            if self._theirs is not None:
                self._theirs.end(sid, namespace)

    async def _refuse(self, session: Session, sid: str, namespace: str, refusal: Any) -> None:
        if not self.always_connect:
            self._put_refusal(session, namespace, refusal)
        elif self.manager.is_connected(sid, namespace):
            self._put(session, DISCONNECT, namespace)
        else:
            return  # it has left, or was disconnected, as any client that is connected
        await self.manager.disconnect(sid, namespace, ignore_queue=True)

    def _put_refusal(self, session: Session, namespace: str, refusal: Any) -> None:
        try:
            self._put(session, CONNECT_ERROR, namespace, refusal)
        except Exception as error:
            why = describe_failure(error)
            self.eio.tasks.result_failed(TypeError(f"the reason for refusing a client cannot be sent: {why}"))
            self._put(session, CONNECT_ERROR, namespace, exceptions.ConnectionRefusedError().error_args)

    async def _let_in_and_out(self, connection: Connection, sid: str, namespace: str, reason: str) -> None:
        """End what an accepted client's connect handler has begun: it left meanwhile, or was sent away.

        Clients understand DISCONNECT only after CONNECT.
        """
        session = connection.session
        if reason == self.reason.SERVER_DISCONNECT and session.is_open:
            self._connect_deadlines.discard(connection)
            self._put(session, CONNECT, namespace, {"sid": sid})
            await asyncio.sleep(LET_IN)
            if self._ours:
                client = self.manager.clients[sid]
                for packet in client.target.kept:
                    session.put(packet)
                self.manager.make_way(client)
            self._put(session, DISCONNECT, namespace)
        await self._run_disconnect(sid, namespace, reason)

    async def _accept(self, connection: Connection, sid: str, namespace: str) -> None:
        self._connect_deadlines.discard(connection)
        self._put(connection.session, CONNECT, namespace, {"sid": sid})
        if hasattr(self.manager, "pre_connect"):
            await self.manager.connect(sid, namespace)

    async def _ask_connect_handler(self, eio_sid: str, sid: str, namespace: str, auth: Any) -> Any:
        """None if the client is accepted, else what to tell it."""
        environ = self.environ.get(eio_sid)
        try:
            with asking(sid):
                result = await self._trigger_event("connect", namespace, sid, environ, auth or None)
        except exceptions.ConnectionRefusedError as error:
            return error.error_args
        except builtins.ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception as error:
            self.eio.tasks.failed(error)
            result = False
        return exceptions.ConnectionRefusedError().error_args if result is False else None

    async def _handle_gone(self, sid: str, namespace: str) -> None:
        """The client left while its connect handler ran: let the disconnect handler undo what that did."""
        if self.manager.is_connected(sid, namespace):
            self.manager.pre_disconnect(sid, namespace)
            await self._run_disconnect(sid, namespace, self.reason.TRANSPORT_CLOSE)

    def _accepts_namespace(self, namespace: str) -> bool:
        return namespace != ANY and (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    def _leave(
        self, connection: Connection, sid: str, namespace: str, reason: str
    ) -> asyncio.Task[Any] | None:
        """Run the disconnect handler and forget the client; a task if there is anything to wait for."""
        if self._ours and self.async_handlers and self._find_handler("disconnect", namespace, ()) is None:
            self._after_earlier_events(self.manager.basic_disconnect, sid, namespace)
            return None
        leaving = self._run_disconnect(sid, namespace, reason)
        run = self.eio.tasks.spawn if self.async_handlers else self.eio.tasks.in_turn
        task = run(leaving, connection.session.sid)
        self._keep_for(task, connection)
        return task

    def _all_have_begun(self) -> bool:
        """Whether the handlers of all events so far have begun, where events need not wait for each other."""
        return EAGER_TASKS or not self.eio.tasks

    def _after_earlier_events(self, function: Handler, *args: Any) -> None:
        """Call a function once the handlers of events that came before have begun."""
        if self._all_have_begun():
            function(*args)
        else:
            asyncio.get_running_loop().call_soon(function, *args)

    async def _run_disconnect(self, sid: str, namespace: str, reason: str) -> None:
        try:
            await self._trigger_event("disconnect", namespace, sid, reason)
        finally:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    def _handle_event(self, connection: Connection, packet: Incoming, sid: str) -> None:
        if self.eio.closing:
            return
        data, namespace = packet.data, packet.namespace
        if self._verbose:
            self.logger.info('received event "%s" from %s [%s]', data[0], sid, namespace)
        found = self._find_handler(data[0], namespace, (sid, *data[1:]))
        if found is None:
            return
        handler, args = found
        run = self._run_event(handler, args, connection, sid, packet)
        if self.async_handlers:
            self.eio.tasks.start(run, packet, connection.session.sid)
        else:
            self.eio.tasks.in_turn(run, connection.session.sid)

    async def _run_event(
        self, handler: Handler, args: tuple[Any, ...], connection: Connection, sid: str, packet: Incoming
    ) -> None:
        """Run the handler of an event and acknowledge it; never raises what the handler does."""
        try:
            result = handler(*args)
            if type(result) is CoroutineType or hasattr(type(result), "__await__"):
                result = await result
                if type(result) in SENT_TYPES:  # `return emit(...)`
                    await result
                    result = None
            if packet.id is not None:
                self._acknowledge(connection, sid, packet, packet.id, handler, result)
        except Exception as error:
            self.eio.tasks.failed(error)
        finally:
            self.eio.tasks.running.pop(packet, None)

    def _acknowledge(
        self, connection: Connection, sid: str, packet: Incoming, id: int, handler: Handler, result: Any
    ) -> None:
        target: Target = connection.session
        if self._ours:
            client = self.manager.clients.get(sid)
            if client is None:
                return
            target = client.target  # what its connect handler has sent is kept there, and goes first
        try:
            answers = self.codec.acknowledge(packet.namespace, id, result)
        except Exception as error:
            if isinstance(error, NotEncodable):
                error.from_data(result, 0)
            event, why = packet.data[0], describe_failure(error)
            whose = f"the result of {_name_of(handler, event):.200} for event {event!r:.100}"
            self.eio.tasks.result_failed(TypeError(f"{whose} cannot be sent: {why}"))
            return
        for answer in answers:
            self.eio.outboxes.put(target, answer)

    def _find_handler(
        self, event: str, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Handler, tuple[Any, ...]] | None:
        """The handler of an event and what to call it with."""
        # A client may name its event "*". That is data, and only a handler of any event gets it.
        registered = self.handlers.get(namespace)
        if registered is not None:
            if event != ANY and event in registered:
                return registered[event], args
            if event not in self.reserved_events and ANY in registered:
                return registered[ANY], (event, *args)
        registered = self.handlers.get(ANY)
        if registered is not None:
            if event != ANY and event in registered:
                return registered[event], (namespace, *args)
            if event not in self.reserved_events and ANY in registered:
                return registered[ANY], (event, namespace, *args)
        owner, args = self._get_namespace_handler(namespace, args)
        if owner is None:
            return None
        if type(owner).trigger_event is not AsyncNamespace.trigger_event:
            return owner.trigger_event, (event, *args)
        method = getattr(owner, f"on_{event}", None)
        return (method, args) if callable(method) else None

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Run the handler of an event and return its result."""
        found = self._find_handler(event, namespace, args)
        if found is None:
            return self.not_handled
        result = found[0](*found[1])
        return await result if isinstance(result, Awaitable) else result

    # Packets to one client

    def _put(
        self, session: Session, kind: int, namespace: str, data: Any = None, id: int | None = None
    ) -> None:
        body = self.codec.encode(data) if data is not None else None
        for packet in self.codec.assemble(kind, namespace, body, id):
            session.put(packet)


class _Application:
    """What the engine tells of its sessions, for a server to handle.

    Args:
        server: The server.
        shortcut: Asked first for each message; what it returns True for, it has handled.
    """

    def __init__(
        self, server: ReceivingServer, shortcut: Callable[[Session, str | bytes], bool] | None
    ) -> None:
        self._server = server
        self.shortcut = shortcut

    def connect(self, session: Session) -> None:
        self._server._handle_session(session)

    def message(self, session: Session, message: str | bytes) -> None:
        if self.shortcut is None or not self.shortcut(session, message):
            data = message[1:] if isinstance(message, str) else message
            self._server._handle_eio_message(session.sid, data)

    def disconnect(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        return self._server._handle_eio_disconnect(session.sid, reason)

    def left_loop(self) -> None:
        self._server._left_loop()


def _name_of(handler: Handler, event: str) -> str:
    """Which function of the application's a handler is."""
    function = getattr(handler, "function", handler)
    owner = getattr(function, "__self__", None)
    if owner is not None and hasattr(type(owner), f"on_{event}"):
        return f"{type(owner).__module__}.{type(owner).__qualname__}.on_{event}"
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"


def _check_socketio() -> None:
    """Look whether python-socketio calls what it called when it was tested; otherwise say where to begin."""
    lacks = [name for name in PRIVATE if not hasattr(BaseServer, name)]
    if lacks:
        text = f"this python-socketio has no AsyncServer.{', '.join(lacks)}, and something may not work"
        warn_once(logging.getLogger("asyncsock.server"), text, "python-socketio")


def _check_manager(manager: Any) -> None:
    if manager is not None and not isinstance(manager, AsyncManager):
        raise TypeError(
            f"client_manager={manager!r} blocks, and this server runs on asyncio: give SocketIO the broker's "
            "URL as message_queue=, or pass asyncsock.queues.from_url(url) here"
        )


def _check_serializer(serializer: Any) -> None:
    if isinstance(serializer, str) and serializer not in ("default", "msgpack"):
        raise ValueError(f"serializer={serializer!r}: use 'default', 'msgpack' or a packet class")
