"""What the processes that share a message queue tell each other."""

from __future__ import annotations

from typing import Protocol

from . import wire
from .inbox import Parts


class Hearer(Protocol):
    """What hears the other processes that share a message queue."""

    def told(self, sender: str, data: bytes) -> None:
        """Take what a process tells all others, or this one; one that only writes to the queue has no name.

        Raises:
            ValueError: It is malformed.
        """

    def told_earlier(self, data: bytes) -> None:
        """Take what a process told all others before this one was there.

        Raises:
            ValueError: It is malformed.
        """

    def connected(self) -> None:
        """Note that this process has begun to listen, at first or again: something may have been missed."""

    def killed(self, listener: str) -> None:
        """Note that the process with a listener of that name was killed."""


class Told:
    """Passes on to one object what other processes tell this one, and what there is to know of them.

    Attributes:
        hearer: That object, if there is one.
    """

    def __init__(self) -> None:
        self.hearer: Hearer | None = None
        self._parts = Parts()

    def receive(self, message: wire.Message, is_old: bool = False) -> None:
        """Take a message that came to all processes, and is for this one.

        Args:
            message: The message.
            is_old: Whether it is older than this process.

        Raises:
            ValueError: It is malformed, or a part of it was lost.
        """
        data = self._parts.add(message)
        if data is not None and is_old:
            if self.hearer is not None:
                self.hearer.told_earlier(data)
        elif data is not None:
            self.take(message.inbox or "", data)

    def take(self, sender: str, data: bytes) -> None:
        """Take what is whole."""
        if self.hearer is not None:
            self.hearer.told(sender, data)

    def connected(self) -> None:
        """Note that this process has begun to listen."""
        if self.hearer is not None:
            self.hearer.connected()

    def killed(self, listener: str) -> None:
        """Note that the process with a listener of that name was killed."""
        if self.hearer is not None:
            self.hearer.killed(listener)
