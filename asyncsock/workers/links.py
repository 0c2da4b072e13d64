"""Connections to processes of other hosts, through the inboxes that a message broker has for processes.

A broker may lose messages. So each carries its number, and one that is missing ends the connection: both ends
see what they would see of a stream that was reset.
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Protocol

from .frames import FrameConnection
from .host_frames import HostIncoming, HostOutgoing

HEAD = struct.Struct("<BQI")  # kind, number of the connection, number of the message in its direction
# Kinds of messages: from who asks, from the owner of the sessions, from either one, and from one that stops.
ASK, ANSWER, END, LEAVE = range(4)
CHUNK = 4 * 1024 * 1024  # bytes in a message
LOOK = 0.2  # seconds between looks at all links
ANSWER_TIME = 2.0  # seconds after which an owner that has said nothing counts as gone
SIGN = 5.0  # seconds after which who asks wants a sign of life
SILENCE = 15.0  # seconds without any after which who asks counts as gone
IDLE = 30.0  # seconds without a request after which who asks ends the connection


class Post(Protocol):
    """A message broker with inboxes: `asyncsock.queues.QueueManager`."""

    def on_data(self, handler: Callable[[str, bytes], None] | None) -> None:
        """Have a function called with who sends data to this process, and these."""

    def send_to(self, inbox_name: str, data: bytes) -> object:
        """Send data to a process; if it is not there, they are lost."""


class Link(ABC):
    """One end of a connection: it is the transport of a `FrameConnection`.

    Times are counted in looks, so that an event loop that was busy takes nobody for gone.

    Args:
        post: The broker.
        name: The process at the other end.
        number: The number of the connection.
        frames: Writes to it, and gets what arrives.

    Attributes:
        is_answered: Whether a message has come after the last one that went.
    """

    kind: ClassVar[int]  # of what this end sends

    def __init__(self, post: Post, name: str, number: int, frames: FrameConnection) -> None:
        self.name = name
        self.number = number
        self._frames = frames
        self._post = post
        self._sent = 0  # messages
        self._received = 0
        self._looks_since_sent = 0
        self._looks_since_received = 0
        self.is_answered = True
        frames.connection_made(self)

    def look(self) -> None:
        """Called every `LOOK` seconds."""
        self._looks_since_sent += 1
        self._looks_since_received += 1
        self.judge()

    @abstractmethod
    def judge(self) -> None:
        """Send a sign of life if it is time for one, or end the connection if there was none for too long."""

    def received(self, index: int, data: bytes) -> None:
        """Take a message from the other end."""
        if index != self._received:
            self.abort()
            return
        self._received += 1
        self._looks_since_received = 0
        self.is_answered = True
        if data:
            self._frames.data_received(data)

    def write(self, data: bytes) -> None:
        """Send bytes; none are a sign of life."""
        for start in range(0, len(data) or 1, CHUNK):
            head = HEAD.pack(self.kind, self.number, self._sent)
            self._post.send_to(self.name, head + data[start : start + CHUNK])
            self._sent += 1
        self._looks_since_sent = 0
        self.is_answered = False

    def get_write_buffer_size(self) -> int:
        """None: what waits for the broker is bounded there."""
        return 0

    def abort(self) -> None:
        """End the connection, at both ends."""
        if self._frames.is_open:
            self._post.send_to(self.name, HEAD.pack(END, self.number, 0))
            self.lost()

    def lost(self) -> None:
        """Note that the connection has ended."""
        if self._frames.is_open:
            self._frames.connection_lost(None)


class AskingLink(Link):
    """The end of the process that has requests for sessions of the other one.

    Attributes:
        outgoing: These requests.
    """

    kind = ASK

    def __init__(self, post: Post, name: str, number: int, outgoing: HostOutgoing) -> None:
        super().__init__(post, name, number, outgoing)
        self.outgoing = outgoing
        self._looks_unanswered = 0
        self._looks_unused = 0

    def judge(self) -> None:
        self._looks_unused = 0 if len(self.outgoing) else self._looks_unused + 1
        self._looks_unanswered = 0 if self.is_answered else self._looks_unanswered + 1
        if self._looks_unanswered * LOOK > ANSWER_TIME or self._looks_unused * LOOK > IDLE:
            self.abort()
        elif self.is_answered and self._looks_since_sent * LOOK > SIGN:
            self.write(b"")

    def received(self, index: int, data: bytes) -> None:
        self._looks_unanswered = 0
        super().received(index, data)


class AnsweringLink(Link):
    """The end of the process that has the sessions."""

    kind = ANSWER

    def __init__(self, post: Post, name: str, number: int, incoming: HostIncoming) -> None:
        super().__init__(post, name, number, incoming)

    def judge(self) -> None:
        if self._looks_since_received * LOOK > SILENCE:
            self.abort()
        elif self.is_answered:  # the other end has sent something since
            self.write(b"")


def parse(data: bytes) -> tuple[int, int, int, bytes]:
    """The kind of a message, the number of its connection, its own number, and what it carries.

    Raises:
        ValueError: It is malformed.
    """
    if len(data) < HEAD.size or data[0] > LEAVE:
        raise ValueError("malformed data from another host")
    kind, number, index = HEAD.unpack_from(data)
    return kind, number, index, data[HEAD.size :]
