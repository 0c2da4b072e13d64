"""Events between servers, which no client sees."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from ..cluster import Cluster, NotAllAnswered
from ..codec.json_codec import JSONCodec
from ..codec.not_encodable import NotEncodable
from ..engine.awaitables import Sent, call_and_await
from ..engine.tasks import Tasks
from ..queues.carrier import Carrier, sending
from ..types import Handler
from .addresses import read_address, write_address
from .answers import AnswersMissing
from .calls import load_arguments, load_event


class ServerEvent(msgspec.Struct):
    """An event for the servers of other processes."""

    address: bytes  # of a namespace
    event: bytes  # its name and arguments, as an array
    attachments: list[bytes]
    trace: Any = None  # what a `Carrier` has sent along


class HandlerResult(msgspec.Struct):
    """What a handler has returned, as an array of that; nothing if there is no handler."""

    result: bytes = b""
    attachments: list[bytes] = msgspec.field(default_factory=list)


class ServerEvents:
    """Sends events to the servers of other processes, and handles theirs.

    Args:
        cluster: The processes.
        tasks: Where handlers run, and where their errors go.
        codec: Writes arguments and results.

    Attributes:
        carrier: Sends something along with events, if it is set.
    """

    def __init__(self, cluster: Cluster, tasks: Tasks, codec: JSONCodec) -> None:
        self._cluster = cluster
        self._tasks = tasks
        self._codec = codec
        self.carrier: Carrier | None = None
        self._handlers: dict[tuple[str, str], Handler] = {}
        cluster.on("server_side", ServerEvent, self._told)
        cluster.on_ask("server_side", ServerEvent, HandlerResult, self._asked)

    def register(self, event: str, namespace: str, handler: Handler) -> None:
        """Have a function or coroutine function handle an event of other servers."""
        self._handlers[namespace, event] = handler

    def emit(self, event: str, args: tuple[Any, ...], namespace: str) -> Sent:
        """Send an event to all other servers."""
        with sending(self.carrier, "send", event, namespace):
            return self._cluster.tell("server_side", self._message(event, args, namespace))

    async def ask(
        self, event: str, args: tuple[Any, ...], namespace: str, timeout: float | None
    ) -> list[Any]:
        """Send an event to all other servers, and return what their handlers return."""
        with sending(self.carrier, "call", event, namespace):
            message = self._message(event, args, namespace)
            try:
                return self._results(await self._cluster.ask("server_side", message, timeout))
            except NotAllAnswered as error:
                raise AnswersMissing(self._results(error.answers), len(error.missing)) from None

    def _message(self, event: str, args: tuple[Any, ...], namespace: str) -> ServerEvent:
        try:
            body = self._codec.encode([event, *args])
        except NotEncodable as error:
            raise error.at_call(event, args, 1) from None
        along = self.carrier.outgoing() if self.carrier is not None else None
        return ServerEvent(write_address(namespace), body.data, [*body.attachments], along)

    def _results(self, answers: dict[str, HandlerResult]) -> list[Any]:
        results = []
        for answer in answers.values():
            if answer.result:
                results += load_arguments(self._codec, answer.result, answer.attachments)
        return results

    # For others

    def _told(self, _sender: str, message: ServerEvent) -> None:
        handler, args = self._find(message)
        if handler is not None:
            self._tasks.spawn(call_and_await(handler, args))

    def _find(self, message: ServerEvent) -> tuple[Handler | None, tuple[Any, ...]]:
        event, args = load_event(self._codec, message.event, message.attachments)
        namespace = read_address(message.address).namespace
        handler = self._handlers.get((namespace, event))
        if handler is not None and self.carrier is not None:
            handler = self.carrier.handler(message.trace, event, namespace, handler)
        return handler, args

    def _asked(self, _sender: str, message: ServerEvent) -> HandlerResult | Awaitable[HandlerResult]:
        handler, args = self._find(message)
        return HandlerResult() if handler is None else self._result_of(handler, args)

    async def _result_of(self, handler: Handler, args: tuple[Any, ...]) -> HandlerResult:
        result = await call_and_await(handler, args)
        body = self._codec.encode([result])
        return HandlerResult(body.data, [*body.attachments])
