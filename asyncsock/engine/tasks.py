"""The tasks that handle events: which run, for which session, and where their errors go."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

EAGER_TASKS = sys.version_info >= (3, 12)  # whether a task can run up to its first suspension at once


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Tasks:
    """Runs the handlers of a server as tasks, and holds each until it ends.

    Tasks begin in the order in which they were given here, so handlers start in the order in which their
    events came: from Python 3.12 on each begins at once, and before that the loop keeps the order.

    Args:
        logger: Where their errors are logged.

    Attributes:
        running: The tasks by the keys that `start` was given, each with the session whose event it handles.
        on_error: Called with each exception that a handler raises, and with each result that cannot be sent.
    """

    def __init__(self, logger: logging.Logger) -> None:
        self.logger = logger
        self.running: dict[object, tuple[asyncio.Task[Any], str | None]] = {}
        self.on_error: Callable[[Exception], Any] | None = None
        self._last_in_turn: dict[str, asyncio.Task[Any]] = {}

    def __len__(self) -> int:
        return len(self.running)

    def spawn(self, coroutine: Coroutine[Any, Any, Any], sid: str | None = None) -> asyncio.Task[Any]:
        """Run a coroutine as a task whose errors are logged.

        Args:
            coroutine: What to run.
            sid: The session whose event it handles; when the server stops, that session is closed last.
        """
        return self.start(self._supervise(coroutine), coroutine, sid)

    def start(self, supervised: Coroutine[Any, Any, Any], key: object, sid: str | None) -> asyncio.Task[Any]:
        """Run a coroutine that itself calls `failed` and removes `key` from `running`: a cheaper `spawn`."""
        loop = asyncio.get_running_loop()
        if EAGER_TASKS:
            task = asyncio.Task(supervised, loop=loop, name=sid, eager_start=True)  # type: ignore[call-arg]
            if task.done():
                return task
        else:
            task = asyncio.Task(supervised, loop=loop, name=sid)
        self.running[key] = task, sid
        return task

    def in_turn(self, coroutine: Coroutine[Any, Any, Any], sid: str) -> asyncio.Task[Any]:
        """Run a coroutine after all those that were given here before for the same session.

        Returns:
            A task that ends when the coroutine has ended.
        """
        previous = self._last_in_turn.get(sid)
        task = self._last_in_turn[sid] = self.spawn(self._run_after(previous, coroutine, sid), sid)
        return task

    def failed(self, error: Exception) -> None:
        """Log what a handler raised, with its traceback."""
        self.logger.error("error in a handler", exc_info=error)
        self._tell(error)

    def result_failed(self, error: Exception) -> None:
        """Log why the result of a handler cannot be sent, in one line."""
        self.logger.error("%s", error)
        self._tell(error)

    def clear(self) -> None:
        """Forget the tasks of an event loop that is over."""
        self.running.clear()
        self._last_in_turn.clear()

    def _tell(self, error: Exception) -> None:
        if self.on_error is not None:
            self.on_error(error)

    async def _supervise(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        except Exception as error:
            self.failed(error)
        finally:
            self.running.pop(coroutine, None)

    async def _run_after(
        self, previous: asyncio.Task[Any] | None, coroutine: Coroutine[Any, Any, Any], sid: str
    ) -> None:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        try:
            await coroutine
        finally:
            if self._last_in_turn.get(sid) is asyncio.current_task():
                del self._last_in_turn[sid]
