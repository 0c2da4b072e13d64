"""The paths that the SocketIO objects of an application have, and requests that arrive there through WSGI."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from flask import Flask

from ..client_files import NAMES as CLIENT_FILES
from ..engine.http import Message, Receive, Scope, Send
from .checks import START
from .sender import Sender
from .wsgi import WsgiApp
from .wsgi_extensions import HANDS_OVER, STREAMS, HandOver, WsgiCallable

WSGI = (
    "Socket.IO cannot be served here: this is a WSGI server, such as `flask run` or gunicorn starts, and "
    f"asyncsock needs an ASGI server. Start the application with {START}."
)

REFUSAL_SIZE = 65_536  # bytes of a WSGI answer that a refused WebSocket gets

S = TypeVar("S", bound=Sender)

logger = logging.getLogger("asyncsock.wsgi")


def others_of(app: Flask, socketio: S, path: str) -> list[S]:
    """The other SocketIO objects of an application.

    Raises:
        ValueError: One of them has this path.
    """
    others: dict[str, S] = {
        taken: other for taken, other in _registered(app).items() if other is not socketio
    }
    if path in others:
        raise ValueError(
            f"this application has another SocketIO object on the path {path!r}: use that one everywhere "
            "(namespaces tell its parts apart), or give this one another path="
        )
    return list(others.values())


def register(app: Flask, socketio: Sender, path: str) -> None:
    """Note that a path of an application belongs to a SocketIO object."""
    registered = _registered(app)
    for taken in [taken for taken, other in registered.items() if other is socketio]:
        del registered[taken]
    if "asyncsock" not in app.extensions:
        app.extensions["asyncsock"] = registered
        app.wsgi_app = _SocketPaths(app.wsgi_app, registered)  # type: ignore[method-assign]
    registered[path] = socketio


def _registered(app: Flask) -> dict[str, Any]:
    registered: dict[str, Any] = app.extensions.get("asyncsock", {})
    return registered


class _SocketPaths:
    """WSGI middleware for what WSGI cannot serve: requests to a SocketIO object, and asynchronous bodies.

    Under an ASGI server, `ASGIApp` takes the requests for its path. Others get here if the program's own
    middleware, which is around this one, has changed their path; they are handed over. Under a WSGI server,
    the answer says how to start the application.
    """

    def __init__(self, wsgi_app: WsgiCallable, paths: dict[str, Sender]) -> None:
        self._wsgi_app = wsgi_app
        self._paths = paths
        self._logged = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")[1:]
        if path.startswith(tuple(self._paths)):
            for taken, socketio in self._paths.items():
                if f"{path}/".startswith(f"{taken}/"):
                    if environ.get(HANDS_OVER):
                        raise HandOver(_Below(socketio, environ))
                    return self._refuse(start_response)
        result = self._wsgi_app(environ, start_response)
        if hasattr(result, "__aiter__") and STREAMS in environ:
            environ[STREAMS](result)  # past the program's middleware, which can iterate ordinarily only
            return ()
        return result

    def _refuse(self, start_response: Callable[..., Any]) -> list[bytes]:
        if not self._logged:  # clients come again every few seconds
            self._logged = True
            logger.error(WSGI)
        body = f"{WSGI}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("501 Not Implemented", headers)
        return [body]


class _Below:
    """A SocketIO object as an ASGI application, at the path that middleware has made of the request's.

    Args:
        socketio: The object.
        environ: The request as the middleware left it.
    """

    def __init__(self, socketio: Sender, environ: dict[str, Any]) -> None:
        self._socketio = socketio
        root = _text(environ.get("SCRIPT_NAME", "").rstrip("/"))
        self._changes = {"root_path": root, "path": root + _text(environ["PATH_INFO"])}
        self._secure = environ["wsgi.url_scheme"] == "https"
        self._address: str | None = environ.get("REMOTE_ADDR")
        self._host: str | None = environ.get("HTTP_HOST")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changed = {**scope, **self._changes}
        scheme = "ws" if scope["type"] == "websocket" else "http"
        changed["scheme"] = f"{scheme}s" if self._secure else scheme
        if self._address is not None and self._address != (scope.get("client") or [None])[0]:
            changed["client"] = (self._address, 0)
        if self._host is not None:
            others = [header for header in scope["headers"] if header[0] != b"host"]
            changed["headers"] = [(b"host", self._host.encode("latin-1")), *others]
        server = self._socketio.server
        client = server.client_files if changed["type"] == "http" else None
        if client is not None and changed["path"].rpartition("/")[2] in CLIENT_FILES:
            await client(changed, receive, send)
        else:
            await server.handle_request(changed, receive, send)


def _text(latin1: str) -> str:
    """A text of an environ, which has the bytes of UTF-8 as characters (PEP 3333)."""
    return latin1.encode("latin-1").decode("utf-8", "replace")


class FlaskApp(WsgiApp):
    """The Flask application beside Socket.IO: its views, and what its middleware finds to be Socket.IO's."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request or a WebSocket."""
        if scope["type"] == "websocket" and b"EIO=" in scope.get("query_string", b""):
            await self._ask(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a WebSocket through the middleware as a GET; hand it over, or refuse it with the answer."""
        answer: list[Message] = []
        body = iter([{"type": "http.request"}])

        async def no_body() -> Message:
            return next(body, None) or await asyncio.get_running_loop().create_future()

        async def keep(message: Message) -> None:
            if sum(len(part.get("body", b"")) for part in answer) < REFUSAL_SIZE:
                answer.append(message)

        successor = await self.serve({**scope, "type": "http", "method": "GET"}, no_body, keep)
        if successor is not None:
            await successor(scope, receive, send)
        elif "websocket.http.response" in scope.get("extensions", {}):
            await receive()
            for message in answer:
                await send({**message, "type": f"websocket.{message['type']}"})
        else:
            await self.refuse(receive, send)
