"""One request to a WSGI application: what the event loop does of it, and what a thread does."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import io
import os
import threading
from collections.abc import Awaitable, Callable, Iterable
from queue import SimpleQueue
from typing import Any

from asgiref.sync import SyncToAsync

from ..engine.environ import build_environ
from ..engine.http import ASGI, Receive, Scope, Send
from ..engine.log import shown
from ..engine.tally import Tally
from ..engine.tasks import CANCELLATIONS
from ..uvicorn.file_sending import LentSocket, answering, lend
from ..uvicorn.whole_request import WholeRequest
from .request_client import RequestClient
from .thread_calls import Exchange
from .view_loop import ViewLoop
from .wsgi_extensions import HANDS_OVER, STREAMS, HandOver, WsgiCallable
from .wsgi_file import FileWrapper, large_part, send_part
from .wsgi_input import ClientDisconnected, RequestBody
from .wsgi_response import Message, Response, lines, logger


class ViewRequest:
    """One request: the ASGI task on the loop, the WSGI call in a thread, and what they hand each other.

    The thread leads. It asks the task for one thing at a time (`ask`: the next piece of the body, or sending
    a piece of the response) and waits for the answer: that is the back-pressure, both ways. The thread
    leaves the end of the response with the task and does not wait (`end`); a small response is only an end.
    A body that is an asynchronous iterator is left with the task as well, and the thread is free.

    A request that is there as a whole has no task at first. If the thread asks for nothing and its response
    is only an end, `settle` answers with that, and there never is a task; nor is there for a large file, for
    which the thread gets the socket.

    Args:
        app: The WSGI application.
        exchange: Hands this to a thread, and what the thread wants to the event loop.
        answered: Counts answers by their status.
        scope: The request's scope.
        whole: The request, if it is there as a whole.
    """

    # What the thread leaves for the event loop.
    job: Callable[[], Awaitable[Any]] | None = None
    last: list[Message] | None = None  # the end of the response
    successor: ASGI | None = None
    streamed: Response | None = None  # whose body the task is to send
    file_response: Response | None = None  # for whose body the thread wants the socket
    status = "none"  # of the response, if there was one
    error: BaseException | None = None  # raised by the task, which breaks off the connection
    finished = False  # the thread is done
    # What the event loop leaves for the thread.
    client: RequestClient | None = None  # as `send`, once there is a task
    send: Any = None
    waiting = False  # there is a task, which may wait for `finished`
    closed = False  # the task is done
    lent: WholeRequest | None = None  # whose socket the thread has, until that is taken back
    wanted: asyncio.Future[None] | None = None  # wakes the task
    body: RequestBody | None = None  # of a body that is read as it comes
    whole_body: io.BytesIO | None = None  # of a body that is there as a whole

    def __init__(
        self,
        app: WsgiCallable,
        exchange: Exchange,
        answered: Tally,
        scope: Scope,
        whole: WholeRequest | None = None,
    ) -> None:
        self.app = app
        self.exchange = exchange
        self.loop = exchange.loop
        self.loop_thread = threading.get_ident()
        self.answered = answered
        self.scope = scope
        self.whole = whole  # until it is answered or there is a task
        self.body_there = whole.body if whole is not None else b""
        self.context = contextvars.copy_context()
        self.answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self.asking = threading.Lock()  # a view may read its body in threads of its own

    # On the event loop.

    def start(self) -> None:
        """Have a thread begin.

        Raises:
            RuntimeError: There is none.
        """
        self.exchange.start(functools.partial(self.context.run, self.run))

    def settle(self) -> None:
        """Look what the thread has left: called after it has left something."""
        whole = self.whole
        if whole is not None and whole.is_open:
            self.answer(whole)
        elif self.lent is not None and self.last is not None:
            self.take_back(self.lent)
        elif self.wanted is not None and not self.wanted.done():
            self.wanted.set_result(None)
        elif self.closed and self.job is not None:
            self.job = None
            self.answers.put((None, ClientDisconnected()))

    def answer(self, whole: WholeRequest) -> None:
        """Answer with what the thread has left; have a task do that if it is not all of an answer."""
        self.whole = None
        if self.last:
            start, body = self.last
            if whole.answer(start["status"], start["headers"], body["body"]):
                self.closed = True
                self.answered.add(str(start["status"]))
                if not self.finished:
                    whole.wait_for(self.finish())
                return
        elif self.file_response is not None:
            start = self.file_response.start
            lent = whole.lend(start["status"], start["headers"])
            if lent is not None:
                self.file_response.headers_sent = True
                self.lent = whole
                self.job = None
                self.closed = True
                self.answers.put((lent, None))
                return
        whole.use_asgi()

    def take_back(self, whole: WholeRequest) -> None:
        """Take the socket back from the thread, which has sent a file or failed to."""
        assert self.file_response is not None
        self.lent = None
        self.answered.add(self.file_response.status)
        if self.error is not None:
            lines.error("Exception in the WSGI application, %s", self.error, self)
        if not self.finished:
            whole.wait_for(self.finish())
        whole.take_back(is_complete=bool(self.last))

    async def finish(self) -> None:
        """Wait until the thread is done. If something waits already, return at once."""
        if not self.waiting:
            await self.work_until(lambda: self.finished)

    async def go_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the rest of a whole request in a task."""
        self.whole = None
        successor = await self.serve(receive, send)
        if successor is not None:
            await successor(scope, receive, send)

    async def serve(self, receive: Receive, send: Send) -> ASGI | None:
        """Do what the thread asks for, or return the ASGI application that gets the request."""
        self.client, self.send = RequestClient(receive), send
        try:
            await self.work_until(lambda: self.last is not None)
            assert self.last is not None
            try:
                for message in self.last:
                    await send(message)
            except OSError:
                pass  # the client has left
            # Code after the last chunk may take long, and a server that shuts down waits for this task.
            await self.work_until(lambda: self.finished)
            if self.streamed is not None:
                await self.stream(self.streamed)
            if isinstance(self.error, Exception):
                raise self.error
            if self.error is not None:  # SystemExit would end the event loop
                raise RuntimeError(f"the WSGI application raised {self.error!r}") from self.error
        finally:
            self.closed = True
            self.client.stop()
            self.settle()
            if self.successor is None:
                self.answered.add(self.status)
        return self.successor

    async def work_until(self, is_over: Callable[[], bool]) -> None:
        """Do what the thread asks for, until it has come so far."""
        self.waiting = True
        while not is_over():
            if self.job is not None:
                await self.do_job()
                continue
            self.wanted = self.loop.create_future()
            if self.job is None and not is_over():
                await self.wanted

    async def do_job(self) -> None:
        job, self.job = self.job, None
        assert job is not None
        result: Any = None
        error: BaseException | None = ClientDisconnected()
        try:
            result = await job()
            error = None
        except OSError:
            pass
        except Exception as raised:
            error = raised
        finally:
            self.answers.put((result, error))

    async def next_part(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether it is the last."""
        assert self.client is not None
        return await self.client.next_part()

    async def send_part(self, messages: list[Message]) -> None:
        client = self.client
        assert client is not None
        if self.body is None:
            client.watch()
            await asyncio.sleep(0)  # the client may have left while the view worked
        elif not client.may_receive():
            # The view has too much of the body to read yet, but uvicorn knows whether the client has left.
            client.gone = client.gone or getattr(getattr(self.send, "__self__", None), "disconnected", False)
        for message in messages:
            if client.gone:
                raise ClientDisconnected()
            await self.send(message)
        # If there is a body, asking for it earlier would tell the client to send it (100 Continue).
        client.watch()

    async def lend(self, response: Response) -> LentSocket | None:
        """Send the head of a response, and let the thread have the socket; None if it cannot have it."""
        cycle, count = answering(self.send), response.unsent
        if cycle is None:
            return None
        response.headers_sent = True
        await self.send(response.start)
        return await lend(cycle, count)

    async def stream(self, response: Response) -> None:
        """Send the body in another task, which is cancelled when the client leaves."""
        assert self.client is not None
        self.client.body_ended = True  # nobody reads it any more: what still comes of it is dropped
        sending = self.loop.create_task(self.send_stream(response))
        watching = self.client.watch()
        assert watching is not None
        try:
            await asyncio.wait([sending, watching], return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def send_stream(self, response: Response) -> None:
        try:
            await response.stream(self.send_or_leave)
        except ClientDisconnected:
            pass
        except CANCELLATIONS:
            raise
        except BaseException as error:
            self.error = error

    async def send_or_leave(self, message: Message) -> None:
        assert self.client is not None
        try:
            await self.send(message)
        except OSError:
            self.client.gone = True
        if self.client.gone:
            raise ClientDisconnected()

    # In the thread.

    def run(self) -> None:
        if self.closed:
            return
        # What asgiref.sync_to_async sets in a thread, so that Flask's async views run on the server's loop.
        # That wrapper itself would take longer than the rest of this bridge.
        local = SyncToAsync.threadlocal
        local.main_event_loop = ViewLoop(self)
        local.main_event_loop_pid = os.getpid()
        response = Response(self.scope["method"], self.send_and_wait, self.end)
        try:
            self.call_app(response)
        except ClientDisconnected:
            logger.debug("The client of %s went away", self)
        except HandOver as hand_over:
            if self.has_read_body():
                if lines.allow("bodies"):
                    logger.error("WSGI middleware has read the body of a request of Socket.IO's, %s", self)
                response.fail()
            else:
                self.successor = hand_over.app
        except BaseException as error:
            if response.headers_sent and not response.ended:
                self.error = error  # only a broken connection can tell the client; the server logs the error
            else:
                lines.error("Exception in the WSGI application, %s", error, self)
                if not response.ended:
                    response.fail()
        finally:
            local.main_event_loop = None
            self.status = response.status
            if response.rest is not None and not response.ended and self.error is None:
                self.streamed = response
            self.body = None  # it refers to this object
            if self.last is None:
                self.end([])
            self.finished = True
            if self.waiting:
                self.wake_task()

    def call_app(self, response: Response) -> None:
        environ = build_environ(self.scope)
        environ["wsgi.input_terminated"] = True
        environ["wsgi.file_wrapper"] = FileWrapper
        environ[HANDS_OVER] = True
        environ[STREAMS] = functools.partial(setattr, response, "rest")
        if self.body_there:
            environ["wsgi.input"] = self.whole_body = io.BytesIO(self.body_there)
        elif self.whole is None and _has_body(environ):
            self.body = RequestBody(functools.partial(self.ask, self.next_part))
            environ["wsgi.input"] = self.body.buffered()
        result = self.app(environ, response.start_response)
        try:
            if not self.send_file(response, result):
                response.respond(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def has_read_body(self) -> bool:
        if self.client is not None and self.client.body_begun:
            return True
        stream = self.whole_body
        return stream is not None and (stream.closed or stream.tell() > 0)

    def send_file(self, response: Response, result: Iterable[bytes]) -> bool:
        """Send a large file past the event loop, and return whether that could be."""
        part = large_part(response, result)
        if part is None:
            return False
        self.file_response = response
        lent: LentSocket | None = self.ask(self.lend, response)
        if lent is None:
            return False
        send_part(lent, part, self)
        response.sent()
        return True

    def send_and_wait(self, messages: list[Message]) -> None:
        """Send a piece of the response, and return when the server has taken it."""
        self.ask(self.send_part, messages)

    def ask(self, job: Callable[..., Awaitable[Any]], *args: Any) -> Any:
        """Let the task await `job(*args)`, and return the result.

        Raises:
            ClientDisconnected: the client, or the task, has left.
        """
        if threading.get_ident() == self.loop_thread:
            raise RuntimeError("the event loop's own thread cannot wait for the request's body")
        with self.asking:
            self.job = functools.partial(job, *args)
            if not self.wake_task():
                raise ClientDisconnected()
            result, error = self.answers.get()
        if error is not None:
            raise error
        return result

    def end(self, messages: list[Message]) -> None:
        """Leave the last messages of the response with the task."""
        self.last = messages
        self.wake_task()

    def wake_task(self) -> bool:
        """Have `settle` called; return False if the loop is closed."""
        return self.exchange.put(self)

    def __str__(self) -> str:
        return f"{shown(self.scope['method'])} {shown(self.scope['path'])}"


def _has_body(environ: dict[str, Any]) -> bool:
    length = environ.get("CONTENT_LENGTH")
    if length:
        return bool(length != "0")
    # In HTTP/2 neither header needs to announce a body.
    return "HTTP_TRANSFER_ENCODING" in environ or not environ["SERVER_PROTOCOL"].startswith("HTTP/1.")
