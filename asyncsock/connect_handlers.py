"""Which connect handler is running where the caller is, if any."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class _Asking:
    """A connect handler. Tasks and threads that it starts see it too, also when it has ended."""

    __slots__ = ("ended", "sid", "task")

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.task = asyncio.current_task()
        self.ended = False


_asking: ContextVar[_Asking | None] = ContextVar("asking", default=None)


@contextmanager
def asking(sid: str) -> Iterator[None]:
    """Mark the block as a client's connect handler."""
    handler = _Asking(sid)
    _asking.set(handler)
    try:
        yield
    finally:
        handler.ended = True


def refuse_call_in_connect_handler_of(sid: str | None) -> None:
    """Refuse to wait for a client's answer in its own connect handler.

    Raises:
        RuntimeError: The caller is that handler: its own task, or a thread that works for it.
    """
    handler = _asking.get()
    if handler is None or handler.sid != sid or handler.ended:
        return
    try:
        is_caller = asyncio.current_task() is handler.task
    except RuntimeError:  # there is no event loop in this thread
        is_caller = True
    if is_caller:
        raise RuntimeError(
            "call() cannot be answered in the client's own connect handler: until that has ended, the "
            "client gets no event. Call it from a background task, or use always_connect=True"
        )
