"""The Socket.IO server: namespaces, events and acknowledgements on our engine."""

from __future__ import annotations

import asyncio
import builtins
import concurrent.futures
import inspect
import logging
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import socketio
from socketio import exceptions
from socketio import packet as socketio_packet
from socketio.async_namespace import AsyncNamespace

from .engine import EngineServer
from .engine.arguments import trim
from .engine.heartbeat import Deadlines
from .engine.log import make_logger
from .engine.sent import SENT, Sent, SentAndWaiting
from .engine.server import EAGER_TASKS
from .engine.session import SERVER_DISCONNECT, BadPacket, Session
from .packets import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Incoming,
    check_shape,
    event_arguments,
    make_codec,
)
from .rooms import Rooms

Handler = Callable[..., Any]


class Partial:
    """A binary packet that waits for its attachments."""

    __slots__ = ("attachments", "packet")

    def __init__(self, packet: Incoming) -> None:
        self.packet = packet
        self.attachments: list[bytes] = []


class AsyncServer(socketio.AsyncServer):
    """A Socket.IO server for asyncio: ``socketio.AsyncServer`` on asyncsock's own engine.

    Every public method of python-socketio keeps its name and meaning. What sends (`emit`, `send`, the
    room functions, `disconnect`) has done its work when the call returns, may be called from any
    thread, and returns something that can be awaited or dropped.

    Args:
        client_manager: Who knows the clients; by default `asyncsock.rooms.Rooms`, for one process.
        logger: True, False or a logger.
        json: A module with ``dumps`` and ``loads``, for this server only.
        async_handlers: Whether handlers of one client's events may overlap. They start in the order in
            which the events were sent either way.
        namespaces: Namespaces to accept besides those with handlers; ``'*'`` for all.
        connect_timeout: Seconds after which a client that is in no namespace is disconnected.
        **options: ``serializer``, ``always_connect``, ``engineio_logger`` and the options of
            `asyncsock.engine.EngineServer`.
    """

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
        super().__init__(
            client_manager=client_manager if client_manager is not None else Rooms(),
            logger=make_logger("asyncsock.server", logger),
            async_handlers=async_handlers,
            namespaces=namespaces,
            **options,
        )
        self.eio.async_handlers = async_handlers
        if json is not None:
            self.eio.json = json
            if self.packet_class is not socketio_packet.Packet:
                self.packet_class = type("Packet", (self.packet_class,), {"json": json})
        self.codec = make_codec(self.packet_class, json)
        self._ours = isinstance(self.manager, Rooms)
        # Otherwise handlers of earlier events may not have begun when their client leaves.
        self._starts_at_once = self._ours and async_handlers and EAGER_TASKS
        self._verbose = self.logger.isEnabledFor(logging.INFO)
        self._connected: set[str] = set()  # sessions that have sent a CONNECT packet
        self._binary_packet: dict[str, Partial] = {}
        self._connect_deadlines: Deadlines[Session] = Deadlines(connect_timeout, self._no_namespace)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def _engineio_server_class(self) -> type[EngineServer]:
        return EngineServer

    # Registration

    def on(self, event: str, handler: Handler | None = None, namespace: str | None = None) -> Any:
        """Register an event handler; also a decorator. See ``socketio.AsyncServer.on``."""

        def register(handler: Handler) -> Handler:
            adapted = handler
            if event == "connect":
                adapted = _without_optional(handler, 3 if namespace != "*" else 4)
            elif event == "disconnect":
                adapted = _without_optional(handler, 2 if namespace != "*" else 3)
            socketio.AsyncServer.on(self, event, adapted, namespace)
            return handler

        return register if handler is None else register(handler)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Register an object whose ``on_*`` methods handle the events of a namespace."""
        super().register_namespace(namespace_handler)
        for event, count in (("connect", 3), ("disconnect", 2)):
            method = getattr(namespace_handler, f"on_{event}", None)
            if method is not None:
                if namespace_handler.namespace == "*":
                    count += 1
                setattr(namespace_handler, f"on_{event}", _without_optional(method, count))

    def instrument(self, *args: Any, **kwargs: Any) -> Any:
        """Not available: python-socketio's admin interface patches the internals of its own engine."""
        raise NotImplementedError(
            "instrument() is not supported by asyncsock: the Socket.IO admin interface of python-socketio "
            "patches the engine that asyncsock replaces; remove the call"
        )

    # Sending

    def emit(
        self,
        event: str,
        data: Any = None,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Sent:
        """Emit an event to a client, a room, several rooms, or everybody in a namespace.

        Args:
            event: The name of the event.
            data: What to send; a tuple stands for several arguments.
            to: A sid, a room, or a list of rooms; everybody in the namespace by default.
            room: The same as ``to``.
            skip_sid: A sid, or a list of them, to leave out.
            namespace: ``'/'`` by default.
            callback: Called with what the client acknowledges the event with.
            ignore_queue: Whether to reach only clients of this process.

        Returns:
            Something to await, or to drop: the event is on its way already. Awaiting waits for the
            message queue, and for room in the write buffer of a single recipient.

        Raises:
            TypeError: The data cannot be encoded.
        """
        namespace = namespace or "/"
        room = to or room
        if self._verbose:
            self.logger.info('emitting event "%s" to %s [%s]', event, room or "all", namespace)
        options = {"skip_sid": skip_sid, "callback": callback}
        if not self._ours:
            return self._await_soon(
                self.manager.emit(event, data, namespace, room=room, ignore_queue=ignore_queue, **options)
            )
        if self.on_loop():
            sent: Sent = self.manager.emit(
                event, data, namespace, room=room, ignore_queue=ignore_queue, **options
            )
            return sent
        body = self.codec.encode([event, *event_arguments(data)])
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.manager.deliver, body, namespace, room, skip_sid, callback)
        return SENT

    def send(
        self,
        data: Any,
        to: Any = None,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        namespace: str | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
    ) -> Sent:
        """Emit a ``message`` event; the arguments are those of `emit`."""
        return self.emit(
            "message",
            data=data,
            to=to,
            room=room,
            skip_sid=skip_sid,
            namespace=namespace,
            callback=callback,
            ignore_queue=ignore_queue,
        )

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Emit an event to a client and return what it acknowledges with.

        Args:
            event: The name of the event.
            data: What to send.
            to: The client's sid.
            sid: The same as ``to``.
            namespace: ``'/'`` by default.
            timeout: Seconds to wait.
            ignore_queue: Whether the client is one of this process.

        Returns:
            The answer: a value, a tuple of several, or None. On the event loop, an awaitable of it; in
            any other thread the call blocks.

        Raises:
            ValueError: No client was named.
            RuntimeError: With ``async_handlers=False``, the answer could not be handled meanwhile.
            socketio.exceptions.TimeoutError: The client did not answer in time.
        """
        answer = super().call(event, data, to, sid, namespace, timeout, ignore_queue)
        if self._loop is None or self.on_loop():
            return answer
        return asyncio.run_coroutine_threadsafe(answer, self._loop).result()

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task; from another thread, as a `concurrent.futures.Future`.

        Raises:
            RuntimeError: There is no event loop yet.
        """
        if self._loop is None:
            self.attach_loop()
        if self._loop is None or self.on_loop():
            return self.eio.start_background_task(target, *args, **kwargs)
        return asyncio.run_coroutine_threadsafe(target(*args, **kwargs), self._loop)

    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Add a client to a room.

        Raises:
            ValueError: The client is not connected to the namespace.
        """
        if not self._ours:
            return self._await_soon(self.manager.enter_room(sid, namespace or "/", room))
        self._run_on_loop(self.manager.basic_enter_room, sid, namespace or "/", room)
        return SENT

    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Remove a client from a room."""
        if not self._ours:
            return self._await_soon(self.manager.leave_room(sid, namespace or "/", room))
        self._run_on_loop(self.manager.basic_leave_room, sid, namespace or "/", room)
        return SENT

    def close_room(self, room: Any, namespace: str | None = None) -> Sent:
        """Remove every client from a room."""
        if not self._ours:
            return self._await_soon(self.manager.close_room(room, namespace or "/"))
        self._run_on_loop(self.manager.basic_close_room, room, namespace or "/")
        return SENT

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> Sent:
        """Disconnect a client from a namespace. Awaiting waits for its disconnect handler."""
        namespace = namespace or "/"
        if not self._ours:
            return self._await_soon(super().disconnect(sid, namespace, ignore_queue))
        sent: Sent = self._run_on_loop(self._disconnect, sid, namespace)
        return sent

    def _disconnect(self, sid: str, namespace: str) -> Sent:
        if not self.manager.is_connected(sid, namespace):
            return SENT
        eio_sid = self.manager.pre_disconnect(sid, namespace)
        self._put(eio_sid, DISCONNECT, namespace)
        task = self._leave(eio_sid, sid, namespace, SERVER_DISCONNECT)
        return SentAndWaiting(lambda: asyncio.shield(task)) if task is not None else SENT

    def _put(self, eio_sid: str, kind: int, namespace: str, data: Any = None, id: int | None = None) -> None:
        body = self.codec.encode(data) if data is not None else None
        session = self.eio.sessions.get(eio_sid)
        if session is not None:
            for packet in self.codec.assemble(kind, namespace, body, id):
                session.put(packet)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet of python-socketio's, for its client managers."""
        encoded = pkt.encode()
        for part in encoded if isinstance(encoded, list) else [encoded]:
            await self.eio.send(eio_sid, part)

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)

    # Threads

    def on_loop(self) -> bool:
        """Whether the caller is on the event loop's thread."""
        return threading.get_ident() == self._thread

    def _run_on_loop(self, function: Handler, *args: Any) -> Any:
        """Call a function on the event loop's thread and return its result."""
        if self._loop is None or self.on_loop():
            return function(*args)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        self._loop.call_soon_threadsafe(run)
        return future.result()

    def _await_soon(self, coroutine: Coroutine[Any, Any, Any]) -> Sent:
        """Start what a client manager of python-socketio's does in a coroutine."""
        if self._loop is None or self.on_loop():
            task = asyncio.get_running_loop().create_task(coroutine)
            return SentAndWaiting(lambda: task)
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        return SentAndWaiting(lambda: asyncio.wrap_future(future))

    # The engine's events

    def _handle_eio_connect(self, eio_sid: str, environ: dict[str, Any]) -> None:
        if not self.manager_initialized:
            self.manager_initialized = True
            self.manager.initialize()
        if self._loop is None or self._loop.is_closed():
            self.attach_loop()
        self.environ[eio_sid] = environ
        self._connect_deadlines.add(self.eio.sessions[eio_sid])

    @property
    def started(self) -> bool:
        """Whether there is an event loop to work on."""
        return self._loop is not None

    def attach_loop(self) -> None:
        """Serve on the running event loop; other threads hand their work to it."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()

    def _no_namespace(self, session: Session, _deadline: float) -> None:
        if session.is_open and session.sid not in self._connected:
            session.reject("no CONNECT packet within connect_timeout", 1000)

    def _handle_eio_message(self, eio_sid: str, data: str | bytes) -> None:
        if self._binary_packet:
            partial = self._binary_packet.get(eio_sid)
            if partial is not None:
                self._handle_attachment(eio_sid, partial, data)
                return
        packet = self.codec.decode(data)
        check_shape(packet)
        if packet.attachments:
            self._binary_packet[eio_sid] = Partial(packet)
        else:
            self._handle_packet(eio_sid, packet)

    def _handle_attachment(self, eio_sid: str, partial: Partial, data: str | bytes) -> None:
        if not isinstance(data, bytes):
            raise BadPacket("a text packet in place of an attachment")
        partial.attachments.append(data)
        packet = partial.packet
        if len(partial.attachments) == packet.attachments:
            del self._binary_packet[eio_sid]
            joined = self.codec.join(packet.data, partial.attachments)
            self._handle_packet(eio_sid, packet._replace(data=joined))

    def _handle_packet(self, eio_sid: str, packet: Incoming) -> None:
        kind = packet.kind
        if kind == CONNECT:
            self._connected.add(eio_sid)
            self.eio.spawn(self._handle_connect(eio_sid, packet.namespace, packet.data), eio_sid)
            return
        if eio_sid not in self._connected:
            raise BadPacket("a packet before CONNECT")
        sid = self.manager.sid_from_eio_sid(eio_sid, packet.namespace)
        if sid is None or not self.manager.is_connected(sid, packet.namespace):
            self.logger.warning("packet for %s ignored: session %s is not in it", packet.namespace, eio_sid)
        elif kind in (EVENT, BINARY_EVENT):
            self._handle_event(eio_sid, packet.namespace, packet.id, packet.data, sid)
        elif kind in (ACK, BINARY_ACK):
            self.eio.spawn(self.manager.trigger_callback(sid, packet.id, packet.data), eio_sid)
        else:
            self.manager.pre_disconnect(sid, packet.namespace)
            self._leave(eio_sid, sid, packet.namespace, self.reason.CLIENT_DISCONNECT)

    def _handle_eio_disconnect(self, eio_sid: str, reason: str) -> None:
        self._connected.discard(eio_sid)
        self._binary_packet.pop(eio_sid, None)
        if self._ours:
            namespaces = self.manager.abandon(eio_sid)
        else:
            namespaces = list(self.manager.get_namespaces())
        waiting = []
        for namespace in namespaces:
            sid = self.manager.sid_from_eio_sid(eio_sid, namespace)
            if sid is not None and self.manager.is_connected(sid, namespace):
                self.manager.pre_disconnect(sid, namespace)
                task = self._leave(eio_sid, sid, namespace, reason)
                if task is not None:
                    waiting.append(task)
        if waiting:  # disconnect handlers may still ask for it
            gathered = asyncio.gather(*waiting, return_exceptions=True)
            gathered.add_done_callback(lambda _: self._forget_session(eio_sid))
        else:
            self._forget_session(eio_sid)

    def _forget_session(self, eio_sid: str) -> None:
        """Let go of what is kept for a session whose handlers have ended."""
        self.environ.pop(eio_sid, None)

    # Packets

    async def _handle_connect(self, eio_sid: str, namespace: str, auth: Any) -> None:
        if not self._accepts_namespace(namespace):
            self.logger.warning("session %s asked for unknown namespace %.100r", eio_sid, namespace)
            self._put(eio_sid, CONNECT_ERROR, namespace, {"message": "Invalid namespace"})
            return
        sid = await self.manager.pre_connect(eio_sid, namespace)
        if sid is None:
            self._put(eio_sid, CONNECT_ERROR, namespace, {"message": "Unable to connect"})
            return
        if self.always_connect:
            await self._accept(eio_sid, sid, namespace)
        refusal = await self._ask_connect_handler(eio_sid, sid, namespace, auth)
        if refusal is None:
            if not self.always_connect:
                await self._accept(eio_sid, sid, namespace)
            if eio_sid not in self.eio.sessions:
                await self._handle_gone(eio_sid, sid, namespace)
            return
        if self.always_connect:
            self._put(eio_sid, DISCONNECT, namespace)
        else:
            self._put(eio_sid, CONNECT_ERROR, namespace, refusal)
        await self.manager.disconnect(sid, namespace, ignore_queue=True)

    async def _accept(self, eio_sid: str, sid: str, namespace: str) -> None:
        self._put(eio_sid, CONNECT, namespace, {"sid": sid})
        await self.manager.connect(sid, namespace)

    async def _ask_connect_handler(self, eio_sid: str, sid: str, namespace: str, auth: Any) -> Any:
        """None if the client is accepted, else what to tell it."""
        environ = self.environ.get(eio_sid)
        try:
            result = await self._trigger_event("connect", namespace, sid, environ, auth or None)
        except exceptions.ConnectionRefusedError as error:
            return error.error_args
        except builtins.ConnectionRefusedError:
            return {"message": "Connection refused by server"}
        except Exception:
            self.logger.exception("error in the connect handler of %s", namespace)
            result = False
        return exceptions.ConnectionRefusedError().error_args if result is False else None

    async def _handle_gone(self, eio_sid: str, sid: str, namespace: str) -> None:
        """The client left while its connect handler ran: let the disconnect handler undo what that did."""
        if self.manager.is_connected(sid, namespace):
            self.manager.pre_disconnect(sid, namespace)
            await self._run_disconnect(sid, namespace, self.reason.TRANSPORT_CLOSE)
        self._forget_session(eio_sid)

    def _accepts_namespace(self, namespace: str) -> bool:
        return (
            namespace in self.handlers
            or namespace in self.namespace_handlers
            or self.namespaces == "*"
            or namespace in self.namespaces
        )

    def _leave(self, eio_sid: str, sid: str, namespace: str, reason: str) -> asyncio.Task[Any] | None:
        """Run the disconnect handler and forget the client; a task if there is anything to wait for."""
        if self._starts_at_once and self._find_handler("disconnect", namespace, ()) is None:
            self.manager.basic_disconnect(sid, namespace)
            return None
        return self._run_handler(self._run_disconnect(sid, namespace, reason), eio_sid)

    async def _run_disconnect(self, sid: str, namespace: str, reason: str) -> None:
        try:
            await self._trigger_event("disconnect", namespace, sid, reason)
        finally:
            await self.manager.disconnect(sid, namespace, ignore_queue=True)

    def _handle_event(self, eio_sid: str, namespace: str, id: int | None, data: Any, sid: str) -> None:
        if self.eio.closing:
            return
        if self._verbose:
            self.logger.info('received event "%s" from %s [%s]', data[0], sid, namespace)
        found = self._find_handler(data[0], namespace, (sid, *data[1:]))
        if found is not None:
            self._run_handler(self._run_event(*found, eio_sid, sid, namespace, id), eio_sid)

    async def _run_event(
        self, handler: Handler, args: tuple[Any, ...], eio_sid: str, sid: str, namespace: str, id: int | None
    ) -> None:
        result = handler(*args)
        if result is not None and hasattr(type(result), "__await__"):
            result = await result
            if isinstance(result, Sent):  # `return emit(...)`
                result = await result
        if id is not None:
            self._acknowledge(eio_sid, sid, namespace, id, event_arguments(result))

    def _acknowledge(self, eio_sid: str, sid: str, namespace: str, id: int, data: list[Any]) -> None:
        if self._ours:
            packets = self.codec.assemble(ACK, namespace, self.codec.encode(data), id)
            self.manager.send_to(sid, packets)
        else:
            self._put(eio_sid, ACK, namespace, data, id)

    def _run_handler(self, coroutine: Coroutine[Any, Any, Any], eio_sid: str) -> asyncio.Task[Any] | None:
        return self.eio.run_handler(eio_sid, coroutine)

    def _find_handler(
        self, event: str, namespace: str, args: tuple[Any, ...]
    ) -> tuple[Handler, tuple[Any, ...]] | None:
        """The handler of an event and what to call it with."""
        handler, args_then = self._get_event_handler(event, namespace, args)
        if handler is not None:
            return handler, args_then
        owner, args_then = self._get_namespace_handler(namespace, args)
        if owner is None:
            return None
        if type(owner).trigger_event is not AsyncNamespace.trigger_event:
            return owner.trigger_event, (event, *args_then)
        method = getattr(owner, f"on_{event}", None)
        return (method, args_then) if method is not None else None

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        """Run the handler of an event and return its result."""
        found = self._find_handler(event, namespace, args)
        if found is None:
            return self.not_handled
        result = found[0](*found[1])
        return await result if isinstance(result, Awaitable) else result

    async def shutdown(self) -> None:
        """Disconnect every client, once the handlers of its events have ended."""
        await self.eio.shutdown()
        self._connect_deadlines.clear()


def _without_optional(handler: Handler, most: int) -> Handler:
    """A connect or disconnect handler that may be called with its last argument, taken or not.

    Decided here and once, from the signature: to call it and see would hide the handler's own TypeErrors.
    """
    if trim(handler, most, most - 1) == most:
        return handler
    if inspect.iscoroutinefunction(handler):

        async def call_coroutine(*args: Any) -> Any:
            return await handler(*args[: most - 1])

        return call_coroutine

    def call(*args: Any) -> Any:
        return handler(*args[: most - 1])

    return call
