"""The client manager of one process among several that share a message broker."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from ..callbacks import Answer
from ..codec.base import Body, event_arguments
from ..codec.json_codec import JSONCodec
from ..codec.not_encodable import NotEncodable
from ..engine.awaitables import SENT, Sent, SentAndWaiting, call_and_await, counts_as_coroutine
from ..engine.log import printable
from ..room_table import check_room
from ..rooms import refuse_sid_room
from . import wire
from .carrier import Carrier
from .connected_rooms import ConnectedRooms
from .driver import Driver, Letter
from .health import lines, logger
from .repetitions import Repetitions

SEEN_SENDERS = 256  # of whose messages others are told which have come here
REMOTE_CALLBACKS = 65_536  # callbacks that wait for clients of other processes


class QueuedEvent(NamedTuple):
    """An event encoded for the clients here, and its arguments for other processes."""

    body: Body
    name: str
    arguments: Body


class QueueManager(ConnectedRooms):
    """Reaches the clients of this process directly, and those of others through a message broker.

    `from_url` makes it.

    Args:
        url: The broker, as the log names it.
        make_driver: Makes the connections to the broker.
        write_only: Whether the process has no server, and only emits.
        json: The JSON module of a process without a server.

    Attributes:
        carrier: Sends something along with events, if it is set.
    """

    def __init__(
        self, url: str, make_driver: Callable[[], Driver], write_only: bool = False, json: Any = None
    ) -> None:
        super().__init__(url, make_driver, write_only)
        self._json_codec = JSONCodec(json)
        self.carrier: Carrier | None = None
        self._received = Repetitions()
        self._remote_callbacks: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._last_callback = 0

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
        volatile: bool = False,
        ignore_queue: bool = False,
        **kwargs: Any,
    ) -> Sent:
        """Send an event to clients of all processes; see `asyncsock.AsyncServer.emit`.

        Raises:
            ValueError: A callback was given, but no client.
            RuntimeError: A callback was given in a process without a server.
        """
        room = room if to is None else to
        namespace = namespace or "/"
        if ignore_queue or self._is_here(room, namespace):
            return super().emit(event, data, namespace, room, skip_sid, callback, volatile=volatile)
        encoded = self.encode(event, data)
        return self.deliver(encoded, namespace, room, skip_sid, callback, volatile=volatile)

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
        volatile: bool = False,
    ) -> Sent:
        event: QueuedEvent = encoded
        fields = None
        if not (ignore_queue or self._is_here(room, namespace) or _is_nobody(room)):
            answer_to = self._expect_answer(room, namespace, callback) if callback is not None else None
            fields = wire.emit_fields(
                event.name, event.arguments, namespace, room, skip_sid, answer_to, self.inbox_name, volatile
            )
            if self.carrier is not None:
                fields["trace"] = self.carrier.outgoing()
        recipients = self.table.recipients(namespace, room, skip_sid)
        is_for_here = bool(recipients) or self._is_awaited(namespace, room)
        sent = SENT
        if is_for_here:
            sent = self._send(event.body, namespace, room, skip_sid, recipients, callback, volatile)
        if fields is None:
            return sent
        published = self._publish(fields, droppable=True)
        if self.recovery is not None and self._publisher is not None and callback is None and not volatile:
            log, source = self.recovery.log, (self._publisher.host_id, self._publisher.last_number)
            if is_for_here:
                log.mark_last(source)
            else:
                body = self.server.codec.detach(event.body)
                log.has_passed(source, namespace, room, skip_sid, len(event.arguments.data), lambda: body)
        return published if sent is SENT else SentAndWaiting(partial(_wait_for_both, sent, published))

    @counts_as_coroutine
    def enter_room(self, sid: str, namespace: str, room: Any, eio_sid: str | None = None) -> Sent:
        if self._is_here(sid, namespace):
            return super().enter_room(sid, namespace, room)
        check_room(room)
        refuse_sid_room(sid, room)
        return self._publish(wire.client_fields("enter_room", namespace, sid, room))

    @counts_as_coroutine
    def leave_room(self, sid: str, namespace: str, room: Any) -> Sent:
        is_here = self._is_here(sid, namespace)
        sent: Sent = super().leave_room(sid, namespace, room)  # one that has lost its connection, too
        return sent if is_here else self._publish(wire.client_fields("leave_room", namespace, sid, room))

    @counts_as_coroutine
    def close_room(self, room: Any, namespace: str) -> Sent:
        check_room(room)
        fields = wire.client_fields("close_room", namespace, room=room)
        super().close_room(room, namespace)
        return self._publish(fields)

    def disconnect_elsewhere(self, sid: str, namespace: str) -> Sent:
        if self._is_here(sid, namespace):
            return SENT  # it is leaving already
        return self._publish(wire.client_fields("disconnect", namespace, sid))

    # Where clients are

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
        if isinstance(callback, Answer):
            callback.kept_in(self._remote_callbacks, self._last_callback)
        if len(self._remote_callbacks) > REMOTE_CALLBACKS:
            self._remote_callbacks.popitem(last=False)
        return [room, namespace, self._last_callback]

    def _answer(
        self, host_id: str, inbox: str | None, room: Any, namespace: str | None, id: int, *data: Any
    ) -> None:
        try:
            arguments = self._wire_codec.encode(list(data))
        except NotEncodable as error:
            if lines.allow(self._health.name):
                name, why = self._health.name, printable(str(error))
                logger.warning("message queue %s: an acknowledgement is lost: %s", name, why)
            return
        fields = wire.callback_fields(host_id, room, namespace, id, arguments)
        if self.carrier is not None:
            fields["trace"] = self.carrier.outgoing()
        self._publish(fields, inbox=inbox if self.inbox_name is not None else None)

    # Receiving

    def _receive(self, messages: Sequence[bytes]) -> None:
        own_mark = self._own_mark
        for encoded in messages:
            if own_mark in encoded[-wire.MARK_WITHIN :]:
                self._replayed()
                continue
            try:
                message = wire.decode(encoded)
                if isinstance(encoded, Letter):
                    self._inbox.receive(message)
                elif self._received.include(message):
                    continue
                elif self._is_replaying:
                    self._handle_old(message)
                else:
                    self._handle(message)
            except Exception as error:
                self._health.ignored(error)

    def _handle_old(self, message: wire.Message) -> None:
        """Take a message that is older than this process: a client that comes back may have missed it."""
        if message.method == "emit":
            self._handle_emit(message, message.namespace or "/", is_old=True)
        elif message.method == "cluster" and message.to is None:
            self._told.receive(message, is_old=True)

    def _handle(self, message: wire.Message) -> None:
        namespace = message.namespace or "/"
        if message.method == "emit":
            self._handle_emit(message, namespace)
        elif message.method == "callback":
            self._handle_callback(message)
        elif message.method == "cluster":
            if message.to is None or message.to == self.process_name:
                self._told.receive(message)
        elif isinstance(message.room, list):
            raise ValueError("a list of rooms in place of one")
        elif message.method == "close_room":
            self.basic_close_room(message.room, namespace)
        elif not isinstance(message.sid, str):
            return
        elif message.method == "enter_room" and self._is_here(message.sid, namespace):
            self.basic_enter_room(message.sid, namespace, message.room)
        elif message.method == "leave_room":
            self.basic_leave_room(message.sid, namespace, message.room)
        elif message.method == "disconnect":
            self.server.disconnect(message.sid, namespace, ignore_queue=True)

    def _handle_emit(self, message: wire.Message, namespace: str, is_old: bool = False) -> None:
        recipients = {} if is_old else self.table.recipients(namespace, message.room, message.skip_sid)
        is_for_here = bool(recipients) or self._is_awaited(namespace, message.room)
        if not is_for_here and self.recovery is None:
            return
        if message.event is None:
            raise ValueError("an event without a name")
        callback: Callable[..., Any] | None = None
        if message.callback is not None and message.host_id is not None:
            callback = partial(self._answer, message.host_id, message.inbox, *message.callback)
        room, skip_sid, volatile = message.room, message.skip_sid, bool(message.volatile)
        if is_for_here:
            body = self._body_of(message)
            if self.carrier is None:
                self._send(body, namespace, room, skip_sid, recipients, callback, volatile)
            else:
                with self.carrier.delivering(message.trace, message.event, namespace):
                    if callback is not None:
                        callback = self.carrier.callback(callback, message.event, namespace)
                    self._send(body, namespace, room, skip_sid, recipients, callback, volatile)
        if self.recovery is None or message.sender is None or callback is not None or volatile:
            return
        log, source = self.recovery.log, (message.sender, message.seq)
        if is_for_here:
            log.mark_last(source)
        else:
            size, make_body = len(message.data), partial(self._body_of, message)
            log.has_passed(source, namespace, room, skip_sid, size, make_body)

    def _body_of(self, message: wire.Message) -> Body:
        assert message.event is not None
        return self._body(message.event, wire.event_arguments(message))

    def seen(self) -> dict[str, int]:
        """The number of the last message of each process that has come here lately; its own too."""
        seen = self._received.last(SEEN_SENDERS)
        if self._publisher is not None:
            seen[self._publisher.host_id] = self._publisher.last_number
        return seen

    def _handle_callback(self, message: wire.Message) -> None:
        publisher = self._publisher
        if publisher is None or message.host_id != publisher.host_id or message.id is None:
            return
        if message.id in self._remote_callbacks:
            data = self._wire_codec.load(wire.callback_arguments(message))
            callback = self._remote_callbacks.pop(message.id)
            if self.carrier is None:
                self._call(callback, data)
            else:
                with self.carrier.answered(message.trace):
                    self._call(callback, data)

    def _call(self, callback: Callable[..., Any], data: list[Any]) -> None:
        self.server.eio.tasks.spawn(call_and_await(callback, tuple(data)))


def _is_nobody(room: Any) -> bool:
    """Whether this is an empty list of rooms, which is an error in a server of python-socketio."""
    return room is not None and not isinstance(room, str) and hasattr(room, "__len__") and not len(room)


async def _wait_for_both(first: Sent, second: Sent) -> None:
    await first
    await second
