"""Events that each recipient acknowledges, in whatever process it is."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from ..callbacks import as_result
from ..cluster import Cluster, Malformed, NotAllAnswered
from ..codec.base import Body, event_arguments
from ..codec.json_codec import JSONCodec
from ..codec.not_encodable import NotEncodable
from ..engine.awaitables import call_and_await
from ..engine.tasks import Tasks
from ..queues.carrier import Carrier, delivering, sending
from ..room_table import check_recipients
from .addresses import read_address, write_address
from .answers import AnswersMissing
from .local_clients import LocalClients

HERE = ""  # stands for this process among the names of processes
LONGEST = 24 * 60 * 60.0  # seconds that another process can have its clients wait for


class CallAll(msgspec.Struct):
    """Has a process ask its clients, and tell their answers."""

    number: int
    address: bytes  # and who is left out
    event: bytes  # its name and arguments, as an array
    attachments: list[bytes]
    timeout: float
    trace: Any = None  # what a `Carrier` has sent along


class Count(msgspec.Struct):
    """How many clients a process has asked."""

    clients: int


class ClientAnswer(msgspec.Struct):
    """What a client has answered."""

    number: int
    arguments: bytes
    attachments: list[bytes]


class ClientLeft(msgspec.Struct):
    """A client has left, and will not answer."""

    number: int


class Call:
    """A call that waits for answers.

    Args:
        took: Called with the arguments of each answer.
    """

    def __init__(self, took: Callable[[tuple[Any, ...]], None]) -> None:
        self.answers: list[Any] = []
        self._took = took
        self._waiting: dict[str, int] = {}  # clients, by process; below 0 until it has said how many they are
        self._lost: set[str] = set()
        self._is_counted = False
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def expect(self, counts: dict[str, int]) -> None:
        """Note how many clients each process has asked."""
        self._is_counted = True
        for process, count in counts.items():
            if process not in self._lost:
                self._waiting[process] = self._waiting.get(process, 0) + count
        self._settle()

    def answered(self, process: str, arguments: tuple[Any, ...]) -> None:
        """Take the answer of a client of a process."""
        self.answers.append(as_result(arguments))
        self.left(process)
        self._took(arguments)

    def left(self, process: str) -> None:
        """Wait for one client of a process less."""
        self._waiting[process] = self._waiting.get(process, 0) - 1
        self._settle()

    def lost(self, process: str) -> None:
        """Wait for no client of a process any more."""
        self._lost.add(process)
        self._waiting.pop(process, None)
        self._settle()

    @property
    def missing(self) -> int:
        """How many clients have neither answered nor left."""
        return sum(self._waiting.values())

    def _settle(self) -> None:
        if self._is_counted and not any(self._waiting.values()) and not self._done.done():
            self._done.set_result(None)

    async def wait(self, until: float | None) -> None:
        """Wait until all have answered or left, or until a time of the loop."""
        timeout = None if until is None else until - asyncio.get_running_loop().time()
        await asyncio.wait([self._done], timeout=timeout)


class Calls:
    """Asks the clients of all processes, and those of this one for others.

    Args:
        cluster: The processes.
        local: The clients of this one.
        tasks: Where callbacks run, and where errors go.
        codec: Writes arguments for other processes.

    Attributes:
        carrier: Sends something along with events, if it is set.
    """

    def __init__(self, cluster: Cluster, local: LocalClients, tasks: Tasks, codec: JSONCodec) -> None:
        self._cluster = cluster
        self._local = local
        self._tasks = tasks
        self._codec = codec
        self.carrier: Carrier | None = None
        self._last = 0
        self._calls: dict[int, Call] = {}
        cluster.on_ask("call_all", CallAll, Count, self._answer_call)
        cluster.on("call_all.answer", ClientAnswer, self._told_answer)
        cluster.on("call_all.left", ClientLeft, self._told_left)
        cluster.on_left.append(self._lost)

    async def call(
        self,
        event: str,
        data: Any,
        to: Any,
        namespace: str,
        skip_sid: Any,
        timeout: float | None,
        callback: Callable[..., Any] | None,
    ) -> list[Any]:
        """Ask clients; see `ReachesAll.call_all`."""
        with sending(self.carrier, "call", event, namespace):
            return await self._call(event, data, to, namespace, skip_sid, timeout, callback)

    async def _call(
        self,
        event: str,
        data: Any,
        to: Any,
        namespace: str,
        skip_sid: Any,
        timeout: float | None,
        callback: Callable[..., Any] | None,
    ) -> list[Any]:
        check_recipients(to)
        until = None if timeout is None else asyncio.get_running_loop().time() + timeout
        self._last = number = self._last + 1
        call = Call(partial(self._call_back, callback))
        question = None
        if self._cluster.queue is not None and not self._local.has(to, namespace):
            address, body = write_address(namespace, to, skip_sid), self._encode(event, data)
            wait = LONGEST if timeout is None else timeout
            along = self.carrier.outgoing() if self.carrier is not None else None
            question = CallAll(number, address, body.data, [*body.attachments], wait, along)
        answered, left = partial(call.answered, HERE), partial(call.left, HERE)
        asked = self._local.ask(event, data, to, namespace, skip_sid, answered, left)
        self._calls[number] = call
        try:
            counts, missing = {HERE: len(asked)}, 0
            if question is not None:
                others, missing = await self._count(question, timeout)
                counts.update(others)
            call.expect(counts)
            await call.wait(until)
            missing += call.missing
            if missing:
                raise AnswersMissing(call.answers, missing)
            return call.answers
        finally:
            del self._calls[number]
            asked.forget()

    async def _count(self, question: CallAll, timeout: float | None) -> tuple[dict[str, int], int]:
        """How many clients each process asks, and how many processes have not said that."""
        missing = 0
        try:
            answers = await self._cluster.ask("call_all", question, timeout)
        except NotAllAnswered as error:
            answers, missing = error.answers, len(error.missing)
        return {name: count.clients for name, count in answers.items()}, missing

    def _encode(self, event: str, data: Any) -> Body:
        try:
            return self._codec.encode([event, *event_arguments(data)])
        except NotEncodable as error:
            raise error.at_call(event, data, 1) from None

    def _call_back(self, callback: Callable[..., Any] | None, arguments: tuple[Any, ...]) -> None:
        if callback is not None:
            self._tasks.spawn(call_and_await(callback, arguments))

    def _lost(self, process: str, _in_order: bool) -> None:
        for call in list(self._calls.values()):
            call.lost(process)

    def _told_answer(self, sender: str, answer: ClientAnswer) -> None:
        call = self._calls.get(answer.number)
        if call is not None:
            call.answered(sender, tuple(self._load(answer.arguments, answer.attachments)))

    def _told_left(self, sender: str, gone: ClientLeft) -> None:
        call = self._calls.get(gone.number)
        if call is not None:
            call.left(sender)

    # For others

    def _answer_call(self, sender: str, question: CallAll) -> Count:
        address = read_address(question.address)
        event, data = load_event(self._codec, question.event, question.attachments)
        with delivering(self.carrier, question.trace, event, address.namespace):
            asked = self._local.ask(
                event,
                data,
                address.to,
                address.namespace,
                address.more,
                partial(self._tell_answer, sender, question.number),
                lambda: self._tell_left(sender, question.number),
            )
        if len(asked):
            timeout = min(max(question.timeout, 0.0), LONGEST)
            asyncio.get_running_loop().call_later(timeout, asked.forget)
        return Count(len(asked))

    def _tell_answer(self, caller: str, number: int, arguments: tuple[Any, ...]) -> None:
        try:
            body = self._codec.encode(list(arguments))
            self._cluster.tell(
                "call_all.answer", ClientAnswer(number, body.data, [*body.attachments]), caller
            )
        except (NotEncodable, ValueError) as error:
            self._tasks.result_failed(error)
            self._tell_left(caller, number)

    def _tell_left(self, caller: str, number: int) -> None:
        self._cluster.tell("call_all.left", ClientLeft(number), caller)

    def _load(self, arguments: bytes, attachments: list[bytes]) -> list[Any]:
        return load_arguments(self._codec, arguments, attachments)


def load_event(codec: JSONCodec, event: bytes, attachments: list[bytes]) -> tuple[str, tuple[Any, ...]]:
    """The name and the arguments of an event that another process has encoded.

    Raises:
        Malformed: They are malformed.
    """
    name, *arguments = load_arguments(codec, event, attachments) or [None]
    if not isinstance(name, str):
        raise Malformed("an event without a name")
    return name, tuple(arguments)


def load_arguments(codec: JSONCodec, arguments: bytes, attachments: list[bytes]) -> list[Any]:
    """Arguments that another process has encoded.

    Raises:
        Malformed: They are malformed.
    """
    try:
        found = codec.load(Body(arguments, attachments))
    except ValueError as error:
        raise Malformed(str(error)) from None
    if not isinstance(found, list):
        raise Malformed("the arguments of an event are not an array")
    return found
