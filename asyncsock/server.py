"""The Socket.IO server: handlers, sending, rooms."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from typing import Any, overload

from socketio import AsyncServer as BaseServer
from socketio.async_namespace import AsyncNamespace

from . import checks
from .acknowledgements import Acknowledgements
from .codec import make_codec
from .codec.base import ANY
from .connect_handlers import refuse_call_in_connect_handler_of
from .connection import Connection, Environs
from .connections import Connector
from .dispatch import Dispatcher
from .engine import EngineServer
from .engine.awaitables import Sent, counts_as_coroutine
from .engine.log import make_logger
from .engine.signatures import option_names, refuse_unknown
from .managers import packet_class_for, rooms_of
from .rooms import Rooms
from .routes import Routes, fit_handler, fit_methods
from .server_loop import ServerLoop, result_elsewhere
from .types import H, Handler
from .user_session import UserSession


class AsyncServer(BaseServer):
    """A Socket.IO server for asyncio: ``socketio.AsyncServer`` on asyncsock's own engine.

    Every public method of python-socketio keeps its name and meaning. What sends (`emit`, `send`, the
    room functions, `disconnect`) has done its work when the call returns, may be called from any
    thread, and returns something that can be awaited or dropped.

    Args:
        client_manager: Keeps the clients and rooms; by default `asyncsock.rooms.Rooms`, for one process.
        logger: True, False or a logger.
        json: A module with ``dumps`` and ``loads``, for this server only.
        async_handlers: Whether handlers of one client's events may overlap. Either way they start in the
            order in which the events were sent.
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
        if unknown := options.keys() - self.option_names():
            refuse_unknown(type(self).__name__, unknown, self.option_names())
        checks.check_socketio()
        checks.check_manager(client_manager)
        checks.check_serializer(options.get("serializer", "default"))
        if isinstance(namespaces, str) and namespaces != ANY:
            namespaces = [namespaces]
        super().__init__(
            client_manager=client_manager if client_manager is not None else Rooms(),
            logger=make_logger("asyncsock.server", logger),
            async_handlers=async_handlers,
            namespaces=namespaces,
            **options,
        )
        self.eio.async_handlers = async_handlers  # python-socketio says False to every engine
        if json is not None:
            self.eio.json = json
        self.codec = make_codec(self.packet_class, json)
        self.packet_class = packet_class_for(self.manager, self.packet_class, json)
        self._verbose = logger is not False and self.logger.isEnabledFor(logging.INFO)
        self._loop = ServerLoop(self._attached)
        self.connections: dict[str, Connection] = {}  # by session
        self.environ = Environs(self.connections)
        self._rooms = rooms_of(self.manager, self.connections, self._loop)
        self.acknowledgements = Acknowledgements(self.eio, self.codec)
        self._routes = Routes(self, self.acknowledgements)
        self._connector = Connector(
            self, self.connections, self._rooms, self._routes, self.codec, connect_timeout
        )
        dispatcher = Dispatcher(
            self,
            self.connections,
            self._connector,
            self._rooms,
            self._routes,
            self.codec,
            self._loop,
            self._verbose,
        )
        self.eio.serve(dispatcher)

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
        return self._loop.loop

    def attach_loop(self) -> None:
        """Serve on the running event loop; other threads hand their work to it.

        Raises:
            RuntimeError: No event loop runs in this thread.
        """
        self._loop.attach()

    def on_loop(self) -> bool:
        """Whether the caller is on the event loop."""
        return self._loop.is_here()

    def _attached(self) -> None:
        self.eio.follow_loop()
        self._rooms.start()

    # Registration

    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H, namespace: str | None = None) -> H: ...

    def on(self, event: str, handler: Handler | None = None, namespace: str | None = None) -> Any:
        """Register an event handler; also a decorator. See ``socketio.AsyncServer.on``."""
        register_as_it_is = super().on

        def register(handler: Handler) -> Handler:
            register_as_it_is(event, fit_handler(event, namespace, handler), namespace)
            return handler

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, *, namespace: str | None = None) -> Callable[[H], H]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Register a function as the handler of the event of its name. Also a decorator with arguments."""
        return super().event(*args, **kwargs)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Register an object whose ``on_*`` methods handle the events of a namespace."""
        super().register_namespace(namespace_handler)
        fit_methods(namespace_handler)

    def instrument(self, *args: Any, **kwargs: Any) -> Any:
        """Not available: python-socketio's admin interface patches the internals of its own engine."""
        raise NotImplementedError(
            "instrument() is not supported by asyncsock: the Socket.IO admin interface of python-socketio "
            "patches the engine that asyncsock replaces; remove the call"
        )

    # Sending

    @counts_as_coroutine
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
        room = room if to is None else to
        if self._verbose:
            self.logger.info('emitting event "%s" to %s [%s]', event, room or "all", namespace)
        if threading.get_ident() == self._loop.thread:
            sent: Sent = self._rooms.emit(
                event, data, namespace, room, skip_sid, callback, ignore_queue=ignore_queue
            )
            return sent
        return self._rooms.emit_elsewhere(
            self._loop, event, data, namespace, room, skip_sid, callback, ignore_queue
        )

    @counts_as_coroutine
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

    @counts_as_coroutine
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
            RuntimeError: With ``async_handlers=False``, the answer could not be handled meanwhile; or this
                process only writes to a message queue, and gets no answers; or this is the client's own
                connect handler, and the client gets no event before that has ended.
            socketio.exceptions.TimeoutError: The client did not answer in time.
        """
        checks.check_answers(self.manager)
        if not self.always_connect:
            refuse_call_in_connect_handler_of(to or sid)
        return self._loop.result(super().call(event, data, to, sid, namespace, timeout, ignore_queue))

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task; from another thread, as a `concurrent.futures.Future`.

        Raises:
            RuntimeError: There is no event loop yet.
        """
        loop = self._loop.elsewhere()
        if loop is not None:
            return result_elsewhere(target(*args, **kwargs), loop)
        if self.loop is None:
            self.attach_loop()
        return self.eio.start_background_task(target, *args, **kwargs)

    @counts_as_coroutine
    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Add a client to a room.

        Raises:
            ValueError: The client is not connected to the namespace, or the room is another client's own.
        """
        return self._loop.call(self._rooms.enter_room, sid, namespace or "/", room)

    @counts_as_coroutine
    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Remove a client from a room."""
        return self._loop.call(self._rooms.leave_room, sid, namespace or "/", room)

    @counts_as_coroutine
    def close_room(self, room: Any, namespace: str | None = None) -> Sent:
        """Remove every client from a room."""
        return self._loop.call(self._rooms.close_room, room, namespace or "/")

    @counts_as_coroutine
    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> Sent:
        """Disconnect a client from a namespace. Awaiting waits for its disconnect handler.

        While the client's connect handler runs, this is only noted: from then on the client is sent nothing
        and cannot send. It is disconnected when that handler has ended; awaiting does not wait for it.
        """
        return self._loop.call(self._connector.disconnect, sid, namespace or "/", ignore_queue)

    # The user session of a client

    @counts_as_coroutine
    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """The user session of a client in a namespace, a dictionary; empty at first.

        Returns:
            The dictionary; on the event loop, an awaitable of it.

        Raises:
            KeyError: There is no such client.
        """
        return self._loop.result(super().get_session(sid, namespace))

    @counts_as_coroutine
    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> Any:
        """Store the user session of a client in a namespace; on the event loop, await it.

        Raises:
            KeyError: There is no such client.
        """
        return self._loop.result(super().save_session(sid, session, namespace))

    def session(self, sid: str, namespace: str | None = None) -> UserSession:
        """The user session of a client, saved at the end of the block.

        Example:
            async with server.session(sid) as session:  # in a thread: with
                session["user"] = "ann"
        """
        return UserSession(self, sid, namespace)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet of python-socketio's, for its client managers."""
        encoded = pkt.encode()
        for part in encoded if isinstance(encoded, list) else [encoded]:
            await self.eio.send(eio_sid, part)

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        return await self._routes.trigger(event, namespace, *args)

    def queue_health(self) -> dict[str, Any] | None:
        """The state of the message queue, or None without one.

        Returns:
            ``queue``, its URL without the password; ``publishing`` and ``listening``, whether each connection
            is up; ``seconds_lost``, since when one is not; ``last_error``; ``waiting``, the messages to be
            published; ``dropped``, the events that the outbox had no room for.
        """
        return self._rooms.queue_health()

    async def startup(self) -> None:
        """Serve on the running event loop, once this process hears what others send.

        If the message queue is not reachable, the server serves without it until it is.

        Raises:
            asyncsock.queues.LoginRefused: The message queue refused the login.
        """
        self.attach_loop()
        await self._rooms.ready()

    async def shutdown(self) -> None:
        """Disconnect every client, once the handlers of its events have ended."""
        await self.eio.shutdown()
        self._connector.stop()
        await self._rooms.stop()
