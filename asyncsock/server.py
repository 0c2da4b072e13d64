"""The Socket.IO server: handlers, sending, rooms."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar, overload

from socketio.async_namespace import AsyncNamespace

from .codec.base import DISCONNECT
from .connecting import in_connect_handler_of
from .connection import Connection
from .engine.awaitables import SENT, Sent, SentAndWaiting, counts_as_coroutine
from .engine.reasons import SERVER_DISCONNECT
from .engine.signatures import fit
from .engine.tasks import running_loop
from .incoming import ReceivingServer
from .rooms import refuse_sid_room

Handler = Callable[..., Any]
H = TypeVar("H", bound=Handler)


class AsyncServer(ReceivingServer):
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

    # Registration

    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H, namespace: str | None = None) -> H: ...

    def on(self, event: str, handler: Handler | None = None, namespace: str | None = None) -> Any:
        """Register an event handler; also a decorator. See ``socketio.AsyncServer.on``."""
        register_as_it_is = super().on

        def register(handler: Handler) -> Handler:
            adapted = handler
            if event == "connect":
                adapted = fit(handler, 3 if namespace != "*" else 4)
            elif event == "disconnect":
                adapted = fit(handler, 2 if namespace != "*" else 3)
            register_as_it_is(event, adapted, namespace)
            return handler

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, *, namespace: str | None = None) -> Callable[[H], H]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Register the handler of the event that has the function's name; with or without arguments."""
        return super().event(*args, **kwargs)

    def register_namespace(self, namespace_handler: AsyncNamespace) -> None:
        """Register an object whose ``on_*`` methods handle the events of a namespace."""
        super().register_namespace(namespace_handler)
        if not isinstance(namespace_handler, AsyncNamespace):
            return  # it knows itself how to call its methods
        for event, count in (("connect", 3), ("disconnect", 2)):
            method = getattr(namespace_handler, f"on_{event}", None)
            if method is not None:
                if namespace_handler.namespace == "*":
                    count += 1
                setattr(namespace_handler, f"on_{event}", fit(method, count))

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
        options = {"skip_sid": skip_sid, "callback": callback}
        if not self._ours:
            return self._await_soon(
                self.manager.emit(event, data, namespace, room=room, ignore_queue=ignore_queue, **options)
            )
        if threading.get_ident() == self._thread:
            sent: Sent = self.manager.emit(
                event, data, namespace, room=room, ignore_queue=ignore_queue, **options
            )
            return sent
        encoded = self.manager.encode(event, data)
        delivery = (encoded, namespace, room, skip_sid, callback, ignore_queue)
        loop = self._loop_elsewhere()
        if loop is None:
            without_server: Sent = self.manager.deliver(*delivery)
            return without_server
        loop.call_soon_threadsafe(self.manager.deliver, *delivery)
        return SENT

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
                connect handler, until whose end the client gets no event.
            socketio.exceptions.TimeoutError: The client did not answer in time.
        """
        if getattr(self.manager, "write_only", False):
            raise RuntimeError(
                "call() needs a server, and this process only writes to the message queue: answers go to the "
                "servers. Have a handler of the server call the client, or emit without a callback"
            )
        client = to or sid
        if client is not None and not self.always_connect and in_connect_handler_of(client):
            raise RuntimeError(
                "call() cannot be answered in the client's own connect handler: until that has ended, the "
                "client gets no event. Call it from a background task, or use always_connect=True"
            )
        return self._result(super().call(event, data, to, sid, namespace, timeout, ignore_queue))

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task; from another thread, as a `concurrent.futures.Future`.

        Raises:
            RuntimeError: There is no event loop yet.
        """
        loop = self._loop_elsewhere()
        if loop is not None:
            return _result_elsewhere(target(*args, **kwargs), loop)
        if self.loop is None:
            self.attach_loop()
        return self.eio.start_background_task(target, *args, **kwargs)

    @counts_as_coroutine
    def enter_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Add a client to a room.

        Raises:
            ValueError: The client is not connected to the namespace, or the room is another client's own.
        """
        if not self._ours:
            refuse_sid_room(sid, room)
        return self._change_rooms(self.manager.enter_room, sid, namespace or "/", room)

    @counts_as_coroutine
    def leave_room(self, sid: str, room: Any, namespace: str | None = None) -> Sent:
        """Remove a client from a room."""
        return self._change_rooms(self.manager.leave_room, sid, namespace or "/", room)

    @counts_as_coroutine
    def close_room(self, room: Any, namespace: str | None = None) -> Sent:
        """Remove every client from a room."""
        return self._change_rooms(self.manager.close_room, room, namespace or "/")

    def _change_rooms(self, change: Handler, *args: Any) -> Sent:
        if not self._ours:
            return self._await_soon(change(*args))
        sent: Sent = self._run_on_loop(change, *args)
        return sent

    @counts_as_coroutine
    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> Sent:
        """Disconnect a client from a namespace. Awaiting waits for its disconnect handler.

        While the client's connect handler runs, it is only noted: from here on the client is sent nothing and
        cannot send, and it is disconnected when that handler has ended, for which awaiting does not wait.
        """
        namespace = namespace or "/"
        if not self._ours:
            if self._run_on_loop(self._send_away, sid, namespace, SERVER_DISCONNECT):
                return SENT
            return self._await_soon(super().disconnect(sid, namespace, ignore_queue))
        sent: Sent = self._run_on_loop(self._disconnect, sid, namespace, ignore_queue)
        return sent

    def _disconnect(self, sid: str, namespace: str, ignore_queue: bool) -> Sent:
        if not self.manager.is_connected(sid, namespace):
            if self._send_away(sid, namespace, SERVER_DISCONNECT):
                return SENT
            sent: Sent = SENT if ignore_queue else self.manager.disconnect_elsewhere(sid, namespace)
            return sent
        connection = self.connections[self.manager.pre_disconnect(sid, namespace)]
        self._put(connection.session, DISCONNECT, namespace)
        task = self._leave(connection, sid, namespace, SERVER_DISCONNECT)
        if task is None or self._waits_for_caller(connection):
            return SENT
        return SentAndWaiting(lambda: self._wait_for(task))

    def _waits_for_caller(self, connection: Connection) -> bool:
        """Whether a handler of a session that is begun now waits until the caller, another one, has ended."""
        if self.async_handlers:
            return False
        running = [task for task, sid in self.eio.tasks.running.values() if sid == connection.session.sid]
        return asyncio.current_task() in running

    async def _wait_for(self, task: asyncio.Task[Any]) -> None:
        loop = task.get_loop()
        if loop is asyncio.get_running_loop():
            await asyncio.shield(task)
        else:
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._wait_for(task), loop))

    # The user session of a client

    @counts_as_coroutine
    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """The user session of a client in a namespace, a dictionary; empty at first.

        Returns:
            The dictionary; on the event loop, an awaitable of it.

        Raises:
            KeyError: There is no such client.
        """
        return self._result(super().get_session(sid, namespace))

    @counts_as_coroutine
    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> Any:
        """Store the user session of a client in a namespace; on the event loop, await it.

        Raises:
            KeyError: There is no such client.
        """
        return self._result(super().save_session(sid, session, namespace))

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

    # Threads

    def _loop_elsewhere(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that work has to be handed to; None if it can be done here.

        Where the server's loop has closed and the caller is on another one, that becomes the server's.
        """
        if self._loop is None or threading.get_ident() == self._thread:
            return None
        if self._loop.is_closed():
            if running_loop() is not None:
                self.attach_loop()
            return None
        return self._loop

    def _run_on_loop(self, function: Handler, *args: Any) -> Any:
        """Call a function on the event loop's thread and return its result."""
        loop = self._loop_elsewhere()
        if loop is None or not loop.is_running():  # or nobody would answer
            return function(*args)
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except Exception as error:
                future.set_exception(error)

        loop.call_soon_threadsafe(run)
        return future.result()

    def _result(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns; on an event loop something to be awaited for it."""
        loop = self._loop_elsewhere()
        if loop is None or not loop.is_running():
            return coroutine
        result = _result_elsewhere(coroutine, loop)
        return result.result() if isinstance(result, concurrent.futures.Future) else result

    def _await_soon(self, coroutine: Coroutine[Any, Any, Any]) -> Sent:
        """Start what a client manager of python-socketio's does in a coroutine."""
        loop = self._loop_elsewhere()
        if loop is None:
            task = asyncio.get_running_loop().create_task(coroutine)
            return SentAndWaiting(lambda: task)
        future = asyncio.run_coroutine_threadsafe(coroutine, loop)
        return SentAndWaiting(lambda: asyncio.wrap_future(future))

    def queue_health(self) -> dict[str, Any] | None:
        """The state of the message queue, or None without one.

        Returns:
            ``queue``, its URL without the password; ``publishing`` and ``listening``, whether each connection
            is up; ``seconds_lost``, since when one is not; ``last_error``; ``waiting``, the messages to be
            published; ``dropped``, the events that the outbox had no room for.
        """
        health: dict[str, Any] | None = self.manager.queue_health() if self._ours else None
        return health

    async def startup(self) -> None:
        """Serve on the running event loop, once this process hears what others send.

        Where the message queue is away, it serves without it until it is back.

        Raises:
            asyncsock.queues.LoginRefused: The message queue refused the login.
        """
        self.attach_loop()
        if self._ours:
            await self.manager.ready()

    async def shutdown(self) -> None:
        """Disconnect every client, once the handlers of its events have ended."""
        await self.eio.shutdown()
        self._connect_deadlines.clear()
        if self._ours:
            await self.manager.stop()


def _result_elsewhere(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    """The future of a coroutine on the loop of another thread; in a coroutine, one to be awaited."""
    future = asyncio.run_coroutine_threadsafe(coroutine, loop)
    return future if running_loop() is None else asyncio.wrap_future(future)


class UserSession:
    """The user session of a client, for `with` in a thread or `async with` on the event loop."""

    def __init__(self, server: AsyncServer, sid: str, namespace: str | None) -> None:
        self._server = server
        self._client = (sid, namespace)
        self._session: dict[str, Any] = {}

    def __enter__(self) -> dict[str, Any]:
        if self._server.on_loop():
            raise RuntimeError("session() is used with `async with` in coroutines")
        self._session = self._server.get_session(*self._client)
        return self._session

    def __exit__(self, *error: object) -> None:
        sid, namespace = self._client
        self._server.save_session(sid, self._session, namespace)

    async def __aenter__(self) -> dict[str, Any]:
        self._session = await self._server.get_session(*self._client)
        return self._session

    async def __aexit__(self, *error: object) -> None:
        sid, namespace = self._client
        await self._server.save_session(sid, self._session, namespace)
