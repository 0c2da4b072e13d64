"""What goes along with events between processes, for those who follow them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol


class Carrier(Protocol):
    """Sends something along with events, such as where a trace goes on, and takes what others have sent."""

    def outgoing(self) -> dict[str, str]:
        """What is to go along with a message that is about to be published."""

    def delivering(self, brought: Any, event: str, namespace: str) -> AbstractContextManager[Any]:
        """What surrounds sending an event of another process to the clients here.

        Args:
            brought: What has come along with it; it can be anything.
            event: Its name.
            namespace: Its namespace.
        """

    def callback(self, callback: Callable[..., Any], event: str, namespace: str) -> Callable[..., Any]:
        """What is called in the place of the callback of an event that is being delivered."""

    def answered(self, brought: Any) -> AbstractContextManager[Any]:
        """What surrounds calling a callback whose client is connected to another process.

        Args:
            brought: What has come along with the acknowledgement; it can be anything.
        """

    def sending(self, operation: str, event: str, namespace: str) -> AbstractContextManager[Any]:
        """What surrounds an operation that sends an event to all processes: ``send`` or ``call``."""

    def handler(
        self, brought: Any, event: str, namespace: str, handler: Callable[..., Any]
    ) -> Callable[..., Any]:
        """What is called in the place of a handler of an event of another server.

        Args:
            brought: What has come along with the event; it can be anything.
        """


def sending(
    carrier: Carrier | None, operation: str, event: str, namespace: str
) -> AbstractContextManager[Any]:
    """The same as `Carrier.sending`, also where there is no carrier."""
    return nullcontext() if carrier is None else carrier.sending(operation, event, namespace)


def delivering(
    carrier: Carrier | None, brought: Any, event: str, namespace: str
) -> AbstractContextManager[Any]:
    """The same as `Carrier.delivering`, also where there is no carrier."""
    return nullcontext() if carrier is None else carrier.delivering(brought, event, namespace)
