"""The HTTP long-polling transport (Engine.IO v4, "HTTP long-polling")."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import NoReturn

from ..core import Core
from ..http import HTTPError, Request, unknown_session
from ..limits import MESSAGE_SIZE
from ..packet import CLOSE, NOOP, Packet
from ..payload import decode_payload, encode_payload
from ..reasons import CLIENT_DISCONNECT, SERVER_DISCONNECT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from ..session import Session
from ..turns import SLICE, UNIT_BITS
from .base import HOLDING, SendingSession, Transport
from .poll_request import PollRequest

# Seconds for a client at fault to read what is wrong, before its waiting GET says that the session is closed.
REFUSED_FIRST = 0.1
MOST_PACKETS = 16  # python-socketio's client disconnects if an answer has more


class Polling(Transport):
    """The transport of a client that fetches packets with GET and sends its own with POST."""

    __slots__ = ("_at_fault", "_core", "_left", "_messages", "_poll", "_posting", "_sid", "_upgrading")
    name = "polling"

    def __init__(self, core: Core, sid: str) -> None:
        super().__init__()
        self._core = core
        self._sid = sid
        self._poll: PollRequest | None = None  # the GET that waits for packets
        self._upgrading = False  # whether that GET came during an upgrade
        self._posting: PollRequest | None = None  # the POST that is being read or handled
        self._messages: Iterator[str | bytes] | None = None  # of that POST, once it is being handled
        self._left: Left | None = None  # to be fetched after the end of the session
        self._at_fault = False  # whether the session has ended because the client broke the protocol

    # The session's side

    @property
    def is_writable(self) -> bool:
        return self._poll is not None

    def flush(self, session: SendingSession) -> None:
        if self._poll is None:
            self._core.slow_clients.watch(session)
        elif session.outbox:  # not taken by one GET, after which another came, since it was noted for a flush
            self.release()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._left = Left(self._core, self._sid, [*outbox, CLOSE])
        self._at_fault = reason == TRANSPORT_ERROR
        if reason != SERVER_DISCONNECT:  # its client may yet send the rest, and fetch what is left for it
            self._cut_post()
        if self._at_fault:
            asyncio.get_running_loop().call_later(REFUSED_FIRST, self.release)
        elif self._poll is not None:
            self.release()
        elif reason == SERVER_DISCONNECT:  # otherwise the client is gone
            self._core.closing_clients.linger(self._left)

    def abort(self) -> None:
        self._left = Left(self._core, self._sid, [CLOSE])
        self._cut_post()
        self.release()

    def release(self) -> None:
        """Answer the GET that waits, if one does; with a NOOP if there is nothing else."""
        poll, self._poll = self._poll, None
        if poll is None:
            return
        session = poll.session
        assert session is not None
        if self._upgrading and session.transport is not self and session.is_open:
            # The client sent this GET after its upgrade packet, but the GET arrived first.
            poll.refuse(HTTPError(400, "Bad request"))
        else:
            poll.respond(encode_payload(self.take(session, poll.request)))

    def replaced(self) -> None:
        """Answer the GET that waits, if one does: a WebSocket has taken over."""
        self._left = Left(self._core, self._sid, [NOOP])
        self.release()

    # The client's side

    def get(self, session: Session, poll_request: PollRequest) -> None:
        """Answer a GET with the packets in the outbox, or keep it until there is one.

        Raises:
            HTTPError: 400 when another GET is waiting; the session is closed.
        """
        if self._poll is not None:
            self._refuse(session, "a second GET while one is waiting")
        if session.outbox:
            poll_request.respond(encode_payload(self.take(session, poll_request.request)))
        else:
            self._poll = poll_request
            self._upgrading = session.upgrade is not None
            poll_request.wait(session, self)

    def take(self, session: Session, request: Request, limit: int = MOST_PACKETS) -> list[Packet]:
        """Take the packets for one answer out of the outbox.

        Args:
            session: The session.
            request: The request to answer.
            limit: The most packets in an answer to python-socketio's client, which gets the others with its
                next GET.
        """
        if self._left is not None:
            return self._left.fetch_left(request)
        if len(session.outbox) > limit and _may_be_python(request):
            packets = session.outbox[:limit]
            del session.outbox[:limit]
            self._core.slow_clients.watch(session)
            self._core.slow_clients.took(session, packets)
            return packets
        packets, session.outbox = session.outbox, []
        self._core.slow_clients.settled(session)
        self.resumed()
        return packets or [NOOP]

    def unfinished(self) -> int:
        return self._posting.size if self._posting is not None else 0

    def post(self, session: Session, poll_request: PollRequest) -> None:
        """Begin to read a POST.

        Raises:
            HTTPError: 400 or 413; the session is closed.
        """
        if self._posting is not None:
            self._refuse(session, "a second POST while one is being read")
        length = poll_request.request.header(b"content-length")
        limit = session.terms.max_payload
        if length.isdigit() and int(length) > limit:
            self._refuse(session, "Payload too large", 413)
        self._posting = poll_request
        poll_request.read(session, self, limit)

    def posted(self, poll_request: PollRequest, body: bytes) -> None:
        """Hand the packets of a POST to the session, and answer it.

        Args:
            poll_request: The request.
            body: The payload, or the beginning of one that is too large.
        """
        session = poll_request.session
        assert session is not None
        self._core.bytes_received += len(body)
        try:
            if len(body) > session.terms.max_payload:
                self._refuse(session, "Payload too large", 413)
            try:
                self._messages = decode_payload(body)
            except ValueError as error:
                self._refuse(session, f"malformed payload: {error}")
        except HTTPError as error:
            self._posting = None
            poll_request.refuse(error)
        else:
            self.take_turn()

    def take_turn(self) -> None:
        """Hand a slice of the packets to the session, and answer the POST after the last one."""
        posting = self._posting
        if posting is None or posting.session is None:
            return
        session = posting.session
        if session.stopped:
            session.wait(self)
            return
        try:
            done = self._hand_over(session)
        except HTTPError as error:
            self._posting = self._messages = None
            posting.refuse(error)
            return
        if done:
            self._posting = self._messages = None
            posting.respond(b"ok")
        else:
            self._core.turns.add(self)

    def _hand_over(self, session: Session) -> bool:
        """Hand a slice of the packets of the POST to the session; return whether that is all.

        Raises:
            HTTPError: 400; the session is closed.
        """
        assert self._messages is not None
        left = SLICE
        try:
            for message in self._messages:
                if message == "1":
                    self._closed_by_client(session)
                    return True
                session.receive(message)
                if not session.is_open:
                    if self._at_fault:
                        raise HTTPError(400, "Bad request", logged=True)
                    return True  # a handler has closed it: the POST itself is accepted
                left -= 1 + (len(message) >> UNIT_BITS)
                if left <= 0 or session.stopped:
                    return False
        except ValueError as error:
            self._refuse(session, f"malformed payload: {error}")
        return True

    def client_gone(self, poll_request: PollRequest) -> None:
        """Note that the client left before it had its answer, or had sent its whole request."""
        if poll_request is self._poll:
            self._poll = None
            session = poll_request.session
            assert session is not None
            session.transport_lost(TRANSPORT_CLOSE)
            self._cut_post()
        elif self._messages is None:
            self._posting = None

    def _cut_post(self) -> None:
        """Close the connection of a POST that is still being read, because the session has ended."""
        if self._posting is not None and self._posting.reading:
            posting, self._posting = self._posting, None
            posting.cut_off(unknown_session(logged=True))

    def _closed_by_client(self, session: Session) -> None:
        has_poll = self._poll is not None
        session.transport_lost(CLIENT_DISCONNECT)
        if has_poll:
            self.replaced()

    def _refuse(self, session: Session, error: str, status: int = 400) -> NoReturn:
        session.reject(error, limit=MESSAGE_SIZE if status == 413 else "")
        raise HTTPError(status, error, logged=True)


class Left:
    """What an ended session left for its client, and the packet that says so.

    To `SlowClients` it is a session whose client is to take that.
    """

    __slots__ = ("_core", "behind", "is_open", "outbox", "sid", "transport")

    def __init__(self, core: Core, sid: str, outbox: list[Packet]) -> None:
        self._core = core
        self.sid = sid
        self.outbox = outbox
        self.is_open = True
        self.behind = False
        self.transport: Transport = HOLDING

    @property
    def address(self) -> str:
        """Not known any more: what is logged of such clients counts as one's."""
        return ""

    def fetch_left(self, request: Request) -> list[Packet]:
        """The packets for the answer to a poll."""
        left = self.outbox
        if len(left) > 1:
            # The last packet says that the session has ended. It comes alone, as Node's server sends it: a
            # client that closes while it reads an answer may take the events in there for unread.
            most = MOST_PACKETS if _may_be_python(request) else len(left)
            packets = left[: min(most, len(left) - 1)]
            del left[: len(packets)]
            self._core.slow_clients.took(self, packets)
            self._core.closing_clients.linger(self, is_polling=True)
            return packets
        self._core.slow_clients.settled(self)
        return left

    def stop(self) -> None:
        pass

    def ready(self) -> None:
        pass

    def cut(self, reason: str) -> None:
        self._core.closing_clients.fetch(self.sid)


def _may_be_python(request: Request) -> bool:
    """Whether python-socketio's client may have sent a request.

    Clients put a time into the query, as ``t``. JavaScript's client and those modelled on it write it in base
    36 or 64, Python's in seconds with a decimal point. A client that sends none may be Python's.
    """
    time = request.query.get("t", "")
    return not time or time.replace(".", "").isdigit()
