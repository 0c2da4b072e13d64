"""Tells the Admin UI what happens in this process, in its development mode."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Protocol

from ..codec.base import Body, Codec, Incoming
from ..connection import CONNECTED, Client, Connection, State, Target
from ..disconnections import Disconnector
from ..dispatch import Dispatcher, RunEvent
from ..engine.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from ..engine.session import Session
from ..observing.watch import Watch
from ..rooms import Rooms
from ..routes import Running
from . import shown
from .arrivals import LIST, Message
from .budget import Budget
from .watchers import Watchers

DELAY = 0.05  # seconds in which messages are gathered
IN_A_PART = 50  # clients that a browser is sent at once
PAUSE = 0.05  # seconds between two parts
LOG_INTERVAL = 60.0  # seconds between two log lines
WERE_CONNECTED = frozenset([State.CONNECTED, State.DISCONNECTING])
logger = logging.getLogger("asyncsock.admin")


class Watchable(Protocol):
    """A server that watches can stand around."""

    def watch(self, watch: Watch) -> None:
        """Begin to let a watch see what happens."""

    def unwatch(self, watch: Watch) -> None:
        """End that."""


class Reporter(Watch):
    """Watches the clients of this process, while anybody watches it.

    It is the `watcher` of their rooms, and stands around the handlers of their events.

    Args:
        server: The server.
        watchers: Who is told.
        disconnector: Knows the clients, and when they leave.
        dispatcher: Knows when they move to a WebSocket.
        connections: The connections by session id.
        codec: Decodes what is sent to clients.
        namespace: The namespace of the Admin UI, the events of which it is not told.
    """

    def __init__(
        self,
        server: Watchable,
        watchers: Watchers,
        disconnector: Disconnector,
        dispatcher: Dispatcher,
        connections: Mapping[str, Connection],
        codec: Codec,
        namespace: str,
    ) -> None:
        self._server = server
        self._watchers = watchers
        self._disconnector = disconnector
        self._dispatcher = dispatcher
        self._connections = connections
        self._codec = codec
        self._namespace = namespace
        self._budget = Budget()
        self._waiting: list[Message] = []
        self._reasons: dict[str, str] = {}  # why clients leave, by their sids
        self._is_watching = False
        self._logged_at = -LOG_INTERVAL

    @property
    def _rooms(self) -> Rooms:
        rooms = self._disconnector.rooms
        assert isinstance(rooms, Rooms)
        return rooms

    def start(self) -> None:
        """Begin to watch."""
        if not self._is_watching:
            self._is_watching = True
            self._rooms.watcher = self
            self._disconnector.on_leaving = self._reasons.__setitem__
            self._dispatcher.on_upgrade = self.upgraded
            self._server.watch(self)

    def stop(self) -> None:
        """Watch no more."""
        if self._is_watching:
            self._is_watching = False
            self._rooms.watcher = None
            self._disconnector.on_leaving = None
            self._dispatcher.on_upgrade = None
            self._server.unwatch(self)
            self._reasons.clear()
            self._waiting.clear()

    # Messages

    def _tell(self, *message: Any) -> None:
        """Tell what has happened now."""
        self._gather([*message, shown.time(time.time())])

    def _gather(self, message: Message) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_later(DELAY, self.flush)
        self._waiting.append(message)

    def flush(self) -> None:
        """Send what has been gathered."""
        waiting, self._waiting = self._waiting, []
        if waiting:
            self._watchers.show(waiting)
        if self._budget.left_out and time.monotonic() >= self._logged_at + LOG_INTERVAL:
            self._logged_at = time.monotonic()
            text = "the Admin UI shows some events only: %d more were left out. Production mode shows sums"
            logger.info(text, self._budget.take_left_out())

    async def show_clients(self, process: str, sid: str) -> None:
        """Send all clients to a browser that has come, in parts.

        Those who come and go meanwhile are told in between.

        Args:
            process: The process at which it is; "" for this one.
            sid: The browser.
        """
        rooms = self._rooms
        sids = list(rooms.clients)
        for at in range(0, max(len(sids), 1), IN_A_PART):
            if at:
                await asyncio.sleep(PAUSE)
            if not self._watchers.has(process, sid):
                return
            part = [client for name in sids[at : at + IN_A_PART] if (client := rooms.clients.get(name))]
            clients = [client for client in part if client.state is CONNECTED]
            if not at:
                messages: list[Message] = [[LIST, [shown.socket(client) for client in clients]]]
            else:
                messages = [_connected(client) for client in clients]
            self._watchers.show_to(process, sid, messages)

    # What happens

    def connected(self, client: Client) -> None:
        self._gather(_connected(client))

    def removed(self, client: Client) -> None:
        reason = self._reasons.pop(client.sid, None)
        if client.state not in WERE_CONNECTED:
            return
        if reason is None:
            reason = SERVER_DISCONNECT if client.connection.session.is_open else TRANSPORT_CLOSE
        for room in (client.sid, *client.rooms):
            self.left(client, room)
        self._tell("socket_disconnected", client.namespace, client.sid, reason)

    def entered(self, client: Client, room: Any) -> None:
        if client.state is CONNECTED:  # those that it is in before are told with it
            self._tell("room_joined", client.namespace, shown.room(room), client.sid)

    def left(self, client: Client, room: Any) -> None:
        self._tell("room_left", client.namespace, shown.room(room), client.sid)

    def upgraded(self, session: Session) -> None:
        """Tell that a session has moved to another transport."""
        for client in self._connections[session.sid].clients.values():
            moved = {"id": client.sid, "nsp": client.namespace, "transport": session.transport.name}
            self._tell("socket_updated", moved)

    def run_event(self, run: RunEvent) -> RunEvent:
        def tell_and_run(connection: Connection, sid: str, packet: Incoming) -> Running | None:
            if packet.namespace != self._namespace and self._budget.take():
                self._tell("event_received", packet.namespace, sid, shown.shown(packet.data))
            return run(connection, sid, packet)

        return tell_and_run

    def sent(self, namespace: str, body: Body, recipients: Mapping[str, Target]) -> None:
        if namespace == self._namespace:
            return
        size = len(body.data) if isinstance(body.data, bytes) else 0
        event = None
        for number, sid in enumerate(recipients):
            if not self._budget.take(size):
                self._budget.left_out += len(recipients) - number - 1
                break
            if event is None:
                event, size = self._decoded(body), 0
            self._tell("event_sent", namespace, sid, event)

    def _decoded(self, body: Body) -> Any:
        try:
            return shown.shown(self._codec.load(body))
        except Exception:  # whatever the user's JSON module raises
            return ["(cannot be decoded)"]


def _connected(client: Client) -> Message:
    return ["socket_connected", shown.socket(client), shown.time(client.connect_time)]
