"""Test clients: the handlers of an application without a network."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from flask import Flask
from flask.testing import EnvironBuilder, FlaskClient

from ..codec.base import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Incoming,
    put_back,
)
from ..engine.packet import Packet
from ..engine.reasons import CLIENT_DISCONNECT
from ..engine.session import Session
from ..engine.transports.base import SendingSession, Transport
from .sender import Sender

T = TypeVar("T")
Received = dict[str, Any]


class _Inbox(Transport):
    """A transport that decodes what the server sends and keeps it."""

    __slots__ = ("_client", "_partial", "acks", "connected", "received")
    name = "websocket"

    def __init__(self, client: _Client) -> None:
        super().__init__()
        self._client = client
        self._partial: tuple[Incoming, list[bytes]] | None = None
        self.received: list[Received] = []
        self.acks: list[list[Any]] = []
        self.connected: dict[str, bool] = {}

    def flush(self, session: SendingSession) -> None:
        outbox, session.outbox = session.outbox, []
        self._take(outbox)

    def finish(self, outbox: list[Packet], code: int, reason: str) -> None:
        self._take(outbox)
        self.abort()

    def abort(self) -> None:
        self.connected = dict.fromkeys(self.connected, False)

    def _take(self, outbox: list[Packet]) -> None:
        codec = self._client.server.codec
        for packet in outbox:
            if self._partial is not None:
                incoming, attachments = self._partial
                attachments.append(packet.data)
            elif packet.binary or packet.text[0] == "4":
                incoming = codec.decode(packet.data if packet.binary else packet.text[1:])
                attachments = []
            else:
                continue  # not a message
            self._partial = (incoming, attachments)
            if len(attachments) == len(incoming.places):
                self._partial = None
                put_back(attachments, incoming.places)
                self._receive(incoming.kind, incoming.namespace, incoming.id, incoming.data)

    def _receive(self, kind: int, namespace: str, id: int | None, data: Any) -> None:
        if kind in (EVENT, BINARY_EVENT):
            if id is None and self._client.server.recovers:
                data = data[:-1]  # without the offset
            # Flask-SocketIO gives these two their only argument, and every other event a list.
            args = data[1] if data[0] in ("message", "json") and len(data) > 1 else data[1:]
            self.received.append({"name": data[0], "args": args, "namespace": namespace})
        elif kind in (ACK, BINARY_ACK):
            self.acks.append(data)
        elif kind == CONNECT:
            self.connected[namespace] = True
        elif kind in (DISCONNECT, CONNECT_ERROR):
            self.connected[namespace] = False


class _Client:
    """What both test clients do, in coroutines on the server's loop."""

    def __init__(self, app: Flask, socketio: Sender, flask_test_client: FlaskClient | None) -> None:
        self.server = socketio.server
        self.inbox = _Inbox(self)
        self._app = app
        self._flask_client = flask_test_client
        self._last_id = 0
        self._errors: list[BaseException] = []
        self._session: Session | None = None

    @property
    def eio_sid(self) -> str:
        assert self._session is not None
        return self._session.sid

    async def connect(self, namespace: str, query_string: Any, headers: Any, auth: Any) -> None:
        environ = self._environ(query_string, headers)
        eio = self.server.eio
        if self._session is None or not self._session.is_open:
            self.server.attach_loop()
            self._session = eio.core.add(environ)
            self._session.start(self.inbox)
            eio.core.application.connect(self._session)
        self._session.environ = environ
        self.server.connections[self.eio_sid].context = None  # the context is made again, from this environ
        await self._feed(CONNECT, namespace, auth)
        sid = self.server.manager.sid_from_eio_sid(self.eio_sid, namespace)
        if sid is not None:
            self.inbox.connected[namespace] = True  # even if the server refuses to connect twice
            event = self.server.event_context(sid, namespace, None, ())
            if event.connection.manage_session:
                # Tests read environ["saved_session"], which exists only after something has used the session.
                _ = event.context.session

    async def disconnect(self, namespace: str) -> None:
        await self._feed(DISCONNECT, namespace, None)
        self.inbox.connected.pop(namespace, None)

    async def close(self) -> None:
        if self._session is not None:
            self._session.close(CLIENT_DISCONNECT)
            await self.settle()

    async def emit(self, event: str, args: tuple[Any, ...], namespace: str, callback: bool) -> Any:
        if not self.inbox.connected.get(namespace):
            raise RuntimeError("not connected")
        id = None
        if callback:
            self._last_id += 1
            id = self._last_id
        self.inbox.acks.clear()
        await self._feed(EVENT, namespace, [event, *args], id)
        if not self.inbox.acks:
            return None
        answer = self.inbox.acks.pop()
        return answer[0] if len(answer) == 1 else answer

    async def get_received(self, namespace: str) -> list[Received]:
        await self.settle()
        if not self.inbox.connected.get(namespace):
            raise RuntimeError("not connected")
        received = self.inbox.received
        self.inbox.received = [packet for packet in received if packet["namespace"] != namespace]
        return [packet for packet in received if packet["namespace"] == namespace]

    async def _feed(self, kind: int, namespace: str, data: Any, id: int | None = None) -> None:
        assert self._session is not None
        codec = self.server.codec
        body = codec.encode(data) if data is not None else None
        tasks = self.server.eio.tasks
        tasks.on_error = self._errors.append
        try:
            for packet in codec.assemble(kind, namespace, body, id):
                self._session.receive(packet.data if packet.binary else packet.text)
            await self.settle()
        finally:
            tasks.on_error = None
        if self._errors:
            error = self._errors[0]
            self._errors.clear()
            raise error

    async def settle(self) -> None:
        """Wait until the handlers of this client's events have ended and what they sent has arrived."""
        tasks = self.server.eio.tasks
        while running := [
            end for end, session in tasks.endings().items() if session and session.sid == self.eio_sid
        ]:
            await asyncio.wait(running)
        await asyncio.sleep(0)  # run what other threads have handed to the loop before
        self.server.eio.outboxes.flush()
        connection = self.server.connections.get(self.eio_sid)
        if connection is not None:
            self.server.manager.release_all(connection)
        self.server.eio.outboxes.flush()

    def _environ(self, query_string: Any, headers: Any) -> dict[str, Any]:
        query = query_string.removeprefix("?") if isinstance(query_string, str) else query_string
        client = self._flask_client
        builder = EnvironBuilder(
            self._app,
            path="/socket.io/",
            query_string=query,
            headers=headers,
            environ_base=dict(client.environ_base) if client is not None else None,
        )
        environ: dict[str, Any] = builder.get_environ()
        if client is not None:
            client._add_cookies_to_wsgi(environ)
        environ["asgi.scope"] = {"type": "websocket", "path": "/socket.io/", "headers": []}
        return environ


class _TestClient:
    """What the two test clients have in common."""

    def __init__(
        self,
        app: Flask,
        socketio: Sender,
        namespace: str | None = None,
        query_string: Any = None,
        headers: Any = None,
        auth: Any = None,
        flask_test_client: FlaskClient | None = None,
    ) -> None:
        self._client = _Client(app, socketio, flask_test_client)
        self._connect_with = (namespace, query_string, headers, auth)
        self._made()

    def _made(self) -> None:
        """Called by the constructor last."""

    @property
    def eio_sid(self) -> str:
        """The id of the client's Engine.IO session."""
        return self._client.eio_sid

    @property
    def connected(self) -> dict[str, bool]:
        """Whether the client is connected, by namespace."""
        return self._client.inbox.connected

    @property
    def queue(self) -> list[Received]:
        """What has arrived in all namespaces and was not taken by `get_received` yet."""
        return self._client.inbox.received

    def sid(self, namespace: str | None = None) -> str | None:
        """The client's sid in a namespace, which handlers see as ``request.sid``."""
        sid: str | None = self._client.server.manager.sid_from_eio_sid(self.eio_sid, namespace or "/")
        return sid


class SocketIOTestClient(_TestClient):
    """A client for synchronous tests, made by `SocketIO.test_client`. It connects at once.

    The application's handlers run on an event loop in a thread of their own. Each method returns when the
    handlers that it triggered have ended, and raises what they raised.

    Args:
        app: The Flask application.
        socketio: Its `SocketIO`.
        namespace: ``'/'`` by default.
        query_string: Of the connecting request.
        headers: Of the connecting request.
        auth: What the client authenticates with.
        flask_test_client: A client whose cookies, and so whose session, the connecting request gets.
    """

    def _made(self) -> None:
        self.connect(*self._connect_with)

    def is_connected(self, namespace: str | None = None) -> bool:
        """Whether the client is connected to a namespace."""
        self._run(self._client.settle())
        return self._client.inbox.connected.get(namespace or "/", False)

    def connect(
        self, namespace: str | None = None, query_string: Any = None, headers: Any = None, auth: Any = None
    ) -> None:
        """Connect to a namespace, or to another one."""
        self._run(self._client.connect(namespace or "/", query_string, headers, auth))

    def disconnect(self, namespace: str | None = None) -> None:
        """Leave a namespace.

        Raises:
            RuntimeError: The client is not connected to it.
        """
        if not self.is_connected(namespace):
            raise RuntimeError("not connected")
        self._run(self._client.disconnect(namespace or "/"))

    def emit(
        self, event: str, *args: Any, callback: bool = False, namespace: str | None = None, **ignored: Any
    ) -> Any:
        """Send an event to the server.

        Args:
            event: The name of the event.
            *args: What to send with it.
            callback: Whether to ask for an acknowledgement.
            namespace: ``'/'`` by default.
            **ignored: Flask-SocketIO's client takes any other keyword, and so does this one.

        Returns:
            What the server acknowledged with, if it was asked for: a value, or a list of several.

        Raises:
            RuntimeError: The client is not connected to the namespace.
        """
        return self._run(self._client.emit(event, args, namespace or "/", callback))

    def send(
        self, data: Any, json: bool = False, callback: bool = False, namespace: str | None = None
    ) -> Any:
        """Send a ``message`` event, or a ``json`` event; otherwise like `emit`."""
        return self.emit("json" if json else "message", data, callback=callback, namespace=namespace)

    def get_received(self, namespace: str | None = None) -> list[Received]:
        """What has arrived in a namespace since the last call: dictionaries of name, args and namespace.

        Raises:
            RuntimeError: The client is not connected to it.
        """
        return self._run(self._client.get_received(namespace or "/"))

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        server = self._client.server
        loop = server.loop
        if loop is None or not loop.is_running():
            loop = _background_loop()
        if server.on_loop():
            coroutine.close()
            raise RuntimeError(
                "test_client() blocks, and the server is on this thread's event loop: use "
                "`async with socketio.async_test_client(app)` in coroutines"
            )
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result()


class AsyncSocketIOTestClient(_TestClient):
    """A client for tests that are coroutines, made by `asyncsock.SocketIO.async_test_client`.

    It connects on entering ``async with`` and closes on leaving it; the methods are those of
    `asyncsock.SocketIOTestClient`, as coroutines, and `is_connected`, `sid` and `eio_sid`.
    """

    async def __aenter__(self) -> AsyncSocketIOTestClient:
        await self.connect(*self._connect_with)
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._client.close()

    def is_connected(self, namespace: str | None = None) -> bool:
        """Whether the client is connected to a namespace."""
        return self._client.inbox.connected.get(namespace or "/", False)

    async def connect(
        self, namespace: str | None = None, query_string: Any = None, headers: Any = None, auth: Any = None
    ) -> None:
        """Connect to a namespace, or to another one."""
        await self._client.connect(namespace or "/", query_string, headers, auth)

    async def disconnect(self, namespace: str | None = None) -> None:
        """Leave a namespace."""
        if not self.is_connected(namespace):
            raise RuntimeError("not connected")
        await self._client.disconnect(namespace or "/")

    async def emit(self, event: str, *args: Any, callback: bool = False, namespace: str | None = None) -> Any:
        """Send an event and wait for its handler, as `asyncsock.SocketIOTestClient.emit` does."""
        return await self._client.emit(event, args, namespace or "/", callback)

    async def send(
        self, data: Any, json: bool = False, callback: bool = False, namespace: str | None = None
    ) -> Any:
        """Send a ``message`` event, or a ``json`` event; otherwise like `emit`."""
        return await self.emit("json" if json else "message", data, callback=callback, namespace=namespace)

    async def get_received(self, namespace: str | None = None) -> list[Received]:
        """What has arrived in a namespace since the last call."""
        return await self._client.get_received(namespace or "/")


_loop: asyncio.AbstractEventLoop | None = None
_loop_lock = threading.Lock()


def _background_loop() -> asyncio.AbstractEventLoop:
    """An event loop that runs in a daemon thread, one for all test clients of the process."""
    global _loop
    with _loop_lock:
        if _loop is None:
            _loop = asyncio.new_event_loop()
            threading.Thread(target=_loop.run_forever, name="asyncsock-test-client", daemon=True).start()
    return _loop
