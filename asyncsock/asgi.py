"""The ASGI application: Socket.IO on its path, static files, and another application for the rest."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

from engineio.static_files import get_static_file

from .engine import EngineServer
from .engine.http import ASGI, Message, Receive, Scope, Send, answer
from .engine.shutdown import close_before_uvicorn_stops
from .engine.uvicorn import install

Hook = Callable[[], Any]


class ASGIApp:
    """Serves a Socket.IO or Engine.IO server over ASGI, and another application beside it.

    Args:
        server: An `asyncsock.AsyncServer` or an `asyncsock.engine.EngineServer`.
        other_asgi_app: Gets every other request and WebSocket, and the lifespan.
        static_files: A dictionary of URL paths and files or directories, as python-socketio takes it.
        socketio_path: The server's path, relative to ``root_path``; None gives it every request.
        on_startup: Called before the first request; may be a coroutine function.
        on_shutdown: Called when the server stops; may be a coroutine function.
    """

    def __init__(
        self,
        server: Any,
        other_asgi_app: ASGI | None = None,
        static_files: dict[str, Any] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        self.server = server
        self.engine: EngineServer = getattr(server, "eio", server)
        self.other_asgi_app = other_asgi_app
        self.static_files = static_files or {}
        if socketio_path is not None:
            socketio_path = f"/{socketio_path.strip('/')}/".replace("//", "/")
        self.socketio_path = socketio_path
        self.on_startup = on_startup
        self.on_shutdown = on_shutdown

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
            return
        static_file = self._static_file(scope)
        if static_file is not None:
            await _send_file(static_file, scope, send)
        elif self.owns(scope):
            await self.server.handle_request(scope, receive, send)
        elif self.other_asgi_app is not None:
            await self.other_asgi_app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await answer(send, 404, b"Not Found", [])

    def owns(self, scope: Scope) -> bool:
        """Whether a request is for the Socket.IO server."""
        if self.socketio_path is None:
            ours = True
        else:
            ours = f"{_path(scope)}/".startswith(self.socketio_path)
        return ours and self._static_file(scope) is None

    def _static_file(self, scope: Scope) -> dict[str, str] | None:
        if not self.static_files or scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        path = _path(scope)
        if ".." in path.split("/"):
            return None
        found: dict[str, str] | None = get_static_file(path, self.static_files)
        return found if found is not None and os.path.isfile(found["filename"]) else None

    # Lifespan

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        other = _OtherLifespan(self.other_asgi_app, scope)
        while True:
            message = await receive()
            stage = message["type"].removeprefix("lifespan.")
            try:
                if stage == "startup":
                    await self._start(send)
                    await _call(self.on_startup)
                    await other.startup()
                else:
                    await self.server.shutdown()
                    await other.shutdown()
                    await _call(self.on_shutdown)
            except Exception as error:
                if not isinstance(error, ConnectionError):  # of which the ASGI server shows the message
                    self.engine.logger.exception("error at %s", stage)
                await send({"type": f"{message['type']}.failed", "message": str(error)})
                return
            await send({"type": f"{message['type']}.complete"})
            if stage == "shutdown":
                return

    async def _start(self, send: Send) -> None:
        if hasattr(self.server, "startup"):
            await self.server.startup()
        self.engine.closing = False
        door = install(self.engine, self, send, self.owns)
        self.engine.logger.debug("websocket door: %s", door)
        close_before_uvicorn_stops(self.server, self.engine)


class _OtherLifespan:
    """The lifespan of the other application, if it understands one."""

    def __init__(self, app: ASGI | None, scope: Scope) -> None:
        self._app = app
        self._scope = scope
        self._to_app: asyncio.Queue[Message] = asyncio.Queue()
        self._from_app: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        if self._app is not None:
            coroutine = self._app(self._scope, self._to_app.get, self._from_app.put)
            self._task = asyncio.ensure_future(coroutine)
            await self._exchange("lifespan.startup")

    async def shutdown(self) -> None:
        if self._task is not None and not self._task.done():
            await self._exchange("lifespan.shutdown")

    async def _exchange(self, message: str) -> None:
        assert self._task is not None
        self._to_app.put_nowait({"type": message})
        reply = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait([reply, self._task], return_when=asyncio.FIRST_COMPLETED)
        if not reply.done():
            # It ended or raised without an answer: it does not know lifespans, as the specification
            # says such applications do.
            reply.cancel()
            self._task.cancelled() or self._task.exception()
        elif reply.result()["type"] == f"{message}.failed":
            raise RuntimeError(
                reply.result().get("message") or f"the wrapped application failed at {message}"
            )


async def _call(hook: Hook | None) -> None:
    if hook is not None:
        result = hook()
        if inspect.isawaitable(result):
            await result


def _path(scope: Scope) -> str:
    """The path of a request below ``root_path``, which servers do or do not leave in ``path``."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(f"{root}/") else path


async def _send_file(file: dict[str, str], scope: Scope, send: Send) -> None:
    def read() -> bytes:
        with open(file["filename"], "rb") as stream:
            return stream.read()

    body = await asyncio.to_thread(read)
    headers = [
        (b"content-type", file["content_type"].encode()),
        (b"content-length", str(len(body)).encode()),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body if scope["method"] == "GET" else b""})
