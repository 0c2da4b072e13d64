"""The HTTP long-polling transport (Engine.IO v4, "HTTP long-polling")."""

from __future__ import annotations

from typing import NoReturn

from ..core import Core
from ..http import HTTPError, Request
from ..packet import CLOSE, NOOP, Packet
from ..payload import decode_payload, encode_payload
from ..reasons import CLIENT_DISCONNECT, SERVER_DISCONNECT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from ..session import Session
from .base import SendingSession, Transport
from .poll_request import PollRequest

MOST_PACKETS = 16  # python-socketio's client disconnects if an answer has more


class Polling(Transport):
    """The transport of a client that fetches packets with GET and sends its own with POST.

    It is kept after the end of its session until the client has fetched what was left for it.
    """

    __slots__ = ("_at_fault", "_core", "_leftovers", "_poll", "_posting", "_sid", "_upgrading")
    name = "polling"

    def __init__(self, core: Core, sid: str) -> None:
        super().__init__()
        self._core = core
        self._sid = sid
        self._poll: PollRequest | None = None  # the GET that waits for packets
        self._upgrading = False  # whether that GET came during an upgrade
        self._posting: PollRequest | None = None  # the POST that is being read
        self._leftovers: list[Packet] | None = None  # to be fetched after the end of the session
        self._at_fault = False  # whether the session has ended because the client broke the protocol

    # The session's side

    def flush(self, session: SendingSession) -> None:
        if self._poll is None:
            self._core.slow_clients.watch(session)
        else:
            self.release()

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._leftovers = [*outbox, CLOSE]
        self._at_fault = reason == TRANSPORT_ERROR
        if self._poll is not None:
            self.release()
        elif reason == SERVER_DISCONNECT:  # otherwise the client is gone, or at fault
            self._core.closing_clients.linger(self._sid, self)

    def abort(self) -> None:
        self._leftovers = [CLOSE]
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
        self._leftovers = [NOOP]
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
        if self._leftovers is not None:
            return self.fetch_left(request)
        if len(session.outbox) > limit and _may_be_python(request):
            packets = session.outbox[:limit]
            del session.outbox[:limit]
            self._core.slow_clients.watch(session)
            return packets
        packets, session.outbox = session.outbox, []
        self._core.slow_clients.settled(session)
        self.resumed()
        return packets or [NOOP]

    def fetch_left(self, request: Request) -> list[Packet]:
        """The packets that were left for the client when the session ended, and the one that says so."""
        left = self._leftovers or [CLOSE]
        if len(left) > MOST_PACKETS and _may_be_python(request):
            packets = left[:MOST_PACKETS]
            del left[:MOST_PACKETS]
            self._core.closing_clients.linger(self._sid, self)
            return packets
        return left

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

    def posted(self, session: Session, body: bytes) -> None:
        """Hand the packets of a POST to the session.

        Args:
            session: The session.
            body: The payload, or the beginning of one that is too large.

        Raises:
            HTTPError: 400 or 413; the session is closed.
        """
        self._posting = None
        if len(body) > session.terms.max_payload:
            self._refuse(session, "Payload too large", 413)
        try:
            messages = decode_payload(body)
        except ValueError as error:
            self._refuse(session, f"malformed payload: {error}")
        for message in messages:
            if message == "1":
                self._closed_by_client(session)
                return
            session.receive(message)
            if not session.is_open:
                if self._at_fault:
                    raise HTTPError(400, "Bad request", logged=True)
                return  # a handler has closed it: the POST itself is accepted

    def client_gone(self, poll_request: PollRequest, session: Session) -> None:
        """Note that the client left before it had its answer, or had sent its whole request."""
        if poll_request is self._poll:
            self._poll = None
            session.transport_lost(TRANSPORT_CLOSE)
        else:
            self._posting = None

    def _closed_by_client(self, session: Session) -> None:
        has_poll = self._poll is not None
        session.transport_lost(CLIENT_DISCONNECT)
        if has_poll:
            self.replaced()

    def _refuse(self, session: Session, error: str, status: int = 400) -> NoReturn:
        session.reject(error)
        raise HTTPError(status, error, logged=True)


def _may_be_python(request: Request) -> bool:
    """Whether python-socketio's client may have sent a request.

    Clients put a time into the query, as ``t``. JavaScript's client and those modelled on it write it in base
    36 or 64, Python's in seconds with a decimal point. A client that sends none may be Python's.
    """
    time = request.query.get("t", "")
    return not time or time.replace(".", "").isdigit()
