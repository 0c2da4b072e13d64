"""What processes send each other. Large data go in parts, as brokers limit the size of a message."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from . import wire
from .repetitions import Repetitions

MAX_BYTES = 16 * 1024 * 1024  # of data that are sent at once
PART_BYTES = 512 * 1024  # of them in one message: NATS takes 1 MB by default, and base64 adds a third
UNFINISHED_BYTES = 32 * 1024 * 1024  # of data of which parts are missing, from all senders
COST_OF_PART = 200  # bytes that an unfinished part takes besides its own

Handler = Callable[[str, bytes], None]


def messages_with(
    data: bytes, method: str, sender: str | None, to: str | None = None
) -> Iterator[dict[str, Any]]:
    """The fields of the messages that bring data. They are to be numbered one after the other.

    Args:
        data: The data.
        method: ``data`` or ``cluster``.
        sender: The name of the sender, which is that of its inbox.
        to: The only process that is to take them.
    """
    for start in range(0, len(data) or 1, PART_BYTES):
        end = start + PART_BYTES
        is_last = end >= len(data)
        yield wire.part_fields(method, sender, data[start:end], is_first=not start, is_last=is_last, to=to)


class Unfinished:
    """The parts of data of which more are to come."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.last_seq = 0


class Parts:
    """Puts together data that have come in parts, one way."""

    def __init__(self) -> None:
        self._unfinished: OrderedDict[str, Unfinished] = OrderedDict()  # by sender, the last changed last
        self._size = 0  # bytes of them

    def add(self, message: wire.Message) -> bytes | None:
        """Take a part. Returns the data if it was the last one, or else None.

        Raises:
            ValueError: It is malformed, or a part before it was lost.
        """
        sender, attachments = message.sender, message.attachments
        if sender is None or not attachments:
            raise ValueError("data without a sender, or without a body")
        unfinished = self._take(sender)
        if message.is_first:
            unfinished = Unfinished()
        elif unfinished is None or message.seq != unfinished.last_seq + 1:
            raise ValueError("a part of the data was lost")
        unfinished.parts.append(attachments[0])
        unfinished.size += len(attachments[0]) + COST_OF_PART
        unfinished.last_seq = message.seq
        if message.is_last:
            return b"".join(unfinished.parts)
        self._keep(sender, unfinished)
        return None

    def _take(self, sender: str) -> Unfinished | None:
        unfinished = self._unfinished.pop(sender, None)
        if unfinished is not None:
            self._size -= unfinished.size
        return unfinished

    def _keep(self, sender: str, unfinished: Unfinished) -> None:
        self._unfinished[sender] = unfinished
        self._size += unfinished.size
        while self._size > UNFINISHED_BYTES:
            self._take(next(iter(self._unfinished)))


class Inbox:
    """Receives what is sent to this process alone.

    Args:
        answered: Called with each message that brings the answer to a callback.
        handlers: Called with the name of the sender and the data of each other message, by its method.
    """

    def __init__(self, answered: Callable[[wire.Message], None], handlers: Mapping[str, Handler]) -> None:
        self._answered = answered
        self._handlers = handlers
        self._received = Repetitions()
        self._parts = Parts()

    def receive(self, message: wire.Message) -> None:
        """Take a message that came to the inbox.

        Raises:
            ValueError: It is for no inbox, or a part of its data was lost.
        """
        if self._received.include(message):
            return
        if message.method == "callback":
            self._answered(message)
            return
        handler = self._handlers.get(message.method)
        if handler is None:
            raise ValueError(f"an inbox takes no {message.method!r}")
        if message.inbox is None:
            raise ValueError("data without a sender, or without a body")
        data = self._parts.add(message)
        if data is not None:
            handler(message.inbox, data)
