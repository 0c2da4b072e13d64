"""The handlers that `EngineServer.on` registers: the application of a server that was given no other."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from .session import Session
from .signatures import fit
from .tasks import Tasks

EVENTS = ("connect", "disconnect", "message")


class Handlers:
    """Calls the handler of an event, and runs it as a task if it is a coroutine.

    Args:
        tasks: What runs them.
        async_handlers: Whether coroutine handlers of one client's messages may overlap.

    Attributes:
        by_event: The handlers by the names of their events.
    """

    def __init__(self, tasks: Tasks, async_handlers: bool) -> None:
        self.by_event: dict[str, Callable[..., Any]] = {}
        self.async_handlers = async_handlers
        self._tasks = tasks

    def register(self, event: str, handler: Callable[..., Any]) -> None:
        """Have a handler called for one of the `EVENTS`."""
        self.by_event[event] = fit(handler, 2) if event == "disconnect" else handler

    # Application

    def connect(self, session: Session) -> Any:
        handler = self.by_event.get("connect")
        return handler(session.sid, session.environ) if handler is not None else None

    def message(self, session: Session, message: str | bytes) -> None:
        handler = self.by_event.get("message")
        if handler is None:
            return
        result = handler(session.sid, message[1:] if isinstance(message, str) else message)
        if result is not None and inspect.iscoroutine(result):
            run = self._tasks.spawn if self.async_handlers else self._tasks.in_turn
            run(result, session)

    def disconnect(self, session: Session, reason: str) -> asyncio.Future[Any] | None:
        handler = self.by_event.get("disconnect")
        result = handler(session.sid, reason) if handler is not None else None
        if inspect.iscoroutine(result):
            return self._tasks.spawn(result, session)
        return result if isinstance(result, asyncio.Future) else None

    def upgraded(self, session: Session) -> None:
        pass

    def left_loop(self) -> None:
        pass
