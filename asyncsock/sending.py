"""Sending events to the clients of this process, and calling back when they acknowledge them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from socketio import AsyncManager

from .codec.base import EVENT, Body, Codec, event_arguments
from .codec.not_encodable import NotEncodable
from .connection import Client, Connection, Target
from .engine import EngineServer
from .engine.awaitables import SENT, Sent, SentAndWaiting, counts_as_coroutine, sent_and_yielding
from .recovery.recovery import Recovery
from .room_table import RoomTable, check_recipients
from .server_loop import ServerLoop
from .types import Handler

BUSY_TICK = 256  # emits in one tick, after which awaiting an emit lets the loop write


class HasEngine(Protocol):
    """What the client manager needs of its server."""

    eio: EngineServer
    codec: Codec
    connections: Mapping[str, Connection]

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> Sent:
        """Disconnect a client."""


class Watcher(Protocol):
    """What is told of the clients of this process, as it happens."""

    def connected(self, client: Client) -> None:
        """A client is connected to a namespace, with the rooms that it is in by now."""

    def removed(self, client: Client) -> None:
        """A client is forgotten, which may never have been connected."""

    def entered(self, client: Client, room: Any) -> None:
        """A client has entered a room."""

    def left(self, client: Client, room: Any) -> None:
        """A client has left a room, not because it is forgotten."""

    def sent(self, namespace: str, body: Body, recipients: Mapping[str, Target]) -> None:
        """An event is sent to these clients."""


class Counter(Protocol):
    """What counts the events that are sent."""

    def sends(self, body: Body, recipients: int, callback: Handler | None) -> Handler | None:
        """Count an event for so many clients of this process; return the callback to send it with."""


class RoomSender(AsyncManager):
    """The sending half of `asyncsock.rooms.Rooms`.

    Attributes:
        table: The clients, and who is in which room.
        rooms: The rooms of the table.
        recovery: Keeps what clients may have missed, if they may come back; to be set while there are none.
        watcher: Is told what happens, if anybody is.
        counter: Counts the events that are sent, if anybody does.
    """

    server: HasEngine

    def __init__(self) -> None:
        super().__init__()
        self.table = RoomTable()
        self.rooms = self.table.rooms
        self.recovery: Recovery | None = None
        self._watcher: Watcher | None = None
        self._counter: Counter | None = None
        self._send: Callable[..., Sent] = self._send_unseen

    @property
    def watcher(self) -> Watcher | None:
        return self._watcher

    @watcher.setter
    def watcher(self, watcher: Watcher | None) -> None:
        self._watcher = watcher
        self._choose_send()

    @property
    def counter(self) -> Counter | None:
        return self._counter

    @counter.setter
    def counter(self, counter: Counter | None) -> None:
        self._counter = counter
        self._choose_send()

    def _choose_send(self) -> None:
        # Chosen here, so that events that nobody sees cost not even a look at who does.
        is_seen = self._watcher is not None or self._counter is not None
        self._send = self._send_seen if is_seen else self._send_unseen

    @counts_as_coroutine
    def emit(
        self,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        to: Any = None,
        volatile: bool = False,
        **kwargs: Any,
    ) -> Sent:
        """Send an event to a client, a room, several rooms, or a whole namespace.

        Returns:
            An awaitable. The packet has been handed to the transports already.
        """
        room = room if to is None else to
        recipients = self.table.recipients(namespace, room, skip_sid)
        if not (recipients or self._is_awaited(namespace, room)):
            return SENT
        body = self._encode(event, data)
        return self._send(body, namespace, room, skip_sid, recipients, callback, volatile)

    def _is_awaited(self, namespace: str, room: Any) -> bool:
        """Whether a client that may come back is to get what is sent to rooms."""
        return self.recovery is not None and self.recovery.waiting_rooms.waits(namespace, room)

    def encode(self, event: str, data: Any) -> Any:
        """Encode an event for `deliver`, in any thread.

        Raises:
            TypeError: The data cannot be encoded.
        """
        return self.server.codec.detach(self._encode(event, data))

    def _encode(self, event: str, data: Any) -> Body:
        try:
            return self.server.codec.encode([event, *event_arguments(data)])
        except NotEncodable as error:
            raise error.at_call(event, data, 1) from None

    def emit_elsewhere(
        self,
        loop: ServerLoop,
        event: str,
        data: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Handler | None = None,
        ignore_queue: bool = False,
        volatile: bool = False,
    ) -> Sent:
        """Send an event from a thread other than the loop's: encode it here, and have the loop send it."""
        check_recipients(room)
        delivery = (self.encode(event, data), namespace, room, skip_sid, callback, ignore_queue, volatile)
        elsewhere = loop.elsewhere()
        if elsewhere is None:
            return self.deliver(*delivery)
        elsewhere.call_soon_threadsafe(self.deliver, *delivery)
        return SENT

    def deliver(
        self,
        encoded: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
        volatile: bool = False,
    ) -> Sent:
        """Send an event that was encoded with `encode`."""
        recipients = self.table.recipients(namespace, room, skip_sid)
        if not (recipients or self._is_awaited(namespace, room)):
            return SENT
        return self._send(encoded, namespace, room, skip_sid, recipients, callback, volatile)

    def _send_seen(
        self,
        body: Body,
        namespace: str,
        room: Any,
        skip_sid: Any,
        recipients: dict[str, Target],
        callback: Callable[..., Any] | None,
        volatile: bool,
    ) -> Sent:
        if volatile:
            recipients = _writable(recipients)
        if self._watcher is not None:
            self._watcher.sent(namespace, body, recipients)
        if self._counter is not None:
            callback = self._counter.sends(body, len(recipients), callback)
        return self._send_unseen(body, namespace, room, skip_sid, recipients, callback, volatile)

    def _send_unseen(
        self,
        body: Body,
        namespace: str,
        room: Any,
        skip_sid: Any,
        recipients: dict[str, Target],
        callback: Callable[..., Any] | None,
        volatile: bool,
    ) -> Sent:
        fanout = self.server.eio.outboxes
        if volatile:
            recipients = _writable(recipients)
        if callback is None:
            if self.recovery is None:
                packets = self.server.codec.assemble(EVENT, namespace, body)
            elif volatile:
                packets = self.recovery.log.passing(namespace, body)
            else:
                packets = self.recovery.log.add(namespace, room, skip_sid, body)
            fanout.fan_out(recipients.values(), packets)
        else:
            clients = self.table.clients
            for client in [clients[sid] for sid in recipients]:
                packets = self.server.codec.assemble(EVENT, namespace, body, client.ask(callback))
                fanout.fan_out([client.target], packets)
        if len(recipients) == 1:
            (target,) = recipients.values()
            if target.transport.paused:
                return SentAndWaiting(target.transport.drain)
        return SENT if fanout.emitted < BUSY_TICK else sent_and_yielding()

    def expects(self, sid: str, id: int) -> bool:
        """Whether a client has been sent an event with this id, and has not acknowledged it."""
        client = self.table.clients.get(sid)
        return client is not None and id in client.callbacks

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:
        """Call the callback of an event that a client has acknowledged."""
        client = self.table.clients.get(sid)
        callback = client.callbacks.pop(id, None) if client is not None else None
        if callback is None:
            return  # it came twice
        result = callback(*data)
        if inspect.isawaitable(result):
            await result


def _writable(recipients: dict[str, Target]) -> dict[str, Target]:
    """Those of the recipients that a packet would be sent to at once."""
    return {sid: target for sid, target in recipients.items() if target.transport.is_writable}
