"""The Engine.IO server: sessions, handlers, and requests from any ASGI server."""

from __future__ import annotations

import asyncio
import json as standard_json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar, overload

from .answers import Answers
from .application import Application
from .awaitables import SENT, Sent, SentAndWaiting, counts_as_coroutine
from .core import Core
from .elsewhere import Elsewhere, WorkersReport, alone
from .endpoint import TRANSPORTS, Endpoint, known_transports
from .handlers import EVENTS, Handlers
from .http import CORS, Origins, Receive, Scope, Send
from .ids import make_id
from .limits import LimitOptions, Limits, Report
from .log import make_logger, shown
from .options import ChangeableOptions
from .packet import Packet, binary_packet, message_packet, text_packet
from .reasons import CLIENT_DISCONNECT, PING_TIMEOUT, SERVER_DISCONNECT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from .session import Session
from .shutdown import Drain, close_sessions
from .signatures import option_names, refuse_unknown
from .tasks import Tasks
from .terms import Terms

if TYPE_CHECKING:
    from typing_extensions import Unpack

H = TypeVar("H", bound=Callable[..., Any])


class EngineServer(ChangeableOptions):
    """An Engine.IO 4 server with the surface of ``engineio.AsyncServer``.

    Args:
        async_mode: Accepted for compatibility; ``'asgi'`` or None.
        ping_interval: Seconds between pings. With a two-element tuple, the second number is added to
            the interval that clients are told, so that they wait longer than the server.
        ping_timeout: Seconds that a client has to answer a ping.
        max_http_buffer_size: The largest POST body or WebSocket message that is accepted, in bytes.
        allow_upgrades: Whether a polling client may move to a WebSocket.
        http_compression: Whether polling answers are compressed for clients that accept it.
        compression_threshold: Bodies of fewer bytes are not compressed.
        cookie: Name of a cookie with the session id, or a dictionary of ``name`` and attributes.
        cors_allowed_origins: Who may connect from another origin: an origin, a list, ``'*'``, or a
            callable that takes the origin (and the environ). Only the same origin by default; ``[]``
            disables the check.
        cors_credentials: Whether browsers may send cookies from other origins.
        logger: True, False or a logger.
        json: A module with ``dumps`` and ``loads`` for messages that are neither text nor bytes.
        async_handlers: Whether coroutine handlers of one client's messages may overlap.
        monitor_clients: Accepted for compatibility; clients are always monitored.
        transports: The transports that clients may use.
        max_buffered_bytes: Bytes that a client may leave unread, and 100 for each packet. A client that
            leaves more, and takes less than 64 KB of it in ten seconds (in one second if it is sixteen times
            as much), is disconnected.
        **limits: The limits that `asyncsock.engine.limits.Limits` lists.
    """

    class reason:
        """Why a session ended, as passed to disconnect handlers."""

        CLIENT_DISCONNECT = CLIENT_DISCONNECT
        SERVER_DISCONNECT = SERVER_DISCONNECT
        PING_TIMEOUT = PING_TIMEOUT
        TRANSPORT_CLOSE = TRANSPORT_CLOSE
        TRANSPORT_ERROR = TRANSPORT_ERROR

    event_names = EVENTS
    valid_transports = TRANSPORTS

    def __init__(
        self,
        async_mode: str | None = None,
        ping_interval: float | tuple[float, float] = 25,
        ping_timeout: float = 20,
        max_http_buffer_size: int = 1_000_000,
        allow_upgrades: bool = True,
        http_compression: bool = True,
        compression_threshold: int = 1024,
        cookie: str | dict[str, Any] | None = None,
        cors_allowed_origins: Origins = None,
        cors_credentials: bool = True,
        logger: bool | logging.Logger = False,
        json: Any = None,
        async_handlers: bool = True,
        monitor_clients: bool | None = None,
        transports: str | list[str] | tuple[str, ...] | None = None,
        max_buffered_bytes: int = 4_000_000,
        **limits: Unpack[LimitOptions],
    ) -> None:
        if unknown := limits.keys() - Limits.names():
            refuse_unknown(type(self).__name__, unknown, EngineServer.option_names())
        if async_mode not in (None, "asgi", "asyncio"):
            raise ValueError(f"async_mode={async_mode!r}: this server runs on asyncio only; leave it out")
        log = make_logger("asyncsock.engine", logger)
        interval, grace = ping_interval if isinstance(ping_interval, tuple) else (ping_interval, 0.0)
        terms = Terms(interval, grace, ping_timeout, max_http_buffer_size)
        self.async_mode = "asgi"
        self.json = json if json is not None else standard_json
        self.shutdown_grace = 10.0
        self.drain = Drain()
        self.shares_port = False  # whether others accept connections there, now or when this process ends
        allowed = Limits(**limits)
        self.tasks = Tasks(log, allowed)
        self._handlers = Handlers(self.tasks, async_handlers)
        # Looked up at each call, because programs replace `generate_id`.
        self.core = Core(
            terms,
            allowed,
            self._handlers,
            self.tasks,
            log,
            max_buffered_bytes,
            lambda: self.generate_id(),
        )
        self.sessions = self.core.sessions
        self.outboxes = self.core.outboxes
        cors = CORS(cors_allowed_origins, cors_credentials)
        answers = Answers(self.core, cors, cookie, http_compression, compression_threshold)
        self.endpoint = Endpoint(self.core, answers, known_transports(transports), allow_upgrades)

    @classmethod
    def option_names(cls) -> set[str]:
        """The options that the constructor takes."""
        return option_names(EngineServer) | Limits.names()

    def limits(self, **others: Any) -> Report:
        """The limits on what clients may do, by their names: of `asyncsock.engine.limits.Limits` and others.

        Args:
            **others: Limits that the caller keeps. Their hits are counted in ``core.limits``, too.

        Returns:
            For each its ``limit``; ``hits``, how often it was reached; and for some ``now``, how much there
            is of what it bounds.
        """
        core = self.core
        options = {
            "max_http_buffer_size": self.max_http_buffer_size,
            "max_buffered_bytes": core.slow_clients.limit,
            "ping_timeout": self.ping_timeout,
        }
        now = {**core.admission.numbers(), "max_unread_bytes": core.slow_clients.total}
        return core.limits.report(options | others, now)

    @property
    def sockets(self) -> dict[str, Session]:
        """The sessions by id, under the name that ``engineio`` has for them."""
        return self.sessions

    @property
    def handlers(self) -> dict[str, Callable[..., Any]]:
        """The handlers that `on` has registered, by their events."""
        return self._handlers.by_event

    @property
    def logger(self) -> logging.Logger:
        """Where the engine logs."""
        return self.core.logger

    @logger.setter
    def logger(self, logger: logging.Logger) -> None:
        self.core.logger = self.tasks.logger = self.tasks.log_lines.logger = logger

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that the server runs on."""
        return self.core.loop

    @property
    def closing(self) -> bool:
        """Whether the server is stopping or has stopped: it accepts no sessions and handles no events."""
        return self.core.closing

    @property
    def stopping(self) -> bool:
        """Whether the server was told to stop: it may still accept sessions, but should not be sent any."""
        return self.closing or self.drain.begun

    # Handlers

    @overload
    def on(self, event: str, handler: None = None) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H) -> H: ...

    def on(self, event: str, handler: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Register the handler of ``connect``, ``message`` or ``disconnect``; also a decorator.

        ``connect(sid, environ)`` may return False, or a value for the client, to refuse the connection;
        ``message(sid, data)``; ``disconnect(sid, reason)``, or without the reason. Coroutine functions
        run as tasks, plain functions are called on the event loop.

        Raises:
            ValueError: There is no such event.
        """
        if event not in EVENTS:
            raise ValueError(f"invalid event {event!r}: it must be one of {', '.join(EVENTS)}")

        def register(handler: Callable[..., Any]) -> Callable[..., Any]:
            self._handlers.register(event, handler)
            return handler

        return register if handler is None else register(handler)

    # Serving

    def serve(self, application: Application) -> None:
        """Use an application in place of the handlers that `on` registers."""
        self.core.application = application

    def start(self) -> None:
        """Accept sessions, also after a `shutdown`."""
        self.core.closing = self.drain.begun = False

    def set_shutdown_grace(self, seconds: float) -> None:
        """Set how long running handlers have to end when the server stops: 10 seconds by default."""
        self.shutdown_grace = seconds

    def follow_loop(self) -> None:
        """Use the running event loop from now on, unless another one, which still runs, has the sessions."""
        self.core.follow_loop()

    async def handle_request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI ``http`` or ``websocket`` request to the engine's path."""
        await self.endpoint.serve(scope, receive, send)

    # The surface of engineio.AsyncServer

    @counts_as_coroutine
    def send(self, sid: str, data: Any) -> Sent:
        """Send a message to a client; to an unknown one, nothing is sent and one line is logged.

        Args:
            sid: The session id.
            data: Text, bytes, or anything that the JSON module can encode.

        Returns:
            An awaitable: it waits for room in the client's write buffer.
        """
        if not isinstance(data, (str, bytes, bytearray)):
            data = self.json.dumps(data, separators=(",", ":"))
        return self.put(sid, message_packet(data))

    @counts_as_coroutine
    def send_packet(self, sid: str, pkt: Any) -> Sent:
        """Send a packet of the ``engineio`` library to a client."""
        encoded = pkt.encode()
        text = isinstance(encoded, str)
        return self.put(sid, text_packet(encoded.encode()) if text else binary_packet(encoded))

    def put(self, sid: str, packet: Packet) -> Sent:
        """Send an encoded packet to a client."""
        session = self.sessions.get(sid)
        if session is None:
            if self.core.log_lines.allow("unknown sessions"):
                self.logger.warning("cannot send to unknown session %s", shown(str(sid)))
            return SENT
        session.put(packet)
        return SentAndWaiting(session.transport.drain) if session.transport.paused else SENT

    async def disconnect(self, sid: str | None = None) -> None:
        """Disconnect a client, or all of them."""
        self.core.follow_loop()
        for session in [self.sessions.get(sid)] if sid is not None else list(self.sessions.values()):
            if session is not None:
                session.close(SERVER_DISCONNECT)

    def transport(self, sid: str) -> str:
        """The name of a client's transport, ``'polling'`` or ``'websocket'``."""
        return self.sessions[sid].transport.name

    async def get_session(self, sid: str) -> Any:
        """The user session of a client, a dictionary at first."""
        session = self._known(sid)
        if session.user_session is None:
            session.user_session = {}
        return session.user_session

    async def save_session(self, sid: str, session: Any) -> None:
        """Store the user session of a client."""
        self._known(sid).user_session = session

    def _known(self, sid: str) -> Session:
        return self.sessions.get(sid) or self.core.leaving[sid]

    @asynccontextmanager
    async def session(self, sid: str) -> AsyncIterator[Any]:
        """The user session of a client, saved at the end of the ``async with`` block."""
        session = await self.get_session(sid)
        yield session
        await self.save_session(sid, session)

    def is_asyncio_based(self) -> bool:
        """Always True."""
        return True

    def async_modes(self) -> list[str]:
        """The values that ``async_mode`` can have here."""
        return [self.async_mode]

    def attach(self, app: Any, engineio_path: str = "engine.io") -> None:
        """Not for ASGI: wrap the server in an `asyncsock.ASGIApp` instead."""
        raise NotImplementedError("attach() is not for ASGI servers: use asyncsock.ASGIApp(server, app)")

    def start_background_task(
        self, target: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> asyncio.Task[Any]:
        """Run a coroutine function as a task."""
        return self.tasks.spawn(target(*args, **kwargs))

    async def sleep(self, seconds: float = 0) -> None:
        """Sleep without blocking the event loop."""
        await asyncio.sleep(seconds)

    def create_queue(self, *args: Any, **kwargs: Any) -> asyncio.Queue[Any]:
        """An asyncio queue."""
        return asyncio.Queue(*args, **kwargs)

    def get_queue_empty_exception(self) -> type[asyncio.QueueEmpty]:
        """What a queue of `create_queue` raises when it is empty."""
        return asyncio.QueueEmpty

    def create_event(self, *args: Any, **kwargs: Any) -> asyncio.Event:
        """An asyncio event."""
        return asyncio.Event(*args, **kwargs)

    generate_id = staticmethod(make_id)

    def join(self, elsewhere: Elsewhere | None) -> None:
        """Serve as one of several processes; None for one that is alone."""
        self.endpoint.elsewhere = elsewhere
        self.core.process_name = elsewhere.name if elsewhere is not None else ""

    def workers(self) -> WorkersReport:
        """The processes of this server: how many sessions each has, and what they did for each other."""
        elsewhere = self.endpoint.elsewhere
        return elsewhere.report() if elsewhere is not None else alone(len(self.sessions))

    async def shutdown(self) -> None:
        """End every session when its handlers have ended; clients still get what was sent to them."""
        self.core.follow_loop()
        elsewhere = self.endpoint.elsewhere
        if elsewhere is not None:
            elsewhere.leave()
        await close_sessions(self.core, self.shutdown_grace)
        if elsewhere is not None:
            await elsewhere.release()
        self.core.stop_watching()
