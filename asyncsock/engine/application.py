"""The interface of an application: what `EngineServer.serve` takes."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from .session import Session


class Application(Protocol):
    """What the engine tells about sessions and messages. Its methods are called on the event loop."""

    def connect(self, session: Session) -> Any:
        """A client asks for a session.

        Returns:
            None or True to accept it; another value to refuse it, and text is then sent to the client as the
            reason; or an awaitable of such a value.
        """

    def message(self, session: Session, message: str | bytes) -> None:
        """A client has sent a message.

        Args:
            session: The client's session.
            message: A text message with its type digit, ``'4...'``, or a binary message.

        Raises:
            BadPacket: The message breaks the protocol; the session is closed.
        """

    def disconnect(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        """A session has ended.

        Returns:
            A future that is done when nothing uses the session any more; None if that is so already.
        """

    def upgraded(self, session: Session) -> None:
        """A session has moved from polling to a WebSocket."""

    def left_loop(self) -> None:
        """The event loop has ended: its sessions are forgotten, and `disconnect` is not called for them."""
