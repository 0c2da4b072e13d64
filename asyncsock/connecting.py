"""Clients whose connect handler runs: what may be asked of them, and what is noted until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any


class _Asking:
    """A connect handler that runs, or has; what it has begun may run for longer."""

    __slots__ = ("ended", "sid", "task")

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.task = asyncio.current_task()
        self.ended = False


_asking: ContextVar[_Asking | None] = ContextVar("asking", default=None)


@contextmanager
def asking(sid: str) -> Iterator[None]:
    """Run a client's connect handler in the block."""
    handler = _Asking(sid)
    _asking.set(handler)
    try:
        yield
    finally:
        handler.ended = True


def in_connect_handler_of(sid: str) -> bool:
    """Whether the caller is a client's connect handler: its own task, or a thread that works for it."""
    handler = _asking.get()
    if handler is None or handler.sid != sid or handler.ended:
        return False
    try:
        return asyncio.current_task() is handler.task
    except RuntimeError:  # there is no event loop in this thread
        return True


class Connecting:
    """What python-socketio's client managers do not know of clients whose connect handler runs.

    Args:
        manager: The client manager. From here on it sends nothing to clients that were sent away.
    """

    def __init__(self, manager: Any) -> None:
        self._reasons: dict[tuple[str, str], str | None] = {}  # why a client is to leave, if it is
        self._sent_away: set[str] = set()
        self._find = manager.get_participants
        manager.get_participants = self._participants

    def _participants(self, namespace: str, room: Any) -> Iterable[tuple[str, str]]:
        found: Iterable[tuple[str, str]] = self._find(namespace, room)
        return [each for each in found if each[0] not in self._sent_away] if self._sent_away else found

    def __contains__(self, client: tuple[str, str]) -> bool:
        return client in self._reasons

    def begin(self, sid: str, namespace: str) -> None:
        """Note that a client's connect handler begins."""
        self._reasons[sid, namespace] = None

    def end(self, sid: str, namespace: str) -> None:
        """Forget a client whose connect handler has ended."""
        self._reasons.pop((sid, namespace), None)
        self._sent_away.discard(sid)

    def send_away(self, sid: str, namespace: str, reason: str) -> bool:
        """Note that a client is to leave when its connect handler has ended; False if none runs."""
        if (sid, namespace) not in self._reasons:
            return False
        self._reasons[sid, namespace] = self._reasons[sid, namespace] or reason
        self._sent_away.add(sid)
        return True

    def why_gone(self, sid: str, namespace: str) -> str | None:
        """Why a client is to leave, if it is."""
        return self._reasons.get((sid, namespace))
