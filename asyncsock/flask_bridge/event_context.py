"""Entering the Flask context of an event, on the event loop or in a thread::

    event = EventContext(connection.replay(sid, namespace, message, args))

    async with event:  # a coroutine handler, on the loop
        await handler(*args)

    with event:  # a function, in a worker thread
        handler(*args)

`with` does all of it in place. `async with` runs in a thread what may block (a session store) or cannot run
on the loop (coroutines among the teardown functions), and lets a connection's events enter in the order in
which they came. Functions keep that order if `await event.open()` comes before their thread.
"""

from __future__ import annotations

from collections.abc import Awaitable
from functools import partial

from .context import ConnectionContext, ReplayedContext


class EventContext:
    """The Flask context of one event, entered with `with` in a thread or `async with` on the loop."""

    __slots__ = ("context",)

    def __init__(self, context: ReplayedContext) -> None:
        self.context = context

    @property
    def connection(self) -> ConnectionContext:
        """The connection that the event came from."""
        return self.context.connection

    def __enter__(self) -> EventContext:
        self.context.enter()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self.context.leave(error)

    async def __aenter__(self) -> EventContext:
        if self.connection.session_blocks:
            try:
                await self.open()
            except BaseException as error:
                self.context.bind()  # so that teardown frees what the session interface took
                await self.__aexit__(None, error, None)
                raise
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        try:
            connection, session = self.connection, self.context.opened_session
            if error is None and session is not None and connection.must_save(session):
                await connection.call_interface(partial(connection.save_session, session))
        except BaseException as failure:
            error = failure
            raise
        finally:
            if self.connection.teardown_awaits:
                self.context.unbind()
                await self.connection.call_blocking(self._bind_and_leave, error)
            else:
                self.context.leave(error, save=False)

    def open(self) -> Awaitable[None]:
        """Open a session that may block, in a thread, after those of earlier events, as `async with` does."""
        return self.connection.open_in_turn(self._open_session)

    def _open_session(self) -> None:
        self.context.bind()  # in the thread's copy of the context, so there is nothing to undo
        _ = self.context.session

    def _bind_and_leave(self, error: BaseException | None) -> None:
        self.context.bind()
        self.context.leave(error, save=False)
