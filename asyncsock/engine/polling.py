"""The HTTP long-polling transport (Engine.IO v4, "HTTP long-polling")."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NoReturn

from .http import ClientGone, HTTPError, Receive, Request, read_body
from .packet import CLOSE, NOOP, Packet
from .payload import decode_payload
from .session import CLIENT_DISCONNECT, SERVER_DISCONNECT, TRANSPORT_CLOSE, Session
from .transport import Transport

if TYPE_CHECKING:
    from .server import EngineServer


class Polling(Transport):
    """A session whose client fetches its packets with GET and posts its own.

    Once the session has ended, the object lives on until the client has fetched what was left for it.
    """

    __slots__ = ("_left", "_poll", "_posting", "_server", "_sid")
    name = "polling"

    def __init__(self, server: EngineServer, sid: str) -> None:
        super().__init__()
        self._server = server
        self._sid = sid
        self._poll: asyncio.Future[None] | None = None  # the GET that hangs
        self._posting = False
        self._left: list[Packet] | None = None  # for the client to fetch after the end of the session

    # The session's side

    def flush(self, session: Session) -> None:
        if self._poll is None:
            self._server.stalls.watch(session)
        elif not self._poll.done():
            self._poll.set_result(None)

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._left = [*outbox, CLOSE]
        if self._poll is not None:
            self.release()
        elif reason == SERVER_DISCONNECT:  # otherwise the client is gone, or at fault
            self._server.endings.linger(self._sid, self)

    def abort(self) -> None:
        self._left = [CLOSE]
        self.release()

    def release(self) -> None:
        """Answer a hanging GET with a NOOP."""
        if self._poll is not None and not self._poll.done():
            self._poll.set_result(None)

    def replaced(self) -> None:
        """Answer a hanging GET: a WebSocket has taken over."""
        self._left = [NOOP]
        self.release()

    # The client's side

    async def get(self, session: Session, receive: Receive) -> list[Packet]:
        """Wait for packets and take them; while an upgrade is probed, possibly just a NOOP.

        Raises:
            HTTPError: 400 when another GET is waiting; the session is closed.
            ClientGone: The client left; the session is closed.
        """
        if self._poll is not None:
            self._refuse(session, "a second GET while one is waiting")
        if not session.outbox:
            upgrading = session.upgrade is not None
            await self._wait(session, receive)
            if upgrading and session.transport is not self and session.is_open:
                # It came after the client's upgrade packet and overtook it.
                raise HTTPError(400, "Bad request")
        return self.take(session)

    def take(self, session: Session) -> list[Packet]:
        """Everything that waits for the client."""
        if self._left is not None:
            return self._left
        packets, session.outbox = session.outbox, []
        self._server.stalls.settled(session)
        self.resumed()
        return packets or [NOOP]

    def fetch_left(self) -> list[Packet]:
        """What was left for the client when the session ended, and the packet that says so."""
        return self._left or [CLOSE]

    async def _wait(self, session: Session, receive: Receive) -> None:
        poll = self._poll = asyncio.get_running_loop().create_future()
        watch = asyncio.ensure_future(_client_gone(receive))
        watch.add_done_callback(lambda _: poll.done() or poll.cancel())
        try:
            await poll
        except asyncio.CancelledError:
            session.transport_lost(TRANSPORT_CLOSE)
            if watch.done() and not watch.cancelled():
                raise ClientGone from None
            raise
        finally:
            self._poll = None
            watch.cancel()

    async def post(self, session: Session, request: Request, receive: Receive) -> None:
        """Read a payload and hand its packets to the session.

        Raises:
            HTTPError: 400 or 413; the session is closed.
            ClientGone: The client left before the end of the body.
        """
        if self._posting:
            self._refuse(session, "a second POST while one is being read")
        self._posting = True
        try:
            body = await read_body(request, receive, self._server.max_http_buffer_size)
            messages = decode_payload(body)
        except HTTPError as error:
            self._refuse(session, error.message, error.status)
        except ValueError as error:
            self._refuse(session, f"malformed payload: {error}")
        finally:
            self._posting = False
        for message in messages:
            if message == "1":
                self._closed_by_client(session)
                return
            session.receive(message)
            if not session.is_open:
                raise HTTPError(400, "Bad request", logged=True)

    def _closed_by_client(self, session: Session) -> None:
        poll = self._poll
        session.transport_lost(CLIENT_DISCONNECT)
        if poll is not None:
            self.replaced()

    def _refuse(self, session: Session, error: str, status: int = 400) -> NoReturn:
        session.reject(error)
        raise HTTPError(status, error, logged=True)


async def _client_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
