"""What `AsyncServer.instrument` adds to a server."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from socketio import exceptions

from ..cluster import Cluster
from ..codec.base import Codec
from ..connection import Connection
from ..disconnections import Disconnector
from ..dispatch import Dispatcher
from ..engine.awaitables import Sent
from ..engine.log import printable
from ..rooms import APART, Rooms
from ..types import Handler
from .logins import Auth, Logins, Refused
from .reporter import Reporter, Watchable
from .stats import HOST, HasHandlers, Stats
from .watchers import Watchers

DEVELOPMENT, PRODUCTION = "development", "production"
ACTIONS = ["EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT"]
logger = logging.getLogger("asyncsock.admin")


class HasClients(HasHandlers, Watchable, Protocol):
    """A server, as far as the Admin UI acts on it."""

    cluster: Cluster
    codec: Codec
    connections: Mapping[str, Connection]

    def on(self, event: str, handler: Handler, namespace: str) -> Any:
        """Register the handler of an event."""

    def emit(self, event: str, data: Any = None, to: Any = None, *, namespace: str | None = None) -> Sent:
        """Emit an event."""

    def sockets_join(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Add clients to a room."""

    def sockets_leave(self, room: Any, to: Any = None, namespace: str | None = None) -> Sent:
        """Remove clients from a room."""

    def disconnect_sockets(self, to: Any = None, namespace: str | None = None, close: bool = False) -> Sent:
        """Disconnect clients."""


class Admin:
    """The Admin UI's side of a server.

    Args:
        server: The server.
        disconnector: Knows its clients, and when they leave.
        dispatcher: Knows when they move to a WebSocket.
        is_debug: Whether everybody may log in where ``auth`` is None.

    The others are those of `AsyncServer.instrument`, which see also for the errors.
    """

    def __init__(
        self,
        server: HasClients,
        disconnector: Disconnector,
        dispatcher: Dispatcher,
        is_debug: Callable[[], bool],
        auth: Auth,
        mode: str,
        read_only: bool,
        server_id: str | None,
        namespace: str,
        server_stats_interval: float,
    ) -> None:
        if not isinstance(disconnector.rooms, Rooms):
            raise ValueError("instrument() does not go with a client manager of python-socketio")
        _check_options(server, mode, namespace, server_stats_interval)
        self._logins = Logins(auth, is_debug, server.cluster)
        self._server = server
        self._disconnector = disconnector
        self._mode = mode
        self._read_only = read_only
        self._server_id = server_id or HOST
        self._namespace = namespace
        self._interval = server_stats_interval
        self._timer: asyncio.TimerHandle | None = None
        self._logged_in: dict[str, str | None] = {}  # what each browser may come back with, by their sids
        engine, cluster, codec = server.eio, server.cluster, server.codec
        self._stats = Stats(server, disconnector, self._name)
        engine.core.count_bytes()
        has_lists = mode == DEVELOPMENT
        self._watchers = Watchers(cluster, engine, disconnector, codec, namespace, has_lists)
        self._watchers.on_change = self._watched
        self._watchers.on_newcomer = self._newcomer
        self._reporter: Reporter | None = None
        if mode == DEVELOPMENT:
            connections = server.connections
            self._reporter = Reporter(
                server, self._watchers, disconnector, dispatcher, connections, codec, namespace
            )
        self._register()

    def _name(self) -> str:
        return f"{self._server_id}#{os.getpid()}" if self._server.cluster.queue else self._server_id

    def _register(self) -> None:
        handlers: dict[str, Handler] = {"connect": self._connect, "disconnect": self._disconnect}
        if not self._read_only:
            handlers |= {
                "emit": self._emit,
                "join": self._join,
                "leave": self._leave,
                "_disconnect": self._disconnect_clients,
            }
        for event, handler in handlers.items():
            self._server.on(event, handler, self._namespace)

    # Life

    def check(self) -> None:
        """Say at the start who may log in.

        Raises:
            RuntimeError: It was not said who.
        """
        if self._logins.are_closed:
            raise RuntimeError(
                "instrument() without auth is for debug mode only: pass auth={'username': ..., "
                "'password': ...}, or auth=False to let everybody in"
            )
        if self._logins.are_open:
            logger.warning(
                "everybody who reaches this server may use its Admin UI on the namespace %s: pass auth= to "
                "instrument()",
                self._namespace,
            )

    def stop(self) -> None:
        """Report nothing more, until somebody comes who watches."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._reporter is not None:
            self._reporter.stop()

    async def shutdown(self) -> None:
        """The same, under the name and in the form that python-socketio has."""
        self.stop()

    def _watched(self) -> None:
        if not self._watchers.are_there:
            self.stop()
        elif self._timer is None:
            self._stats.begin()
            self._tick_later()
            if self._reporter is not None:
                self._reporter.start()

    def _tick_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._interval, self._tick)

    def _tick(self) -> None:
        self._tick_later()
        self._watchers.show([["server_stats", self._stats.report()]])

    # Who comes and goes

    async def _connect(self, sid: str, environ: Any, auth: Any = None) -> None:
        session = self._disconnector.rooms.connection_of(sid, self._namespace).session
        try:
            token = await self._logins.check(auth, session.address)
        except Refused as refusal:
            session.warn(logger, "login to the Admin UI from %s: %s", session.address, refusal)
            raise exceptions.ConnectionRefusedError(str(refusal)) from None
        self._logged_in[sid] = token
        # It is connected as soon as this has ended, and hears what it is sent a moment later.
        asyncio.get_running_loop().call_later(APART, self._greet, sid)

    def _greet(self, sid: str) -> None:
        if self._disconnector.rooms.is_connected(sid, self._namespace):
            self._watchers.add(sid)

    def _disconnect(self, sid: str, reason: str) -> None:
        self._logged_in.pop(sid, None)
        self._watchers.discard(sid)

    def _newcomer(self, process: str, sid: str) -> None:
        messages: list[list[Any]] = [["server_stats", self._stats.now()]]
        if not process:
            if self._logged_in.get(sid) is not None:
                messages.append(["session", self._logged_in[sid]])
            messages.append(["config", {"supportedFeatures": self._features()}])
        self._watchers.show_to(process, sid, messages)
        if self._reporter is not None:
            self._reporter.flush()  # what has happened before it came
            self._server.eio.tasks.spawn(self._reporter.show_clients(process, sid))

    def _features(self) -> list[str]:
        features = [] if self._read_only else [*ACTIONS]
        features.append("AGGREGATED_EVENTS")
        return [*features, "ALL_EVENTS"] if self._mode == DEVELOPMENT else features

    # What they do

    def _may(self, sid: str, action: str, *names: Any) -> bool:
        """Whether a browser has logged in and what it says can be names of rooms or of anything else."""
        if sid in self._logged_in and all(isinstance(name, (str, int, float)) for name in names):
            return True
        session = self._disconnector.rooms.connection_of(sid, self._namespace).session
        session.warn(logger, "%s of the Admin UI from %s ignored: malformed", action, session.address)
        return False

    def _emit(self, sid: str, namespace: Any = None, to: Any = None, event: Any = None, *args: Any) -> None:
        if self._may(sid, "emit", namespace, _named(to), event):
            self._log(sid, f"emit {event!r:.100} to {_named(to)!r:.100}", namespace)
            self._server.emit(str(event), args, to=to, namespace=str(namespace))

    def _join(self, sid: str, namespace: Any = None, room: Any = None, to: Any = None) -> None:
        if self._may(sid, "join", namespace, room, _named(to)):
            self._log(sid, f"have {_named(to)!r:.100} join {room!r:.100}", namespace)
            try:
                self._server.sockets_join(room, to=to, namespace=str(namespace))
            except ValueError as error:
                logger.warning("join of the Admin UI refused: %s", error)

    def _leave(self, sid: str, namespace: Any = None, room: Any = None, to: Any = None) -> None:
        if self._may(sid, "leave", namespace, room, _named(to)):
            self._log(sid, f"have {_named(to)!r:.100} leave {room!r:.100}", namespace)
            self._server.sockets_leave(room, to=to, namespace=str(namespace))

    def _disconnect_clients(
        self, sid: str, namespace: Any = None, close: Any = False, to: Any = None
    ) -> None:
        if self._may(sid, "disconnect", namespace, _named(to)):
            self._log(sid, f"disconnect {_named(to)!r:.100}", namespace)
            self._server.disconnect_sockets(to=to, namespace=str(namespace), close=close is True)

    def _log(self, sid: str, what: str, namespace: Any) -> None:
        address = self._disconnector.rooms.connection_of(sid, self._namespace).session.address
        logger.info("Admin UI at %s: %s in %s", address, printable(what), printable(str(namespace)[:100]))


def _check_options(server: HasClients, mode: str, namespace: str, interval: float) -> None:
    if mode not in (DEVELOPMENT, PRODUCTION):
        raise ValueError(f"mode={mode!r}: it is 'development' or 'production'")
    if not isinstance(namespace, str) or not namespace.startswith("/"):
        raise ValueError(f"namespace={namespace!r}: it begins with '/'")
    if namespace in server.handlers or namespace in server.namespace_handlers:
        raise ValueError(f"namespace {namespace!r} has handlers already: the Admin UI needs one of its own")
    if not interval > 0:
        raise ValueError(f"server_stats_interval={interval!r}: it must be more than 0")


def _named(to: Any) -> Any:
    """A room or a client, which is everybody where none is named."""
    return "(everybody)" if to is None else to
