"""The ASGI application: Socket.IO on its path, static files, and another application for the rest."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

from engineio.static_files import get_static_file
from socketio import ASGIApp as BaseApp
from socketio import AsyncServer as BaseServer

from .client_files import NAMES as CLIENT_FILES
from .engine import EngineServer
from .engine.http import ASGI, Message, Receive, Scope, Send, answer, has_two_hosts, refuse_two_hosts
from .static_files import HeadOnly, send_file
from .uvicorn.install import install
from .uvicorn.signals import close_before_uvicorn_stops
from .uvicorn.whole_request import Begin
from .workers.joining import Joining

Hook = Callable[[], Any]


class ASGIApp(BaseApp):
    """Serves a Socket.IO or Engine.IO server over ASGI, and another application beside it.

    It is a ``socketio.ASGIApp``: its attributes may be changed while it serves, and a subclass may override
    its methods.

    Args:
        socketio_server: An `asyncsock.AsyncServer` or an `asyncsock.engine.EngineServer`.
        other_asgi_app: Gets every other request and WebSocket, and the lifespan.
        static_files: A dictionary of URL paths and files or directories, as python-socketio takes it.
        socketio_path: The server's path. It may begin with the ``root_path`` of the ASGI server or of a
            mount, or with the end of that. With None the server gets every request.
        on_startup: Called before the first request; may be a coroutine function.
        on_shutdown: Called when the server stops; may be a coroutine function.

    Attributes:
        engineio_server: The server that was given as ``socketio_server``.
        engineio_path: Its path, between slashes.
    """

    engineio_server: Any
    engineio_path: str | None
    other_asgi_app: ASGI | None
    static_files: dict[str, Any]
    on_startup: Hook | None
    on_shutdown: Hook | None
    _others: Joining | None = None

    def __init__(
        self,
        socketio_server: Any,
        other_asgi_app: ASGI | None = None,
        static_files: dict[str, Any] | None = None,
        socketio_path: str | None = "socket.io",
        on_startup: Hook | None = None,
        on_shutdown: Hook | None = None,
    ) -> None:
        super().__init__(
            socketio_server, other_asgi_app, static_files, socketio_path, on_startup, on_shutdown
        )

    @property
    def engine(self) -> EngineServer:
        """The engine under the server."""
        engine: EngineServer = getattr(self.engineio_server, "eio", self.engineio_server)
        return engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI scope."""
        if scope["type"] == "lifespan":
            await self.lifespan(scope, receive, send)
            return
        if has_two_hosts(scope["headers"]):
            await refuse_two_hosts(scope, receive, send)
            return
        page = self._page(scope)
        static_file = self._static_file(scope)
        if page is not None:
            await page(scope, receive, send)
        elif static_file is not None:
            send = send if scope["method"] == "GET" else HeadOnly(send)
            await self.serve_static_file(static_file, receive, send)
        elif self.owns(scope):
            await self.engineio_server.handle_request(scope, receive, send)
        elif self.other_asgi_app is not None:
            await self.other_asgi_app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})
        else:
            await self.not_found(receive, send)

    def owns(self, scope: Scope) -> bool:
        """Whether a request is for the Socket.IO server."""
        ours = self.engineio_path
        if ours is None:
            return self._page(scope) is None
        for path in _paths(scope):
            if self._ensure_trailing_slash(path).startswith(ours):
                return self._static_file(scope) is None and self._page(scope) is None
        return False

    def find_begin(self, scope: Scope) -> Begin | None:
        """What begins to answer a request that is not for the server without ASGI, if anything does."""
        if self._page(scope) is not None or self._static_file(scope) is not None:
            return None
        other: Any = self.other_asgi_app
        if not isinstance(other, ASGIApp):
            return getattr(other, "begin_whole_request", None)
        if other.owns(scope) or other._sees_every_request():
            return None
        return other.find_begin(scope)

    def _page(self, scope: Scope) -> ASGI | None:
        """What the server tells of itself at a path, with `AsyncServer.pages`, or the JavaScript client."""
        pages: dict[str, ASGI] | None = getattr(self.engineio_server, "pages", None)
        client: ASGI | None = getattr(self.engineio_server, "client_files", None)
        if not (pages or client) or scope["type"] != "http":
            return None
        for path in _paths(scope):
            if pages and path in pages:
                return pages[path]
            folder, _, name = path.rpartition("/")
            if client and name in CLIENT_FILES and f"{folder}/" == (self.engineio_path or "/"):
                return client
        return None

    def _static_file(self, scope: Scope) -> dict[str, str] | None:
        if not self.static_files or self.engineio_path is None:
            return None
        if scope["type"] != "http" or scope["method"] not in ("GET", "HEAD"):
            return None
        for path in _paths(scope):
            if ".." not in path.split("/"):
                found: dict[str, str] | None = get_static_file(path, self.static_files)
                if found is not None and os.path.isfile(found["filename"]):
                    return found
        return None

    async def serve_static_file(self, static_file: dict[str, str], receive: Receive, send: Send) -> None:
        """Answer with a file, of which ``static_file`` has ``filename`` and ``content_type``."""
        await send_file(static_file["filename"], static_file["content_type"], receive, send)

    async def not_found(self, receive: Receive, send: Send) -> None:
        """Answer a request that neither the server nor another application takes."""
        await answer(send, 404, b"Not Found", [])

    # Lifespan

    async def lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and stop with the ASGI server: this server, the hooks, and the other application."""
        other = _OtherLifespan(self.other_asgi_app, scope)
        while True:
            message = await receive()
            stage = message["type"].removeprefix("lifespan.")
            if stage not in ("startup", "shutdown"):
                continue
            try:
                if stage == "startup":
                    await self._start(send)
                    await _call(self.on_startup)
                    await other.startup()
                else:
                    await self.engineio_server.shutdown()
                    if self._others is not None:
                        self._others.leave()
                    await other.shutdown()
                    await _call(self.on_shutdown)
            except Exception as error:
                if not isinstance(error, ConnectionError):  # the ASGI server shows its message
                    self.engine.logger.exception("error at %s", stage)
                await send({"type": f"{message['type']}.failed", "message": str(error)})
                return
            await send({"type": f"{message['type']}.complete"})
            if stage == "shutdown":
                return

    async def _start(self, send: Send) -> None:
        others = Joining(self.engineio_server, self.engine, self.engineio_path or "/")
        if others.directory is not None and hasattr(self.engineio_server, "join_workers"):
            self.engineio_server.join_workers(others.directory, others.group)
        if hasattr(self.engineio_server, "startup"):
            await self.engineio_server.startup()
        is_ours = isinstance(self.engine, EngineServer)  # not the one of a server of python-socketio's
        if is_ours:
            self.engine.start()
            self._others = others
            others.join()
        if self._sees_every_request():
            door = "plain ASGI (the application is a subclass that sees every request)"
        else:
            door = install(self.engine, self, send, self.owns, self.find_begin)
        self.engine.logger.debug("websocket door: %s", door)
        if is_ours:
            close_before_uvicorn_stops(self.engineio_server, self.engine)

    def _sees_every_request(self) -> bool:
        """Whether a subclass, or a method that replaces ours, has to be called for each request."""
        server, engine = self.engineio_server, self.engine
        return (
            type(self).__call__ is not ASGIApp.__call__
            or type(engine).handle_request is not EngineServer.handle_request
            or (server is not engine and type(server).handle_request is not BaseServer.handle_request)
            or any("handle_request" in vars(owner) for owner in (server, engine))
        )


class _OtherLifespan:
    """The lifespan of the other application, if it supports one."""

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
            # It ended or raised without an answer. By the specification this says that it does not support
            # lifespans.
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


def _paths(scope: Scope) -> list[str]:
    """The forms of a request's path: without ``root_path``, then with more and more of the end of it.

    Some ASGI servers and mounts leave ``root_path`` in ``path``, others remove it. Where a proxy removes a
    part, ``path`` begins with the rest, which a mount has added. A program may mean any of these forms.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root or not (root := root.rstrip("/")):
        return [path]
    ends = ["", *(root[at:] for at in range(len(root) - 1, -1, -1) if root[at] == "/")]
    below = next((path[len(end) :] for end in reversed(ends) if path.startswith(f"{end}/")), path)
    return [end + below for end in ends]
