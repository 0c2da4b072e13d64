"""Polls for sessions of other workers: the worker that gets one has the owner of the session answer it.

Between workers there are no HTTP requests, but the operations of a polling transport. The worker that gets a
request does what concerns HTTP: origins, sizes, compression and the access log.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from ..engine.core import Core
from ..engine.endpoint import Endpoint
from ..engine.http import Headers, HTTPError, Request, unknown_session
from ..engine.transports.poll_request import PollRequest
from ..engine.transports.polling import Polling
from .frames import FrameConnection, MalformedFrame

# Kinds of frames. The first four go to the owner of a session, the others come from it.
POLL, GONE, RELEASE, ANSWER, REFUSAL = range(5)


class Poll(msgspec.Struct, array_like=True, gc=False):
    """A GET or POST for a session."""

    method: str
    sid: str
    time: str  # what the client's query has as ``t``: it tells Python's client from others
    length: int  # bytes of the body, as the client has said
    body: bytes


class Refusal(msgspec.Struct, array_like=True, gc=False):
    """An `HTTPError`."""

    status: int
    message: str
    code: int
    logged: bool


encode = msgspec.msgpack.Encoder().encode
decode_poll = msgspec.msgpack.Decoder(Poll).decode
decode_refusal = msgspec.msgpack.Decoder(Refusal).decode


class Outgoing(FrameConnection):
    """The requests that this worker has got for the sessions of another.

    Args:
        core: What the sessions of this worker share.
        on_end: Called when the connection is gone.
    """

    def __init__(self, core: Core, on_end: Callable[[], None]) -> None:
        super().__init__(core)
        self._on_end = on_end
        self._last_number = 0
        self._waiting: dict[int, PollRequest] = {}

    def answer(self, poll_request: PollRequest, sid: str) -> None:
        """Have the owner of a session answer a request."""
        number = self._last_number = (self._last_number + 1) & 0xFFFFFFFF
        relayed = Relayed(self, number, sid)
        request = poll_request.request
        if request.method == "GET":
            poll_request.wait(None, relayed)
            self.ask(number, poll_request, sid, 0, b"")
            return
        limit = self._core.terms.max_payload
        length = request.header(b"content-length")
        if length.isdigit() and int(length) > limit:
            poll_request.wait(None, relayed)
            self.ask(number, poll_request, sid, int(length), b"")
        else:
            poll_request.read(None, relayed, limit)

    def ask(self, number: int, poll_request: PollRequest, sid: str, length: int, body: bytes) -> None:
        """Send a request that has arrived whole, or is too large."""
        if not self.is_open:
            poll_request.refuse(unknown_session())
            return
        self._waiting[number] = poll_request
        request = poll_request.request
        poll = Poll(request.method, sid, request.query.get("t", ""), length, body)
        self.send(POLL, number, encode(poll))

    def gone(self, number: int) -> None:
        """Tell the owner that the client of a request has left."""
        if self._waiting.pop(number, None) is not None:
            self.send(GONE, number)

    def release(self) -> None:
        """Have the owner answer the GETs that wait."""
        for number, poll_request in self._waiting.items():
            if poll_request.request.method == "GET":
                self.send(RELEASE, number)

    def __len__(self) -> int:
        return len(self._waiting)

    def received(self, kind: int, number: int, payload: bytes) -> None:
        if kind not in (ANSWER, REFUSAL):
            raise MalformedFrame(f"a frame of kind {kind}")
        poll_request = self._waiting.pop(number, None)
        if poll_request is None:
            return  # its client has left
        if kind == ANSWER:
            poll_request.respond(payload)
            return
        try:
            refusal = decode_refusal(payload)
        except msgspec.MsgspecError as error:
            poll_request.refuse(HTTPError(500, "Internal Server Error"))
            raise MalformedFrame(str(error)) from None
        poll_request.refuse(HTTPError(refusal.status, refusal.message, refusal.code, logged=refusal.logged))

    def ended(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for poll_request in waiting.values():
            poll_request.refuse(unknown_session())
        self._on_end()


class Relayed:
    """What a request here waits for, in the place of the polling transport of its session."""

    __slots__ = ("_number", "_outgoing", "_sid")

    def __init__(self, outgoing: Outgoing, number: int, sid: str) -> None:
        self._outgoing = outgoing
        self._number = number
        self._sid = sid

    def posted(self, poll_request: PollRequest, body: bytes) -> None:
        self._outgoing.ask(self._number, poll_request, self._sid, len(body), body)

    def client_gone(self, poll_request: PollRequest) -> None:
        self._outgoing.gone(self._number)


class Incoming(FrameConnection):
    """The requests that another worker has got for the sessions of this one.

    Args:
        core: What the sessions of this worker share.
        endpoint: Answers requests.
        on_end: Called when the connection is gone.
    """

    def __init__(self, core: Core, endpoint: Endpoint, on_end: Callable[[Incoming], None]) -> None:
        super().__init__(core)
        self._endpoint = endpoint
        self._on_end = on_end
        self.serving: dict[int, RelayedPoll] = {}

    def received(self, kind: int, number: int, payload: bytes) -> None:
        if kind == POLL:
            self._begin(number, payload)
        elif kind == GONE:
            poll = self.serving.pop(number, None)
            if poll is not None:
                poll.gone()
        elif kind == RELEASE:
            poll = self.serving.get(number)
            if poll is not None:
                poll.release()
        else:
            raise MalformedFrame(f"a frame of kind {kind}")

    def _begin(self, number: int, payload: bytes) -> None:
        try:
            asked = decode_poll(payload)
        except msgspec.MsgspecError as error:
            raise MalformedFrame(str(error)) from None
        if number in self.serving:
            raise MalformedFrame(f"a second request {number}")
        poll = self.serving[number] = RelayedPoll(self, number, self._endpoint, asked)
        try:
            self._endpoint.answer_session(poll, asked.sid)
            if poll.reading:
                poll.feed(asked.body, False)
        except HTTPError as error:
            poll.refuse(error)

    def ended(self) -> None:
        serving, self.serving = self.serving, {}
        for poll in serving.values():
            poll.gone()
        self._on_end(self)


class RelayedPoll(PollRequest):
    """A polling request that another worker has got for a session of this one."""

    __slots__ = ("_incoming", "_number")

    def __init__(self, incoming: Incoming, number: int, endpoint: Endpoint, asked: Poll) -> None:
        headers = {b"content-length": b"%d" % asked.length}
        request = Request(asked.method, headers, b"", dict)
        request.query["t"] = asked.time
        super().__init__(endpoint.answers, request)
        self._incoming = incoming
        self._number = number

    def release(self) -> None:
        """Answer it, if it waits for packets."""
        if isinstance(self._polling, Polling):
            self._polling.release()

    def respond(self, body: bytes, opened: str | None = None) -> None:
        if self._end():
            self._incoming.send(ANSWER, self._number, body)

    def refuse(self, error: HTTPError) -> None:
        if self._end():
            refusal = Refusal(error.status, error.message, error.code, error.logged)
            self._incoming.send(REFUSAL, self._number, encode(refusal))

    def cut_off(self, error: HTTPError) -> None:
        self.refuse(error)

    def _end(self) -> bool:
        """Note that it is answered; return whether it was not yet."""
        was_open, self.is_open, self.reading = self.is_open, False, False
        if was_open:
            self._incoming.serving.pop(self._number, None)
        return was_open

    def write(self, status: int, body: bytes, headers: Headers, content_type: bytes) -> None:
        raise AssertionError("the worker that has the request writes its answer")
