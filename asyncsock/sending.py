"""Sending events to the clients of this process, and calling back when they acknowledge them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from socketio import AsyncManager

from .codec.base import EVENT, Codec, event_arguments
from .codec.values import Body, NotEncodable
from .connection import Connection, Target
from .engine import EngineServer
from .engine.awaitables import SENT, Sent, SentAndWaiting, counts_as_coroutine, sent_and_yielding
from .room_table import RoomTable
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


class RoomSender(AsyncManager):
    """The sending half of `asyncsock.rooms.Rooms`.

    Attributes:
        table: The clients, and who is in which room.
        rooms: The rooms of the table.
    """

    server: HasEngine

    def __init__(self) -> None:
        super().__init__()
        self.table = RoomTable()
        self.rooms = self.table.rooms

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
        **kwargs: Any,
    ) -> Sent:
        """Send an event to a client, a room, several rooms, or a whole namespace.

        Returns:
            An awaitable. The packet has been handed to the transports already.
        """
        recipients = self.table.recipients(namespace, room if to is None else to, skip_sid)
        if not recipients:
            return SENT
        body = self._encode(event, data)
        return self._send(body, namespace, recipients, callback)

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
    ) -> Sent:
        """Send an event from a thread other than the loop's: encode it here, and have the loop send it."""
        delivery = (self.encode(event, data), namespace, room, skip_sid, callback, ignore_queue)
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
    ) -> Sent:
        """Send an event that was encoded with `encode`."""
        recipients = self.table.recipients(namespace, room, skip_sid)
        return self._send(encoded, namespace, recipients, callback) if recipients else SENT

    def _send(
        self,
        body: Body,
        namespace: str,
        recipients: dict[str, Target],
        callback: Callable[..., Any] | None,
    ) -> Sent:
        fanout = self.server.eio.outboxes
        if callback is None:
            fanout.fan_out(recipients.values(), self.server.codec.assemble(EVENT, namespace, body))
        else:
            clients = self.table.clients
            for client in [clients[sid] for sid in recipients]:
                client.last_id += 1
                client.callbacks[client.last_id] = callback
                packets = self.server.codec.assemble(EVENT, namespace, body, client.last_id)
                fanout.fan_out([client.target], packets)
        if len(recipients) == 1:
            (target,) = recipients.values()
            if target.transport.paused:
                return SentAndWaiting(target.transport.drain)
        return SENT if fanout.emitted < BUSY_TICK else sent_and_yielding()

    async def trigger_callback(self, sid: str, id: int, data: list[Any]) -> None:
        """Call the callback of an event that a client has acknowledged."""
        client = self.table.clients.get(sid)
        callback = client.callbacks.pop(id, None) if client is not None else None
        if callback is None:
            self._get_logger().warning("unknown acknowledgement %d from %s ignored", id, sid)
            return
        result = callback(*data)
        if inspect.isawaitable(result):
            await result
