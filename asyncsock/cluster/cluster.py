"""The processes that share a message queue, as one of them sees the others."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any, TypeVar

import msgspec

from ..engine.awaitables import SENT, Sent
from ..engine.tasks import CANCELLATIONS, Tasks
from ..queues.manager import QueueManager
from ..workers.members import make_name
from .envelope import Envelope, Hello, Killed, Malformed, Role, Sign, content, decode, encode
from .members import LOOK, SIGN_OF_LIFE, Members
from .questions import Question, Questions

ASK_TIMEOUT = 15.0  # seconds: whoever is asked and dies has been given up by then
FIRST_HELLOS = 0.3  # seconds in which others answer the hello of a process that is new
LATE_HELLOS = 3.0  # more seconds for those that are known to listen: on a busy machine they may need them
LOOK_AGAIN = 0.01  # seconds
HELLO, ALIVE, GOODBYE, KILLED = "cluster.hello", "cluster.alive", "cluster.goodbye", "cluster.killed"

M = TypeVar("M")
A = TypeVar("A")
Decoder = msgspec.msgpack.Decoder[Any]
logger = logging.getLogger("asyncsock.cluster")


class Cluster:
    """What one process and the others of a message queue tell and ask each other.

    What it is told and asked reaches the handlers on the event loop, in the order in which the sender sent
    it, and, if it was for all, in order with the sender's events. A process without a queue has no others.

    Args:
        tasks: Where handlers run that are coroutine functions, and where errors go.
        queue: The message queue, if there is one. It can be set until this has been started.

    Attributes:
        on_joined: Called with the name of each process that is new here, or that knows nothing of this one.
        on_left: Called with the name of each process that is gone, and whether it said goodbye.
    """

    def __init__(self, tasks: Tasks, queue: QueueManager | None) -> None:
        self.queue = queue
        self.on_joined: list[Callable[[str], None]] = []
        self.on_left: list[Callable[[str, bool], None]] = []
        self._tasks = tasks
        self._name = make_name()
        self._handlers: dict[str, tuple[Decoder, Callable[[str, Any], None]]] = {}
        self._lasting: set[str] = set()  # kinds that matter also to processes that start later
        self._answerers: dict[str, tuple[Decoder, Decoder, Callable[[str, Any], Any]]] = {}
        self._members = Members()
        self._questions = Questions()
        # Those who have said nothing since this process began to listen again.
        self._unheard: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks_since_sign = 0
        self._is_heard = asyncio.Event()  # when those who are there have usually said so
        self._is_settled = False

    @property
    def name(self) -> str:
        """The name of this process: a new one each time that it is started."""
        return self.queue.process_name if self.queue is not None else self._name

    def members(self) -> frozenset[str]:
        """The names of the other processes that are there now."""
        return self._members.names

    # Life

    def start(self) -> None:
        """Begin to hear others and to be heard, on the running event loop. The queue has been started."""
        loop = asyncio.get_running_loop()
        if self.queue is None or self.queue.write_only or loop is self._loop:
            return
        self._loop = loop
        self._members.clear()
        self._is_heard = asyncio.Event()
        self._is_settled = False
        self.queue.on_told(self)
        self._look_later()

    async def stop(self) -> None:
        """Say goodbye, and hear nothing more."""
        if self._loop is None or self.queue is None:
            return
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
        self.queue.on_told(None)
        self._members.clear()
        self._questions.give_up()
        if self.queue.is_in_touch:  # or nobody would hear it
            await self.queue.published()  # what is for one process must not come after it
            await self.tell(GOODBYE, Sign())

    def _look_later(self) -> None:
        if self._loop is not None:
            self._timer = self._loop.call_later(LOOK, self._look)

    def _look(self) -> None:
        self._look_later()
        if self.queue is None or not self.queue.is_in_touch:
            return  # the others may well be there
        self._looks_since_sign += 1
        if self._looks_since_sign * LOOK >= SIGN_OF_LIFE:
            self._looks_since_sign = 0
            self.tell(ALIVE, Sign())
        for name in self._members.look():
            self._lost(name)

    # What the queue brings

    def connected(self) -> None:
        """Greet the others. Those who have something that this process should know tell it then."""
        if self._loop is not None:
            self._members.forgive()
            self._unheard = set(self._members.names)
            self._greet()
            self._loop.call_later(FIRST_HELLOS, self._is_heard.set)

    def _greet(self, to: str | None = None, *, wants_answer: bool = True) -> None:
        listener = self.queue.listener_name if self.queue is not None else ""
        self.tell(HELLO, Hello(wants_answer, listener), to)

    def killed(self, listener: str) -> None:
        """Give up at once a process that was killed, and tell the others, who may not find out any more."""
        name = self._members.of_listener(listener)
        if name is not None:
            self._lost(name)
            self.tell(KILLED, Killed(name))

    def told(self, sender: str, data: bytes) -> None:
        """Take a message.

        Raises:
            ValueError: It is malformed.
        """
        envelope = decode(data)
        if sender and not self._note(sender, envelope):
            return
        if envelope.role is Role.TOLD:
            if envelope.kind in self._handlers:
                decoder, handler = self._handlers[envelope.kind]
                handler(sender, content(envelope, decoder))
        elif envelope.role is Role.QUESTION:
            self._answer(sender, envelope)
        else:
            self._take_answer(sender, envelope)

    def told_earlier(self, data: bytes) -> None:
        """Take what was told before this process was there, if it still matters.

        Raises:
            ValueError: It is malformed.
        """
        envelope = decode(data)
        if envelope.role is Role.TOLD and envelope.kind in self._lasting:
            decoder, handler = self._handlers[envelope.kind]
            handler("", content(envelope, decoder))

    def _note(self, sender: str, envelope: Envelope) -> bool:
        """Note what a message says of its sender. Returns whether it says more."""
        if self._members.has_left(sender) or sender == self.name:
            return False
        if envelope.kind == GOODBYE:
            if self._members.left(sender):
                self._gone(sender, True)
            return False
        hello = content(envelope, _hellos) if envelope.kind == HELLO else None
        is_new = self._members.heard(sender)
        was_unheard = sender in self._unheard  # so it may not have heard what this process said of itself
        self._unheard.discard(sender)
        if hello is not None:
            self._members.listens_as(sender, hello.listener)
        if hello is not None and hello.wants_answer:
            self._greet(sender, wants_answer=was_unheard)
        elif is_new and hello is None:  # it has been here before, or its hello was lost
            self._greet(sender)
        if is_new or (hello is not None and hello.wants_answer):
            logger.debug("process %s is there", sender)
            for joined in self.on_joined:
                joined(sender)
        if envelope.kind == KILLED:
            self._lost(content(envelope, _killed).name)
        return envelope.kind not in (HELLO, ALIVE, KILLED)

    def _lost(self, name: str) -> None:
        if self._members.lost(name):
            self._gone(name, False)

    def _gone(self, name: str, in_order: bool) -> None:
        logger.debug("process %s %s", name, "has left" if in_order else "is gone")
        self._questions.lost(name)
        for left in self.on_left:
            left(name, in_order)

    # Messages

    def tell(self, kind: str, message: msgspec.Struct, to: str | None = None) -> Sent:
        """Tell all other processes something, or one of them, which need not be there.

        Args:
            kind: Which of their handlers gets it.
            message: What it gets.
            to: The name of the only process to tell.

        Returns:
            Something to await, or to drop: awaiting waits for the message queue.

        Raises:
            TypeError: The message cannot be encoded.
            ValueError: It is too large.
        """
        return self._send(kind, Role.TOLD, 0, message, to)

    def on(
        self, kind: str, type: type[M], handler: Callable[[str, M], None], is_lasting: bool = False
    ) -> None:
        """Have a function called with the sender's name and each message of a kind.

        The name is empty if the sender only writes to the queue, or may have ended.

        Args:
            kind: The kind.
            type: What the messages are.
            handler: The function.
            is_lasting: Whether it is also called with what was told before this process was there, where the
                message queue keeps it.
        """
        self._handlers[kind] = msgspec.msgpack.Decoder(type), handler
        if is_lasting:
            self._lasting.add(kind)

    def _send(
        self, kind: str, role: Role, number: int, message: Any, to: str | None, droppable: bool = False
    ) -> Sent:
        data = encode(kind, role, number, message)
        if self.queue is None:
            return SENT
        return self.queue.tell_processes(data, to, droppable)

    # Questions

    async def ask(
        self,
        kind: str,
        question: msgspec.Struct,
        timeout: float | None = ASK_TIMEOUT,
        to: Iterable[str] | None = None,
    ) -> dict[str, Any]:
        """Ask all other processes something, or some of them.

        Args:
            kind: Which of their answerers gets it. There has to be one of the same kind here.
            question: What it gets.
            timeout: Seconds to wait. Nobody waits for a process that is not there, or is lost meanwhile.
            to: The names of the only processes to ask.

        Returns:
            The answers by process.

        Raises:
            NotAllAnswered: Some have not answered in time, or could not.
            TypeError: The question cannot be encoded.
            ValueError: It is too large.
            RuntimeError: This process only writes to the message queue.
        """
        if self.queue is None:
            return {}
        if self.queue.write_only:
            raise RuntimeError("this process only writes to the message queue, and gets no answers")
        await self.settle()
        names = self.members() if to is None else self.members().intersection(to)
        asked = Question(names)
        number = self._questions.add(asked)
        try:
            for name in names if to is not None else [None] if names else []:
                self._send(kind, Role.QUESTION, number, question, name, droppable=True)
            return await asked.wait(timeout)
        finally:
            self._questions.remove(number)

    def on_ask(
        self,
        kind: str,
        question_type: type[M],
        answer_type: type[A],
        handler: Callable[[str, M], A | Awaitable[A]],
    ) -> None:
        """Have a function, or a coroutine function, answer the questions of a kind.

        It is called with the name of who asks, and the question. What it raises is logged, and who asks is
        told that there is no answer.
        """
        decoders = msgspec.msgpack.Decoder(question_type), msgspec.msgpack.Decoder(answer_type)
        self._answerers[kind] = (*decoders, handler)

    async def settle(self) -> None:
        """Right after the start, wait until the others may have said that they are there."""
        if self._loop is None or self._is_settled:
            return
        end = self._loop.time() + FIRST_HELLOS + LATE_HELLOS
        with suppress(asyncio.TimeoutError):  # the queue is not there
            await asyncio.wait_for(self._is_heard.wait(), FIRST_HELLOS)
        while self._loop is not None and self._awaits_hellos() and self._loop.time() < end:  # noqa: ASYNC110 - seldom, and short
            await asyncio.sleep(LOOK_AGAIN)
        self._is_settled = True

    def _awaits_hellos(self) -> bool:
        """Whether others listen that have not said who they are."""
        if self.queue is None:
            return False
        return any(self._members.of_listener(name) is None for name in self.queue.other_listeners)

    def _answer(self, sender: str, envelope: Envelope) -> None:
        if not sender:
            raise ValueError(f"a question of nobody: {envelope.kind:.50}")
        if envelope.kind not in self._answerers:  # it is of another version
            self._send(envelope.kind, Role.NO_ANSWER, envelope.number, None, sender)
            return
        decoder, _, handler = self._answerers[envelope.kind]
        try:
            answer = handler(sender, content(envelope, decoder))
            if inspect.isawaitable(answer):
                self._tasks.spawn(self._answer_later(sender, envelope, answer))
            else:
                self._send_answer(sender, envelope, answer)
        except Malformed:
            self._send(envelope.kind, Role.NO_ANSWER, envelope.number, None, sender, droppable=True)
            raise
        except Exception as error:
            self._cannot_answer(sender, envelope, error)

    async def _answer_later(self, sender: str, envelope: Envelope, answer: Awaitable[Any]) -> None:
        try:
            self._send_answer(sender, envelope, await answer)
        except CANCELLATIONS:
            raise
        except BaseException as error:  # as in `Tasks`
            self._cannot_answer(sender, envelope, error)

    def _send_answer(self, sender: str, envelope: Envelope, answer: Any) -> None:
        self._send(envelope.kind, Role.ANSWER, envelope.number, answer, sender, droppable=True)

    def _cannot_answer(self, sender: str, envelope: Envelope, error: BaseException) -> None:
        self._send(envelope.kind, Role.NO_ANSWER, envelope.number, None, sender, droppable=True)
        self._tasks.failed(error)

    def _take_answer(self, sender: str, envelope: Envelope) -> None:
        question = self._questions.find(envelope.number)
        if question is None:
            return  # nobody waits for it any more
        if envelope.role is Role.NO_ANSWER or envelope.kind not in self._answerers:
            question.failed(sender)
            return
        try:
            answer = content(envelope, self._answerers[envelope.kind][1])
        except ValueError:
            question.failed(sender)
            raise
        question.answered(sender, answer)


_hellos = msgspec.msgpack.Decoder(Hello)
_killed = msgspec.msgpack.Decoder(Killed)
