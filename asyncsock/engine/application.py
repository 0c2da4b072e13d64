"""Who is told of the sessions of a server: what `EngineServer.serve` takes."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from .session import Session


class Application(Protocol):
    """What is served over the engine. It is called on the event loop."""

    def connect(self, session: Session) -> Any:
        """A client asks for a session.

        Returns:
            None or True to accept it, another value to refuse it, which the client is told if it is text; or
            an awaitable of such a value.
        """

    def message(self, session: Session, message: str | bytes) -> None:
        """A client has sent a message.

        Args:
            session: The client's session.
            message: A text message with its type digit, ``'4...'``, or a binary message.

        Raises:
            BadPacket: The session is to be closed because of it.
        """

    def disconnect(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        """A session has ended.

        Returns:
            What ends when nothing uses the session any more, if that is later.
        """

    def left_loop(self) -> None:
        """The event loop is over, and its sessions are forgotten without `disconnect`."""
