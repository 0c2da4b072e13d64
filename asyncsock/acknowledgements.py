"""Acknowledges events to clients, and reports the errors of handlers."""

from __future__ import annotations

from collections.abc import Callable
from logging import Logger
from typing import Any

from .codec.base import Codec, Incoming
from .codec.not_encodable import NotEncodable, describe_failure
from .connection import Connection
from .engine import EngineServer
from .engine.log import printable, shown
from .typed.invalid_payload import InvalidPayload
from .types import Handler


class Acknowledgements:
    """Ends an event after its handler, of whatever kind that is.

    Args:
        engine: The engine that the clients are connected to.
        codec: Encodes the packets.
        logger: Where it is logged what clients have sent wrong.

    Attributes:
        ended: Called with the packet of each event when its handler has ended and it has been acknowledged.
    """

    def __init__(self, engine: EngineServer, codec: Codec, logger: Logger) -> None:
        self.ended: Callable[[Incoming], None] = engine.tasks.ended
        self._failed = engine.tasks.failed
        self._server_logger = logger
        self._result_failed = engine.tasks.result_failed
        self._outboxes = engine.outboxes
        self._codec = codec

    def send(
        self, connection: Connection, sid: str, packet: Incoming, id: int, handler: Handler, result: Any
    ) -> None:
        """Acknowledge an event with the result of its handler, unless the client has left meanwhile.

        A packet that is not acknowledged has no id any more.
        """
        client = connection.clients.get(packet.namespace)
        if client is None or client.sid != sid:
            packet.id = None
            return
        try:
            answers = self._codec.acknowledge(packet.namespace, id, result)
        except Exception as error:
            packet.id = None
            if isinstance(error, NotEncodable):
                error.from_data(result, 0)
            event, why = packet.data[0], describe_failure(error)
            whose = f"the result of {_name_of(handler, event):.200} for event {event!r:.100}"
            self._result_failed(TypeError(f"{whose} cannot be sent: {why}"))
            return
        for answer in answers:
            self._outboxes.put(client.target, answer)

    def failed(self, connection: Connection, sid: str, packet: Incoming, error: BaseException) -> None:
        """Report an exception that the handler of an event has raised: that is not acknowledged.

        But a client is told what was wrong with its own data.
        """
        if isinstance(error, InvalidPayload):
            text = 'event "%s" from %s is not what its handler takes: %s at %s'
            what = printable(error.message), printable(error.path)
            connection.session.warn(self._server_logger, text, shown(packet.data[0]), sid, *what)
            if packet.id is not None:
                self.send(connection, sid, packet, packet.id, error.answer, error.answer())
            return
        packet.id = None
        self._failed(error)


def _name_of(handler: Handler, event: str) -> str:
    """The name of the application's function that a handler calls."""
    function = getattr(handler, "function", handler)
    owner = getattr(function, "__self__", None)
    if owner is not None and hasattr(type(owner), f"on_{event}"):
        return f"{type(owner).__module__}.{type(owner).__qualname__}.on_{event}"
    return f"{getattr(function, '__module__', '')}.{getattr(function, '__qualname__', repr(function))}"
