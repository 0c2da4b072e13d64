"""The callbacks of events that clients have not acknowledged, and the answers that `call` waits for."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from socketio import exceptions

from .engine.log import shown
from .types import Handler

MOST_CALLBACKS = 10_000  # of one client; beyond, the oldest is dropped
DROPPED_INTERVAL = 60.0  # seconds at least between two log lines about callbacks that were dropped
logger = logging.getLogger("asyncsock.server")
_dropped_line_at = -DROPPED_INTERVAL


class Callbacks(OrderedDict[int, Handler]):
    """What to call when a client acknowledges an event, by the id of the event: at most `MOST_CALLBACKS`.

    Args:
        sid: The client, as the log names it.
    """

    def __init__(self, sid: str) -> None:
        super().__init__()
        self._sid = sid
        self._last_id = 0

    def add(self, callback: Handler) -> int:
        """Keep a callback. Returns the id of its event, which is above those before."""
        self._last_id = id = self._last_id + 1
        self[id] = callback
        if isinstance(callback, Kept):
            callback.kept_in(self, id)
        if len(self) > MOST_CALLBACKS:
            self.popitem(last=False)
            _log_dropped(self._sid)
        return id

    def abandon(self) -> None:
        """Note that the client has left, and will acknowledge nothing."""
        for callback in list(self.values()):
            if isinstance(callback, Kept):
                callback.abandoned()


class Kept:
    """A callback that knows where it is kept."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: list[tuple[MutableMapping[int, Any], int]] = []

    def __call__(self, *args: Any) -> None:
        raise NotImplementedError

    def abandoned(self) -> None:
        """Called when a client that was to call it has left."""

    def kept_in(self, callbacks: MutableMapping[int, Any], id: int) -> None:
        """Note where it is kept."""
        self._kept.append((callbacks, id))

    def forget(self) -> None:
        """Remove it from where it is kept, because nobody waits for it any more."""
        for callbacks, id in self._kept:
            callbacks.pop(id, None)
        self._kept.clear()


class Answer(Kept):
    """A callback whose call is awaited, once: by `call`."""

    __slots__ = ("_arguments",)

    def __init__(self) -> None:
        super().__init__()
        self._arguments: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def __call__(self, *args: Any) -> None:
        if not self._arguments.done():
            self._arguments.set_result(args)

    def at_end(self, function: Callable[[asyncio.Future[tuple[Any, ...]]], object]) -> None:
        """Have a function called with the future of the arguments, when it is done or cancelled."""
        self._arguments.add_done_callback(function)

    async def wait(self, timeout: float | None) -> Any:
        """Wait for the call, and return its arguments as `as_result` does.

        Raises:
            socketio.exceptions.TimeoutError: It did not come within so many seconds.
        """
        try:
            return as_result(await asyncio.wait_for(self._arguments, timeout))
        except asyncio.TimeoutError:
            raise exceptions.TimeoutError() from None


def as_result(arguments: tuple[Any, ...]) -> Any:
    """What a client has acknowledged with: its argument, a tuple of several, or None."""
    if not arguments:
        return None
    return arguments if len(arguments) > 1 else arguments[0]


async def answer_to(emit: Callable[..., Awaitable[Any]], timeout: float | None) -> Any:
    """Emit an event with a callback, and return what it is acknowledged with, as `Answer.wait` does.

    Args:
        emit: Emits the event with the callback that it is given.
        timeout: Seconds to wait.
    """
    answer = Answer()
    try:
        await emit(callback=answer)
        return await answer.wait(timeout)
    finally:
        answer.forget()


def _log_dropped(sid: str) -> None:
    global _dropped_line_at
    now = time.monotonic()
    if now >= _dropped_line_at + DROPPED_INTERVAL:
        _dropped_line_at = now
        logger.warning(
            "client %s has not acknowledged %d events: the oldest of their callbacks are dropped. "
            "Emit without a callback where no answer is needed",
            shown(sid),
            MOST_CALLBACKS,
        )
