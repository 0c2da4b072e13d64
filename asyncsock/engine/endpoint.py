"""Requests to the engine's path: what is refused, how sessions are opened, polled and upgraded."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable
from typing import Any

import orjson

from .answers import Answers
from .core import Core
from .elsewhere import Elsewhere, Owner, SessionElsewhere
from .environ import CHANNEL
from .errors import SessionTaken
from .http import JSON, HTTPError, Receive, Request, Scope, Send, answer, request_of, unknown_session
from .packet import Packet, text_packet
from .payload import encode_payload
from .reasons import TRANSPORT_CLOSE
from .session import Session
from .subprotocol import offered, subprotocol
from .tasks import CANCELLATIONS
from .transports.base import Transport
from .transports.poll_request import ASGIPollRequest, PollRequest
from .transports.polling import MOST_PACKETS, Polling
from .transports.tunnel import Tunnel
from .transports.upgrade import Upgrade
from .transports.websocket import POLICY_VIOLATION, ASGIWebSocket, WebSocketTransport

TRANSPORTS = ("polling", "websocket")
UPDATE = "update the client to socket.io-client 3 or later, which speaks Engine.IO 4"
NO_UPGRADE = "a request for a WebSocket came without its Upgrade header, which a proxy has to pass on"
NO_CLIENT = "no Socket.IO client asks so (serve_client=True serves the JavaScript client at socket.io.js)"


class Endpoint:
    """Serves the requests to the engine of one server.

    Args:
        core: What the sessions share.
        answers: Adds headers and compression to answers.
        transports: The transports that clients may use.
        allow_upgrades: Whether a polling client may move to a WebSocket.

    Attributes:
        elsewhere: The other processes of the server, if it has any.
    """

    def __init__(self, core: Core, answers: Answers, transports: list[str], allow_upgrades: bool) -> None:
        self._core = core
        self.answers = answers
        self.transports = transports
        self.allow_upgrades = allow_upgrades
        self.elsewhere: Elsewhere | None = None

    @property
    def _upgradable(self) -> bool:
        return self.allow_upgrades and "websocket" in self.transports

    async def serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI ``http`` or ``websocket`` request."""
        scope[CHANNEL] = receive, send
        request = request_of(scope)
        if scope["type"] == "websocket":
            await self._websocket(request, receive, send)
        else:
            await self._http(request, receive, send)

    # HTTP

    async def _http(self, request: Request, receive: Receive, send: Send) -> None:
        poll_request = ASGIPollRequest(self.answers, request)
        try:
            self.begin(poll_request)
            while poll_request.reading and await poll_request.read_on(receive):
                pass
            if poll_request.reading:
                return  # the client has left
            if poll_request.is_open:
                await poll_request.answered(receive)
        finally:
            poll_request.gone()
        if poll_request.written is not None:
            await answer(send, *poll_request.written)

    def begin(self, poll_request: PollRequest) -> None:
        """Answer a polling request, or leave it open until its answer is known."""
        try:
            poll_request.admit()
            if poll_request.request.method == "GET" and not poll_request.is_whole:
                poll_request.skip(self._core.terms.max_payload, self._answer)
            else:
                self._answer(poll_request)
        except HTTPError as error:
            poll_request.refuse(error)

    def _answer(self, poll_request: PollRequest) -> None:
        request = poll_request.request
        if request.method == "OPTIONS":
            poll_request.respond(b"OK")
            return
        self._check(request, "polling")
        sid = request.query.get("sid")
        if not sid:
            self._connect_polling(poll_request)
            return
        if request.method not in ("GET", "POST"):
            raise HTTPError(400, "Bad request")
        if self.elsewhere is not None and (owner := self._owner(sid)) is not None:
            owner.answer(poll_request, sid)
        else:
            self.answer_session(poll_request, sid)

    def answer_session(self, poll_request: PollRequest, sid: str) -> None:
        """Answer a polling request for a session of this process.

        Raises:
            HTTPError: The request is refused.
        """
        request = poll_request.request
        session = self._core.sessions.get(sid)
        if session is None:
            self._answer_ended(poll_request, sid)
            return
        polling = session.transport
        if not isinstance(polling, Polling):
            raise HTTPError(400, "Bad request")
        if request.method == "GET":
            polling.get(session, poll_request)
        else:
            polling.post(session, poll_request)

    def _answer_ended(self, poll_request: PollRequest, sid: str) -> None:
        request = poll_request.request
        ended = self._core.closing_clients.fetch(sid) if request.method == "GET" else None
        if ended is None:
            raise unknown_session()
        poll_request.respond(encode_payload(ended.fetch_left(request)))

    def _connect_polling(self, poll_request: PollRequest) -> None:
        if poll_request.request.method != "GET":
            raise HTTPError(400, "Bad handshake method", 2)
        session, connecting = self.connect(poll_request.request)
        if connecting is None:
            self._open_polling(poll_request, session)
        else:
            self._core.tasks.spawn(self._open_polling_later(poll_request, session, connecting), session)

    async def _open_polling_later(
        self, poll_request: PollRequest, session: Session, connecting: Awaitable[None]
    ) -> None:
        try:
            await connecting
            self._open_polling(poll_request, session)
        except HTTPError as error:
            poll_request.refuse(error)
        finally:  # the task may be cancelled; a request that has been answered ignores this
            poll_request.refuse(HTTPError(503, "The connect handler was cut short"))

    def _open_polling(self, poll_request: PollRequest, session: Session) -> None:
        polling = Polling(self._core, session.sid)
        packets = [self.open_packet(session, polling)]
        self._core.opened(session, polling)
        if session.outbox:
            packets += polling.take(session, poll_request.request, MOST_PACKETS - 1)
        if poll_request.is_open:
            poll_request.respond(encode_payload(packets), session.sid)
        else:  # the client left while its connect handler ran
            session.transport_lost(TRANSPORT_CLOSE)

    # WebSocket

    async def _websocket(self, request: Request, receive: Receive, send: Send) -> None:
        await receive()  # websocket.connect
        transport = ASGIWebSocket(self._core, base64=request.wants_base64)
        accept: dict[str, Any] = {"type": "websocket.accept"}
        try:
            accept["subprotocol"] = subprotocol(_offered(request.make_scope()))
            upgrade = self.upgrade(request, transport)
            if upgrade is not None:
                await send(accept)
                transport.receiver = upgrade
                await transport.run(receive, send)
                return
            session, connecting = self.connect(request)
            if connecting is not None:
                await connecting
        except SessionTaken:
            await send(accept)
            transport.close(POLICY_VIOLATION)
            await transport.run(receive, send)
            return
        except SessionElsewhere as elsewhere:
            await self._websocket_elsewhere(elsewhere, request, accept, receive, send)
            return
        except HTTPError as error:
            await self._refuse_websocket(request, error, send)
            return
        transport.attach(session)
        transport.send_now(self.open_packet(session, transport))
        self._core.opened(session, transport)
        try:
            await send({**accept, "headers": self.answers.cookie_headers(session.sid)})
        except BaseException:  # the client left while its connect handler ran
            transport.lost()
            raise
        await transport.run(receive, send)

    async def _websocket_elsewhere(
        self,
        elsewhere: SessionElsewhere,
        request: Request,
        accept: dict[str, Any],
        receive: Receive,
        send: Send,
    ) -> None:
        tunnel = Tunnel(elsewhere.owner, elsewhere.sid, request)
        try:
            await tunnel.open()
        except HTTPError as error:
            await self._refuse_websocket(request, error, send)
            return
        await send(accept)
        await tunnel.run(receive, send)

    async def _refuse_websocket(self, request: Request, error: HTTPError, send: Send) -> None:
        self.answers.log_refusal(request, error)
        if "websocket.http.response" in request.make_scope().get("extensions", {}):
            start = {"type": "websocket.http.response.start", "status": error.status}
            await send({**start, "headers": [(b"content-type", JSON)]})
            await send({"type": "websocket.http.response.body", "body": error.body})
        else:
            await send({"type": "websocket.close", "reason": error.message})

    def upgrade(self, request: Request, transport: WebSocketTransport) -> Upgrade | None:
        """Check a request for a WebSocket, and begin an upgrade if it names a session.

        Raises:
            HTTPError: The request is refused.
            SessionTaken: The WebSocket is to be accepted and closed.
            SessionElsewhere: Another process has the session.
        """
        self.answers.check_origin(request)
        self._check(request, "websocket")
        sid = request.query.get("sid")
        if not sid:
            return None
        owner = self._owner(sid)
        if owner is not None:
            raise SessionElsewhere(owner, sid)
        session = self._session(sid)
        polling = session.transport
        if not self._upgradable:
            raise HTTPError(400, "Bad request")
        if not isinstance(polling, Polling) or session.upgrade is not None:
            session.warn(self._core.logger, "session %s: a second WebSocket closed", sid)
            raise SessionTaken
        return Upgrade(self._core, session, polling, transport)

    # Both transports

    def connect(self, request: Request) -> tuple[Session, Awaitable[None] | None]:
        """Make a session and run its connect handler.

        Returns:
            The session, and what to await before it is opened if the handler is a coroutine.

        Raises:
            HTTPError: 401 when the handler refuses, which the awaitable raises too; 503 when the server
                stops; 503 or 429 when there are too many sessions.
        """
        core = self._core
        if core.loop is not asyncio.get_running_loop():
            core.follow_loop()
        if core.closing:
            raise HTTPError(503, "The server is shutting down")
        address = core.admission.check(request.make_scope)
        session = core.add(make_scope=request.make_scope)
        if address:
            core.admission.added(session.sid, address)
        try:
            result = core.application.connect(session)
        except BaseException as error:  # as in `Tasks`
            core.log_lines.error("error in the connect handler", error)
            result = False
        if result is not None and inspect.isawaitable(result):
            return session, self._connected(session, result)
        self._judge(session, result)
        return session, None

    async def _connected(self, session: Session, connecting: Awaitable[Any]) -> None:
        try:
            result = await connecting
        except CANCELLATIONS:
            self._core.remove(session)
            raise
        except BaseException as error:
            self._core.log_lines.error("error in the connect handler", error)
            result = False
        self._judge(session, result)

    def _judge(self, session: Session, result: Any) -> None:
        if result is not None and result is not True:
            self._core.remove(session)
            raise HTTPError(401, result if isinstance(result, str) else "Unauthorized", 4)

    def open_packet(self, session: Session, transport: Transport) -> Packet:
        """The ``open`` packet of a session (Engine.IO v4, "Handshake")."""
        upgradable = isinstance(transport, Polling) and self._upgradable
        upgrades = b',"upgrades":["websocket"],' if upgradable else b',"upgrades":[],'
        return text_packet(b'0{"sid":' + orjson.dumps(session.sid) + upgrades + session.terms.handshake)

    def _check(self, request: Request, transport: str) -> None:
        if request.query.get("EIO") != "4":
            remedy = UPDATE if "EIO" in request.query else NO_CLIENT
            raise HTTPError(400, "Unsupported protocol version", 5, remedy=remedy)
        asked = request.query.get("transport")
        if asked != transport or transport not in self.transports:
            remedy = NO_UPGRADE if asked == "websocket" and b"upgrade" not in request.headers else ""
            raise HTTPError(400, "Transport unknown", 0, remedy=remedy)

    def _owner(self, sid: str) -> Owner | None:
        if self.elsewhere is None or sid in self._core.sessions:
            return None
        return self.elsewhere.owner(sid)

    def _session(self, sid: str) -> Session:
        session = self._core.sessions.get(sid)
        if session is None:
            raise unknown_session()
        return session


def known_transports(transports: str | list[str] | tuple[str, ...] | None) -> list[str]:
    """The ``transports`` option as a list.

    Raises:
        ValueError: One of them is unknown.
    """
    names = [transports] if isinstance(transports, str) else list(transports or TRANSPORTS)
    unknown = [name for name in names if name not in TRANSPORTS]
    if unknown:
        raise ValueError(f"unknown transports {unknown}: they are 'polling' and 'websocket'")
    return names


def _offered(scope: Scope) -> list[str]:
    # uvicorn's class for wsproto puts the names into this list only, other servers into the header only.
    return scope.get("subprotocols") or offered(scope["headers"])
