"""The client manager of one process among several that share a message broker."""

from __future__ import annotations

import asyncio
import inspect
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..codec.base import event_arguments
from ..codec.json_codec import JSONCodec
from ..codec.values import Body, NotEncodable
from ..engine.awaitables import SENT, Sent, SentAndWaiting, counts_as_coroutine
from ..rooms import Rooms, refuse_sid_room
from . import wire
from .driver import Driver
from .emitter import Emitter
from .health import Health, logger
from .reconnecting import Listener, Publisher

READY_TIMEOUT = 5.0  # seconds that a server waits for its broker before it serves without
DRAIN_TIMEOUT = 5.0  # seconds that a stopping server has to publish what waits
KNOWN_SENDERS = 10_000  # whose last sequence number is kept
REMOTE_CALLBACKS = 65_536  # callbacks that wait for clients of other processes


class QueuedEvent(NamedTuple):
    """An event encoded for the clients here, and its arguments for other processes."""

    body: Body
    name: str
    arguments: Body


class QueueManager(Rooms):
    """Reaches the clients of this process directly, and those of others through a message broker.

    Args:
        url: The broker, as log messages name it.
        make_driver: Makes a new connection to the broker.
        write_only: Whether this process has no clients and receives nothing.
        json: The JSON module of a process without a server.
    """

    def __init__(
        self, url: str, make_driver: Callable[[], Driver], write_only: bool = False, json: Any = None
    ) -> None:
        super().__init__()
        self._url = url
        self._make_driver = make_driver
        self.write_only = write_only
        self._json_codec = JSONCodec(json)
        self._emitter = Emitter(url, make_driver)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._health: Health
        self._listener: Listener
        self._publisher: Publisher | None = None
        self._own_mark = b""
        self._last_seq: OrderedDict[str, int] = OrderedDict()  # by sender
        self._remote_callbacks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._last_callback = 0

    # Connections

    def start(self) -> None:
        loop = asyncio.get_running_loop()
        if self.write_only or loop is self._loop:
            return
        self._loop = loop
        self._health = Health(self._url)
        self._publisher = Publisher(self._make_driver(), self._health)
        self._own_mark = wire.mark(self._publisher.host_id)
        self._listener = Listener(self._make_driver(), self._health, self._receive)

    async def ready(self) -> None:
        if self._publisher is None:
            return
        attempts = [self._listener.first_attempt, self._publisher.first_attempt]
        await asyncio.wait(attempts, timeout=READY_TIMEOUT)
        for attempt in attempts:
            if attempt.done() and (refusal := attempt.exception()) is not None:
                await self.stop()
                raise refusal

    async def stop(self) -> None:
        publisher, self._publisher, self._loop = self._publisher, None, None
        if publisher is not None:
            await self._listener.stop()
            await publisher.drain(DRAIN_TIMEOUT)
            await publisher.stop()

    def queue_health(self) -> dict[str, Any] | None:
        if self._publisher is None:
            return None
        waiting, dropped = len(self._publisher), self._publisher.dropped
        return {**self._health.report(), "waiting": waiting, "dropped": dropped}

    # Sending

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
        ignore_queue: bool = False,
        **kwargs: Any,
    ) -> Sent:
        """Send an event to clients of all processes; see `Rooms.emit`.

        Raises:
            ValueError: A callback was given, but no client.
            RuntimeError: A callback was given in a process without a server.
        """
        room = room if to is None else to
        namespace = namespace or "/"
        if ignore_queue or self._is_here(room, namespace):
            return super().emit(event, data, namespace, room, skip_sid, callback)
        return self.deliver(self.encode(event, data), namespace, room, skip_sid, callback)

    def encode(self, event: str, data: Any) -> QueuedEvent:
        try:
            arguments = self._wire_codec.encode(event_arguments(data))
        except NotEncodable as error:
            raise error.at_call(event, data, 0) from None
        try:
            return QueuedEvent(self._body(event, arguments), event, arguments)
        except NotEncodable as error:  # in msgpack
            raise error.at_call(event, data, 1) from None

    def deliver(
        self,
        encoded: Any,
        namespace: str,
        room: Any = None,
        skip_sid: str | list[str] | None = None,
        callback: Callable[..., Any] | None = None,
        ignore_queue: bool = False,
    ) -> Sent:
        event: QueuedEvent = encoded
        fields = None
        if not (ignore_queue or self._is_here(room, namespace) or _is_nobody(room)):
            answer_to = self._expect_answer(room, namespace, callback) if callback is not None else None
            fields = wire.emit_fields(event.name, event.arguments, namespace, room, skip_sid, answer_to)
        recipients = self.table.recipients(namespace, room, skip_sid)
        sent = self._send(event.body, namespace, recipients, callback) if recipients else SENT
        if fields is None:
            return sent
        published = self._publish(fields, droppable=True)
        return published if sent is SENT else SentAndWaiting(partial(_wait_for_both, sent, published))

    @counts_as_coroutine
    def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> Sent:
        if self._is_here(sid, namespace):
            return super().enter_room(sid, namespace, room)
        refuse_sid_room(sid, room)
        return self._publish(wire.client_fields("enter_room", namespace, sid, room))

    @counts_as_coroutine
    def leave_room(self, sid: str, namespace: str, room: Any) -> Sent:
        if self._is_here(sid, namespace):
            return super().leave_room(sid, namespace, room)
        return self._publish(wire.client_fields("leave_room", namespace, sid, room))

    @counts_as_coroutine
    def close_room(self, room: Any, namespace: str) -> Sent:
        fields = wire.client_fields("close_room", namespace, room=room)
        super().close_room(room, namespace)
        return self._publish(fields)

    def disconnect_elsewhere(self, sid: str, namespace: str) -> Sent:
        if self._is_here(sid, namespace):
            return SENT  # it is leaving already
        return self._publish(wire.client_fields("disconnect", namespace, sid))

    def _publish(self, fields: dict[str, Any], droppable: bool = False) -> Sent:
        if self._publisher is None or self._loop is None or self._loop.is_closed():
            return self._emitter.publish(fields)
        number = self._publisher.put(fields, droppable)
        return SentAndWaiting(partial(self._publisher.accepted, number))

    def _is_here(self, sid: Any, namespace: str) -> bool:
        """Whether this is the sid of a client of this process; then no other process needs the message."""
        return isinstance(sid, str) and self.is_sid_room(namespace, sid)

    # Encoding

    @property
    def _wire_codec(self) -> JSONCodec:
        codec = self.server.codec if self.server is not None else None
        return codec if isinstance(codec, JSONCodec) else self._json_codec

    def _body(self, event: str, arguments: Body) -> Body:
        codec = self.server.codec if self.server is not None else self._json_codec
        if isinstance(codec, JSONCodec):
            return codec.prepend(event, arguments)
        return codec.encode([event, *self._wire_codec.load(arguments)])

    # Acknowledgements by clients of other processes

    def _expect_answer(self, room: Any, namespace: str, callback: Callable[..., Any]) -> list[Any]:
        if self._publisher is None:
            raise RuntimeError("callbacks need a server: this process only writes to the message queue")
        if room is None:
            raise ValueError("a callback needs a room or a client: pass to=...")
        self._last_callback += 1
        self._remote_callbacks[self._last_callback] = callback
        if len(self._remote_callbacks) > REMOTE_CALLBACKS:
            self._remote_callbacks.popitem(last=False)
        return [room, namespace, self._last_callback]

    def _answer(self, host_id: str, room: str, namespace: str, id: int, *data: Any) -> None:
        try:
            arguments = self._wire_codec.encode(list(data))
        except NotEncodable as error:
            logger.warning("message queue %s: an acknowledgement is lost: %s", self._health.name, error)
            return
        self._publish(wire.callback_fields(host_id, room, namespace, id, arguments))

    # Receiving

    def _receive(self, messages: Sequence[bytes]) -> None:
        own_mark = self._own_mark
        for encoded in messages:
            if own_mark in encoded[-wire.MARK_WITHIN :]:
                continue
            try:
                message = wire.decode(encoded)
                if not self._is_repeated(message):
                    self._handle(message)
            except Exception as error:
                self._health.ignored(error)

    def _is_repeated(self, message: wire.Message) -> bool:
        """Whether a message was here before. Senders publish in order, and again what may have been lost."""
        sender = message.sender
        if sender is None:
            return False
        if message.seq <= self._last_seq.get(sender, 0):
            return True
        self._last_seq[sender] = message.seq
        self._last_seq.move_to_end(sender)
        if len(self._last_seq) > KNOWN_SENDERS:
            self._last_seq.popitem(last=False)
        return False

    def _handle(self, message: wire.Message) -> None:
        namespace = message.namespace or "/"
        if message.method == "emit":
            self._handle_emit(message, namespace)
        elif message.method == "callback":
            self._handle_callback(message)
        elif isinstance(message.room, list):
            raise ValueError("a list of rooms in place of one")
        elif message.method == "close_room":
            self.basic_close_room(message.room, namespace)
        elif message.sid is None or not self._is_here(message.sid, namespace):
            return
        elif message.method == "enter_room":
            self.basic_enter_room(message.sid, namespace, message.room)
        elif message.method == "leave_room":
            self.basic_leave_room(message.sid, namespace, message.room)
        elif message.method == "disconnect":
            self.server.disconnect(message.sid, namespace, ignore_queue=True)

    def _handle_emit(self, message: wire.Message, namespace: str) -> None:
        recipients = self.table.recipients(namespace, message.room, message.skip_sid)
        if not recipients:
            return
        if message.event is None:
            raise ValueError("an event without a name")
        callback = None
        if message.callback is not None and len(message.callback) == 3 and message.host_id is not None:
            callback = partial(self._answer, message.host_id, *message.callback)
        body = self._body(message.event, wire.event_arguments(message))
        self._send(body, namespace, recipients, callback)

    def _handle_callback(self, message: wire.Message) -> None:
        publisher = self._publisher
        if publisher is None or message.host_id != publisher.host_id or message.id is None:
            return
        if message.id in self._remote_callbacks:
            data = self._wire_codec.load(wire.callback_arguments(message))
            callback = self._remote_callbacks.pop(message.id)
            self.server.eio.tasks.spawn(_call(callback, data))


async def _call(callback: Callable[..., Any], data: list[Any]) -> None:
    result = callback(*data)
    if inspect.isawaitable(result):
        await result


def _is_nobody(room: Any) -> bool:
    """Whether this is an empty list of rooms, which is an error in a server of python-socketio."""
    return room is not None and not isinstance(room, str) and hasattr(room, "__len__") and not len(room)


async def _wait_for_both(first: Sent, second: Sent) -> None:
    await first
    await second
