"""Which connect handler the caller is in, if it is in one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


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
