"""The tasks that handle events: which run, for which session, and where their errors go."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from .limits import Limits
from .log import printable
from .log_lines import LINES_OF_ERROR, LogLines

# What ends a handler from outside. Whatever else it raises is its own error, also SystemExit and
# KeyboardInterrupt: out of a task, these two would end the event loop. Ctrl+C itself is not raised in a
# handler, because servers handle its signal.
CANCELLATIONS = (asyncio.CancelledError, GeneratorExit)
EAGER_TASKS = sys.version_info >= (3, 12)  # whether a task can run up to its first suspension at once
T = TypeVar("T")


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs in this thread, if one does."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class HasTasks(Protocol):
    """A session whose events are handled by tasks."""

    sid: str
    unfinished: int
    stopped: bool

    def stop(self) -> None:
        """Leave unread what its client sends, until `ready` is called."""

    def ready(self) -> None:
        """Note that fewer of its tasks run."""


class Handling(Protocol):
    """What handles an event without a task."""

    def cancel(self) -> object:
        """End now, as a task does that is cancelled."""

    def ending(self) -> asyncio.Future[None]:
        """A future that ends when this does."""


class Tasks:
    """Runs the handlers of a server as tasks, and holds each until it ends.

    Tasks begin in the order in which they were given here, so handlers start in the order in which their
    events came: from Python 3.12 on each begins at once, and before that the loop keeps the order.

    They are counted for each session, and one with ``max_pending_events`` of them is not read.

    Args:
        logger: Where their errors are logged.
        limits: What clients may do.

    Attributes:
        log_lines: Decides which lines that clients cause are logged.
        running: The tasks, and what handles events without one, by the keys that they were given with; each
            with the session whose event it handles.
        on_error: Called with each exception that a handler raises, and with each result that cannot be sent.
        watchers: Called with the same, in the context of the task.
    """

    def __init__(self, logger: logging.Logger, limits: Limits) -> None:
        self.logger = logger
        self.log_lines = LogLines(logger)
        self._limits = limits
        self.running: dict[object, tuple[asyncio.Task[Any] | Handling, HasTasks | None]] = {}
        self.on_error: Callable[[BaseException], Any] | None = None
        self.watchers: list[Callable[[BaseException], Any]] = []
        self._last_in_turn: dict[str, asyncio.Task[Any]] = {}

    def __len__(self) -> int:
        return len(self.running)

    def spawn(
        self, coroutine: Coroutine[Any, Any, Any], session: HasTasks | None = None
    ) -> asyncio.Task[Any]:
        """Run a coroutine as a task whose errors are logged.

        Args:
            coroutine: What to run.
            session: The session whose event it handles; when the server stops, it is closed last.
        """
        return self.start(self._supervise(coroutine), coroutine, session)

    def start(
        self, supervised: Coroutine[Any, Any, Any], key: object, session: HasTasks | None
    ) -> asyncio.Task[Any]:
        """Run a coroutine that itself calls `failed`, and `ended` with its key.

        It is a cheaper `spawn`.
        """
        loop = asyncio.get_running_loop()
        name = session.sid if session is not None else None
        if EAGER_TASKS:
            task = asyncio.Task(supervised, loop=loop, name=name, eager_start=True)  # type: ignore[call-arg]
            if task.done():
                return task
        else:
            task = asyncio.Task(supervised, loop=loop, name=name)
        self.hold(task, key, session)
        return task

    def hold(self, task: asyncio.Task[Any] | Handling, key: object, session: HasTasks | None) -> None:
        """Note what handles an event, until it calls `ended` with the key."""
        self.running[key] = task, session
        if session is not None:
            session.unfinished += 1
            if session.unfinished >= self._limits.max_pending_events and not session.stopped:
                self._limits.hits["max_pending_events"] += 1
                session.stop()

    def ended(self, key: object) -> None:
        """Forget a task that is about to end, if it has run on after its first step."""
        entry = self.running.pop(key, None)
        if entry is not None and entry[1] is not None:
            session = entry[1]
            session.unfinished -= 1
            if session.stopped and session.unfinished <= self._limits.max_pending_events // 2:
                session.ready()

    def endings(self) -> dict[asyncio.Future[Any], HasTasks | None]:
        """What ends when each of those that run does, with the session whose event it handles."""
        return {
            task if isinstance(task, asyncio.Future) else task.ending(): session
            for task, session in self.running.values()
        }

    def in_turn(self, coroutine: Awaitable[Any], session: HasTasks) -> asyncio.Task[Any]:
        """Run a coroutine after all those that were given here before for the same session.

        Returns:
            A task that ends when the coroutine has ended.
        """
        sid = session.sid
        previous = self._last_in_turn.get(sid)
        task = self._last_in_turn[sid] = self.spawn(self._run_after(previous, coroutine, sid), session)
        return task

    async def spare_loop(self, coroutine: Coroutine[Any, Any, T]) -> T | None:
        """Run a coroutine whose errors its caller gets. Those that would end the event loop are logged."""
        try:
            return await coroutine
        except (Exception, *CANCELLATIONS):
            raise
        except BaseException as error:
            self.failed(error)
            return None

    def failed(self, error: BaseException) -> None:
        """Log what a handler raised, with its traceback."""
        self.log_lines.error("error in a handler", error)
        self._tell(error)

    def result_failed(self, error: Exception) -> None:
        """Log why the result of a handler cannot be sent, in one line."""
        if self.log_lines.allow("results", LINES_OF_ERROR):
            self.logger.error("%s", printable(str(error)))
        self._tell(error)

    def clear(self) -> None:
        """Forget the tasks of an event loop that is over."""
        self.running.clear()
        self._last_in_turn.clear()

    def _tell(self, error: BaseException) -> None:
        for watcher in self.watchers:
            watcher(error)
        if self.on_error is not None:
            self.on_error(error)

    async def _supervise(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await coroutine
        except CANCELLATIONS:
            raise
        except BaseException as error:
            self.failed(error)
        finally:
            self.ended(coroutine)

    async def _run_after(
        self, previous: asyncio.Task[Any] | None, coroutine: Awaitable[Any], sid: str
    ) -> None:
        if previous is not None and not previous.done():
            await asyncio.wait([previous])
        elif EAGER_TASKS:
            await asyncio.sleep(0)  # so that `in_turn` notes this task before the coroutine begins
        try:
            await coroutine
        finally:
            if self._last_in_turn.get(sid) is asyncio.current_task():
                del self._last_in_turn[sid]
