"""The Socket.IO server: handlers, sending, rooms."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, overload

from socketio import AsyncServer as BaseServer
from socketio.async_namespace import AsyncNamespace

from . import checks
from .acknowledgements import Acknowledgements
from .admin.methods import HasAdminUI
from .callbacks import answer_to
from .client_files import ClientFiles
from .cluster import Cluster
from .codec import make_codec
from .codec.base import ANY
from .connect_handlers import refuse_call_in_connect_handler_of
from .connection import Connection, Environs
from .connections import Connector
from .disconnections import Disconnector
from .dispatch import Dispatcher
from .engine import EngineServer
from .engine.awaitables import Sent, counts_as_coroutine
from .engine.http import ASGI
from .engine.log import make_logger, shown
from .engine.signatures import option_names, refuse_unknown
from .managers import packet_class_for, refuse_recovery_with, rooms_of
from .observing.health import Health
from .observing.measured import Measured
from .observing.methods import ShowsItself
from .observing.options import read_health
from .operations.methods import Operations, ReachesAll
from .presence.methods import ShowsWhoIsThere
from .presence.options import read_leave_after
from .presence.presence import Presence
from .queues.manager import QueueManager
from .queues.urls import for_workers
from .recovery.options import read_options
from .recovery.recovery import Recovery
from .relocation.methods import BringsClientsBack
from .relocation.relocation import Relocation
from .rooms import Rooms
from .routes import Routes, fit_handler, prepare_methods, validated_for
from .server_loop import ServerLoop, result_elsewhere
from .typed.event_type import DeclaresEvents
from .types import H, Handler
from .user_session import KeepsUserSessions


class AsyncServer(
    HasAdminUI,
    ReachesAll,
    ShowsWhoIsThere,
    BringsClientsBack,
    KeepsUserSessions,
    ShowsItself,
    Measured,
    DeclaresEvents,
    BaseServer,
):
    """A Socket.IO server for asyncio: ``socketio.AsyncServer`` on asyncsock's own engine.

    Every public method of python-socketio keeps its name and meaning. What sends (`emit`, `send`, the
    room functions, `disconnect`) has done its work when the call returns, may be called from any
    thread, and returns something that can be awaited or dropped.

    Args:
        client_manager: Keeps the clients and rooms; by default ``asyncsock.rooms.Rooms``, for one process,
            until the server has joined other workers.
        logger: True, False or a logger.
        json: A module with ``dumps`` and ``loads``, for this server only.
        async_handlers: Whether handlers of one client's events may overlap. Either way they start in the
            order in which the events were sent.
        namespaces: Namespaces to accept besides those with handlers; ``'*'`` for all.
        connect_timeout: Seconds after which a client that is in no namespace is disconnected.
        connection_state_recovery: Whether a client that lost its connection comes back as the same, and gets
            what it has missed; or a dictionary of ``max_disconnection_duration``, in seconds (120 by
            default), and ``max_bytes``, that each process keeps for this (64 MB).
        presence: A dictionary of ``leave_after``, the seconds for which a client that has disconnected is
            still shown to others (0 by default): whoever is back by then has neither left nor joined. See
            `track`.
        metrics: True, or the path at which `ASGIApp` answers with the metrics of all processes, for
            Prometheus: ``'/metrics'``. Or a registry of ``prometheus_client``, which gets them.
        metrics_allowed: Who may read that page besides this machine: addresses and networks, one or several,
            such as ``'10.0.0.0/8'``; ``'*'`` for anybody.
        health: The path at which `ASGIApp` answers whether this process should get clients, such as
            ``'/healthz'``; below it, ``/live`` whether it works. Or a dictionary of ``path`` and ``drain``:
            for so many seconds after SIGTERM it serves on, and is not ready (0 by default). See `health`.
        serve_client: Whether `ASGIApp` serves the JavaScript client at ``/socket.io/socket.io.js``, from the
            npm package ``socket.io-client`` of this folder or one above; or the path of the file, or of the
            package's folder ``dist``.
        validate: Whether each annotation of a handler is checked, and also what the handler returns and what
            an `event_type` sends. By default that is done only for parameters with a class for data: a
            msgspec struct, a dataclass, an attrs class or a Pydantic model.
        **options: ``serializer``, ``always_connect``, ``engineio_logger`` and the options of
            `asyncsock.engine.EngineServer`.

    Attributes:
        client_files: The JavaScript client, if it is served.
        cluster: The other processes with the same message queue.
        pages: ASGI applications by their paths, which `ASGIApp` serves beside the server.
    """

    eio: EngineServer
    manager: Any
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
        connection_state_recovery: bool | dict[str, Any] | None = None,
        presence: dict[str, Any] | None = None,
        metrics: Any = None,
        metrics_allowed: str | Iterable[str] | None = None,
        health: str | dict[str, Any] | None = None,
        serve_client: bool | str | os.PathLike[str] = False,
        validate: bool = False,
        **options: Any,
    ) -> None:
        if unknown := options.keys() - self.option_names():
            refuse_unknown(type(self).__name__, unknown, self.option_names())
        checks.check_socketio()
        checks.check_manager(client_manager)
        recovery = read_options(connection_state_recovery)
        leave_after = read_leave_after(presence)
        health_path, drain = read_health(health)
        self.client_files = ClientFiles(serve_client) if serve_client else None
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
        self.validate = validate
        self._loop = ServerLoop(self._attached)
        self.connections: dict[str, Connection] = {}  # by session
        self.environ = Environs(self.connections)
        self._may_join_workers = client_manager is None
        self._rooms = rooms_of(self.manager, self.connections, self._loop)
        self._recovery: Recovery | None = None
        if recovery is not None:
            refuse_recovery_with(self.manager)
            self._recovery = Recovery(recovery, self.eio.core, self.codec, self._keep_of)
            self.manager.recovery = self._recovery
        queue = client_manager if isinstance(client_manager, QueueManager) else None
        self.cluster = Cluster(self.eio.tasks, queue)
        self._presence = Presence(self._rooms, self.cluster, self.codec, json, leave_after)
        if self._recovery is not None:
            self._recovery.watcher = self._presence
            self._presence.hold = max(leave_after, self._recovery.duration)
        self._relocation: Relocation | None = None
        if self._recovery is not None:
            self._relocation = Relocation(
                self._recovery, self.cluster, self._presence, self.eio.tasks, self._pack, self._unpack
            )
        self.acknowledgements = Acknowledgements(self.eio, self.codec, self.logger)
        self._routes = Routes(self, self.acknowledgements)
        connections, rooms, routes = self.connections, self._rooms, self._routes
        self._disconnector = Disconnector(
            self, connections, rooms, routes, self.codec, connect_timeout, self._recovery
        )
        self._connector = Connector(
            self,
            connections,
            rooms,
            routes,
            self.codec,
            self._disconnector,
            self._recovery,
            self._give_back,
        )
        self._dispatcher = Dispatcher(
            self,
            connections,
            self._connector,
            self._disconnector,
            rooms,
            routes,
            self.codec,
            self._loop,
            self._verbose,
        )
        self._operations = Operations(self.cluster, self.eio, self._disconnector, self.codec)
        self.eio.serve(self._dispatcher)
        self.eio.drain.seconds = drain
        self._health = Health(self.eio, self._serves, self.queue_health)
        self.pages: dict[str, ASGI] = self._health.pages(health_path) if health_path is not None else {}
        self._begin_to_be_watched()
        if metrics is not None and metrics is not False:
            self._measure(metrics, metrics_allowed)

    @property
    def meeting_place(self) -> tuple[Path, str] | None:
        """The directory and the channel of a ``local://`` queue that names one: there the workers meet."""
        return self.manager.meeting_place if isinstance(self.manager, QueueManager) else None

    def join_workers(self, directory: Path, channel: str) -> None:
        """Share rooms, events and callbacks with the other workers of this server.

        It must have no clients yet, and `startup` comes afterwards. A server that was given a client manager
        keeps it.

        Args:
            directory: Where the workers meet.
            channel: The same in all workers, and another one for each server of a process.
        """
        if self._may_join_workers:
            self._may_join_workers = False
            manager = for_workers(directory, channel)
            manager.set_server(self)
            manager.recovery = self._recovery
            assert isinstance(self._rooms, Rooms)
            manager.counter = self._rooms.counter
            self.manager = self._rooms = manager
            self._connector.rooms = self._disconnector.rooms = self._dispatcher.rooms = manager
            self.cluster.queue = self._presence.rooms = manager
            self._place_watches()

    @classmethod
    def option_names(cls) -> set[str]:
        """The options that the constructor takes, its own and those of the engine."""
        names = {"engineio_logger", *EngineServer.option_names()}
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

    def _serves(self) -> bool:
        return self.loop is not None and self.loop.is_running()

    def _attached(self) -> None:
        self.eio.follow_loop()
        self._health.loop_delay.start()
        self._presence.start()
        self._rooms.start()
        self.cluster.start()

    # Registration

    @overload
    def on(
        self, event: str, handler: None = None, namespace: str | None = None, validate: bool | None = None
    ) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H, namespace: str | None = None, validate: bool | None = None) -> H: ...

    def on(
        self,
        event: str,
        handler: Handler | None = None,
        namespace: str | None = None,
        validate: bool | None = None,
    ) -> Any:
        """Register an event handler; also a decorator. See ``socketio.AsyncServer.on``.

        Args:
            event: The name of the event.
            handler: The handler, unless this decorates it.
            namespace: ``'/'`` by default.
            validate: Whether its annotations are checked, and not only those with a class for data; by
                default that is the server's option of this name. False: none of them.

        Raises:
            TypeError: Nothing can be compared with an annotation that is to be checked.
        """
        register_as_it_is = super().on
        every = validate if validate is not None else self.validate or None

        def register(handler: Handler) -> Handler:
            checked = validated_for(event, namespace, handler, every)
            register_as_it_is(event, fit_handler(event, namespace, checked), namespace)
            return handler

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, *, namespace: str | None = None, validate: bool | None = None) -> Callable[[H], H]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Register a function as the handler of the event of its name. Also a decorator with arguments."""
        return super().event(*args, **kwargs)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Register an object whose ``on_*`` methods handle the events of a namespace."""
        super().register_namespace(namespace_handler)
        prepare_methods(namespace_handler, self.validate or None)

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
        volatile: bool = False,
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
            volatile: Whether to leave out clients that it would not be sent to at once: those that have not
                read what they were sent before, or have lost their connection.

        Returns:
            Something to await, or to drop: the event is on its way already. Awaiting waits for the
            message queue, and for room in the write buffer of a single recipient.

        Raises:
            TypeError: The data cannot be encoded, or ``to`` is neither a room nor a list of rooms.
        """
        namespace = namespace or "/"
        room = room if to is None else to
        if self._verbose:
            to_whom = shown(str(room or "all"))
            self.logger.info('emitting event "%s" to %s [%s]', shown(event), to_whom, shown(namespace))
        if threading.get_ident() == self._loop.thread:
            return self._emit_here(
                event, data, namespace, room, skip_sid, callback, ignore_queue=ignore_queue, volatile=volatile
            )
        return self._emit_elsewhere(
            event, data, namespace, room, skip_sid, callback, ignore_queue=ignore_queue, volatile=volatile
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
        volatile: bool = False,
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
            volatile=volatile,
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
        checks.check_call(self.manager, self.async_handlers, to or sid)
        if not self.always_connect:
            refuse_call_in_connect_handler_of(to or sid)
        emit = partial(
            self.emit, event, data=data, room=to or sid, namespace=namespace, ignore_queue=ignore_queue
        )
        return self._loop.result(answer_to(emit, timeout))

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task; from another thread, as a ``concurrent.futures.Future``.

        Raises:
            RuntimeError: There is no event loop yet.
        """
        loop = self._loop.elsewhere()
        if loop is not None:
            return result_elsewhere(self.eio.tasks.spare_loop(target(*args, **kwargs)), loop)
        if self.loop is None:
            self.attach_loop()
        return self.eio.start_background_task(target, *args, **kwargs)

    @counts_as_coroutine
    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Add a client to a room.

        Raises:
            ValueError: The client is not connected to the namespace, or is in ``max_rooms`` rooms already, or
                the room is another client's own.
            TypeError: The room is not hashable, such as a list.
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
        return self._loop.call(self._disconnector.disconnect, sid, namespace or "/", ignore_queue)

    async def _send_packet(self, eio_sid: str, pkt: Any) -> None:
        """Send a packet of python-socketio's, for its client managers."""
        encoded = pkt.encode()
        for part in encoded if isinstance(encoded, list) else [encoded]:
            await self.eio.send(eio_sid, part)

    async def _send_eio_packet(self, eio_sid: str, eio_pkt: Any) -> None:
        await self.eio.send_packet(eio_sid, eio_pkt)

    async def _trigger_event(self, event: str, namespace: str, *args: Any) -> Any:
        return await self._trigger(event, namespace, *args)

    async def startup(self) -> None:
        """Serve on the running event loop, once this process hears what others send.

        If the message queue is not reachable, the server serves without it until it is.

        Raises:
            asyncsock.queues.LoginRefused: The message queue refused the login.
            RuntimeError: `instrument` was called without ``auth`` outside of debug mode.
        """
        if self._admin is not None:
            self._admin.check()
        if self.client_files is not None:
            self.client_files.check()
        self.attach_loop()
        await self._rooms.ready()

    async def shutdown(self) -> None:
        """Disconnect every client, once the handlers of its events have ended."""
        self._presence.stop()
        await self.eio.shutdown()
        self._connector.stop()
        if self._relocation is not None:
            await self._relocation.leave_all()
        if self._admin is not None:
            self._admin.stop()
        await self.cluster.stop()
        await self._rooms.stop()
        self._health.loop_delay.stop()
