"""Handlers that are functions: how one is called for an event, in a thread."""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from types import CoroutineType
from typing import Any

from ..engine.tasks import CANCELLATIONS
from ..types import Handler
from .context import ReplayedContext
from .errors import ErrorHandlers, outcome
from .event_context import EventContext
from .server import FlaskServer
from .thread_calls import Beginning, adopt


class FunctionCall(Beginning):
    """The call of a function for an event; later events of the connection wait until it has begun.

    Args:
        server: The server.
        errors: The error handlers.
        event: The context of the event.
        handler: The function.
        namespace: The namespace.
        args: What to call it with.

    Attributes:
        waits: Whether `turn` must be awaited before `call`.
    """

    __slots__ = (
        "_args",
        "_errors",
        "_event",
        "_handler",
        "_namespace",
        "_previous",
        "_server",
        "_variables",
        "waits",
    )

    def __init__(
        self,
        server: FlaskServer,
        errors: ErrorHandlers,
        event: ReplayedContext,
        handler: Handler,
        namespace: str,
        args: tuple[Any, ...],
    ) -> None:
        super().__init__()
        self._server = server
        self._errors = errors
        self._event = event
        self._handler = handler
        self._namespace = namespace
        self._args = args
        self._variables = copy_context()
        connection = event.connection
        self._previous: Beginning | None = connection.beginning
        previous = self._previous
        self.waits = connection.suspends or (previous is not None and not previous.begun)
        connection.beginning = self

    async def turn(self) -> None:
        """Wait until the functions of earlier events have begun, and open a session that may block."""
        if self._previous is not None and not self._previous.begun:
            await self._previous.wait()
        if self._event.connection.suspends:
            await EventContext(self._event).open()

    def call(self) -> asyncio.Future[Any]:
        """Call the function in a thread, and its error handler if it fails.

        Returns:
            A future of the result. If it is cancelled, the function is called all the same.
        """
        event = self._event
        return self._server.threads.call(
            event.connection.share, self._variables, self._run, event, self._args
        )

    def failed(self, error: BaseException) -> None:
        """Take over what the thread has set, if it has raised an error that is reported here.

        So whoever was told there of the error, such as Sentry, knows it again.
        """
        if not isinstance(error, CANCELLATIONS):
            adopt(self._variables)

    def finish(self) -> None:
        """Let later events go on, and the connection forget this one."""
        self.end()
        self._previous = None
        connection = self._event.connection
        if connection.beginning is self and not self._waiting:
            connection.beginning = None

    def _run(self, event: ReplayedContext, args: tuple[Any, ...]) -> Any:
        handler = self._handler
        event.enter()
        try:
            self.begin()
            try:
                result = without_coroutine(handler, handler(*args))
            except CANCELLATIONS:
                raise
            except BaseException as error:
                result = handle_error_here(self._server, self._errors, error, self._namespace)
        except BaseException as error:
            event.leave(error)
            raise
        event.leave()
        return result


def handle_error_here(
    server: FlaskServer, errors: ErrorHandlers, error: BaseException, namespace: str
) -> Any:
    """The same in a thread."""
    try:
        return outcome(error, server.app.ensure_sync(errors.handler_of(error, namespace))(error))
    except CANCELLATIONS:
        raise
    except BaseException as unhandled:
        server.reports.send(unhandled)
        raise


def without_coroutine(handler: Handler, result: Any) -> Any:
    """The result of a function.

    Raises:
        TypeError: It is a coroutine, which nobody awaits.
    """
    if type(result) is CoroutineType:
        result.close()
        raise TypeError(
            f"{handler!r} returned a coroutine, but is not a coroutine function: decorators around one must "
            "use functools.wraps"
        )
    return result
