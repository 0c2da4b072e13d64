"""Events whose handlers are functions: from the packet to the acknowledgement, if possible without a task."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from ..codec.base import Incoming
from ..connection import Connection
from ..engine.awaitables import SENT_TYPES, Sent
from ..engine.tasks import CANCELLATIONS, EAGER_TASKS
from ..routes import EventRun
from ..types import Handler
from .errors import ErrorHandlers
from .function_calls import FunctionCall
from .server import FlaskServer
from .thread_calls import LoopJob, raisable


class FunctionRoute(Protocol):
    """What an event needs to know of the route that it has come to."""

    server: FlaskServer
    errors: ErrorHandlers
    function: Handler
    message: str

    def __call__(self, *args: Any) -> Any:
        """Run the function, as `Route` says."""


class EventCall(FunctionCall, LoopJob, EventRun):
    """The call of a function for an event, and its acknowledgement.

    What comes after the thread is done in a callback of the event loop: a task that waits for the thread
    would take longer than that. There is one if the call has to wait before it begins, or if the function
    returns something to wait for.

    Args:
        route: The route.
        connection: The connection of the event.
        sid: Its client.
        packet: The event.
        args: What the function is called with.
    """

    __slots__ = (
        "_connection",
        "_ending",
        "_error",
        "_exchange",
        "_is_over",
        "_is_prepared",
        "_packet",
        "_result",
        "_route",
        "_sid",
    )

    def __init__(
        self,
        route: FunctionRoute,
        connection: Connection,
        sid: str,
        packet: Incoming,
        args: tuple[Any, ...],
    ) -> None:
        self._route = route
        self._connection = connection
        self._sid = sid
        self._packet = packet
        self._args = args
        self._result: Any = None
        self._error: BaseException | None = None
        self._is_prepared = self._is_over = False
        self._ending: asyncio.Future[None] | None = None

    def _prepare(self) -> None:
        """Make this a `FunctionCall`, behind those that were made one before."""
        route, connection, packet = self._route, self._connection, self._packet
        context = connection.context or route.server.context_of(connection)
        event = context.replay(self._sid, packet.namespace, route.message, self._args)
        super().__init__(route.server, route.errors, event, route.function, packet.namespace, self._args)
        self._is_prepared = True

    def _acknowledge(self, result: Any) -> None:
        packet, route = self._packet, self._route
        if packet.id is not None:
            acknowledgements = route.server.acknowledgements
            acknowledgements.send(self._connection, self._sid, packet, packet.id, route, result)

    # With a task

    def __await__(self) -> Generator[Any, Any, None]:
        return self._run_in_task().__await__()

    async def _run_in_task(self) -> None:
        with self._concluded():
            if not self._is_prepared:
                self._prepare()
            try:
                if self.waits:
                    await self.turn()
                result = await self.call()
            except BaseException as error:
                self.failed(error)
                raise
            finally:
                self.finish()
            if type(result) in SENT_TYPES:  # `return emit(...)`
                await result
                result = None
            self._acknowledge(result)

    async def _acknowledge_after(self, result: Sent) -> None:
        with self._concluded():
            await result
            self._acknowledge(None)

    @contextmanager
    def _concluded(self) -> Iterator[None]:
        """Report the error of what is done in the block, and take the event for ended after it."""
        acknowledgements = self._route.server.acknowledgements
        try:
            yield
        except CANCELLATIONS:
            raise
        except BaseException as error:
            acknowledgements.failed(self._connection, self._sid, self._packet, error)
        finally:
            acknowledgements.ended(self._packet)

    # Without one

    def start(self) -> None:
        self._route.server.eio.tasks.hold(self, self._packet, self._connection.session)
        if EAGER_TASKS:
            self._begin()
        else:
            asyncio.get_running_loop().call_soon(self._begin)  # behind the tasks of earlier events

    def _begin(self) -> None:
        if self._is_over:
            return
        try:
            self._prepare()
            if self.waits:
                self._go_on_in(self._run_in_task())
            else:
                threads = self._server.threads
                self._exchange = threads.exchange()
                threads.hand_over(self, self._event.connection.share)
        except BaseException as error:
            self._error = error
            self._conclude()

    def _work(self) -> Any:
        return self._run(self._event, self._args)

    def settle(self) -> None:
        if not self._is_over:
            self._variables.run(self._conclude)  # whoever was told of an error in them knows it again

    def _conclude(self) -> None:
        """Acknowledge the event, or report the error."""
        acknowledgements = self._route.server.acknowledgements
        result, error, self._error = self._result, self._error, None
        try:
            if self._is_prepared:
                self.finish()
            if error is not None:
                if not isinstance(error, CANCELLATIONS):
                    acknowledgements.failed(self._connection, self._sid, self._packet, raisable(error))
            elif type(result) in SENT_TYPES and type(result) is not Sent:  # `return emit(...)`
                self._go_on_in(self._acknowledge_after(result))
                return
            else:
                self._acknowledge(None if type(result) is Sent else result)
        except BaseException as failure:
            acknowledgements.failed(self._connection, self._sid, self._packet, failure)
        acknowledgements.ended(self._packet)
        self._end()

    def _go_on_in(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Leave the rest to a task."""
        tasks = self._route.server.eio.tasks
        tasks.ended(self._packet)
        self._end()
        tasks.start(coroutine, self._packet, self._connection.session)

    def _end(self) -> None:
        self._is_over = True
        if self._ending is not None:
            self._ending.set_result(None)

    # Handling

    def cancel(self) -> None:
        """Take the event for ended. The function is called all the same, and its result is dropped."""
        if self._is_over:
            return
        if self._is_prepared:
            self.finish()
        self._route.server.acknowledgements.ended(self._packet)
        self._end()

    def ending(self) -> asyncio.Future[None]:
        if self._ending is None:
            self._ending = asyncio.get_running_loop().create_future()
        return self._ending
