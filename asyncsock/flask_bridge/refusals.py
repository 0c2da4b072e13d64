"""What cannot work, refused with one error that names the remedy."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from flask import Flask

if TYPE_CHECKING:
    from .extension import SocketIO

ASYNC_MODES = (None, "asgi", "asyncio", "threading")
START = (
    "`flask --app ... socketio run` or socketio.run(app) in development, `uvicorn module:asgi` in "
    "production, where the module has `asgi = socketio.asgi_app`"
)
WSGI = (
    "Socket.IO cannot be served here: this is a WSGI server, such as `flask run` or gunicorn starts, and "
    f"asyncsock needs an ASGI server. Start the application with {START}."
)

logger = logging.getLogger("asyncsock.wsgi")


def refuse_other_loops(async_mode: str | None) -> None:
    """Refuse an ``async_mode`` that means eventlet or gevent.

    Raises:
        ValueError: It does, or is unknown.
    """
    if async_mode not in ASYNC_MODES:
        raise ValueError(
            f"async_mode={async_mode!r}: asyncsock runs on asyncio only. Remove async_mode and any monkey "
            "patching, and start the application with `uvicorn module:asgi` or socketio.run(app)"
        )


def refuse_monkey_patching() -> None:
    """Refuse to run where eventlet or gevent has replaced the parts of Python that asyncio stands on.

    Raises:
        RuntimeError: One of them has.
    """
    for package, module, ask, call in (
        ("eventlet", "eventlet.patcher", "is_monkey_patched", "eventlet.monkey_patch()"),
        ("gevent", "gevent.monkey", "is_module_patched", "gevent.monkey.patch_all()"),
    ):
        is_patched = getattr(sys.modules.get(module), ask, None)
        if is_patched is not None and any(map(is_patched, ("socket", "select", "thread", "_thread", "time"))):
            raise RuntimeError(
                f"{package} has monkey-patched Python, and asyncsock runs on asyncio: remove {call} and any "
                f"{package} worker class, and start the application with {START}"
            )


def others_of(app: Flask, socketio: SocketIO, path: str) -> list[SocketIO]:
    """The other SocketIO objects of an application.

    Raises:
        ValueError: One of them has this path.
    """
    others: dict[str, SocketIO] = {
        taken: other for taken, other in _registered(app).items() if other is not socketio
    }
    if path in others:
        raise ValueError(
            f"this application has another SocketIO object on the path {path!r}: use that one everywhere "
            "(namespaces tell its parts apart), or give this one another path="
        )
    return list(others.values())


def register(app: Flask, socketio: SocketIO, path: str) -> None:
    """Note that a path of an application belongs to a SocketIO object, and to no WSGI server."""
    registered = _registered(app)
    for taken in [taken for taken, other in registered.items() if other is socketio]:
        del registered[taken]
    if "asyncsock" not in app.extensions:
        app.extensions["asyncsock"] = registered
        app.wsgi_app = _NoWsgi(app.wsgi_app, registered)  # type: ignore[method-assign]
    registered[path] = socketio


def _registered(app: Flask) -> dict[str, SocketIO]:
    registered: dict[str, SocketIO] = app.extensions.get("asyncsock", {})
    return registered


class _NoWsgi:
    """WSGI middleware: says how to start the application to who asks a WSGI server for Socket.IO.

    An ASGI server never brings such a request here: `ASGIApp` keeps it.
    """

    def __init__(self, wsgi_app: Callable[..., Iterable[bytes]], paths: dict[str, Any]) -> None:
        self._wsgi_app = wsgi_app
        self._paths = paths
        self._logged = False

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        path: str = environ.get("PATH_INFO", "")[1:]
        if path.startswith(tuple(self._paths)) and self._is_taken(path):
            return self._refuse(start_response)
        return self._wsgi_app(environ, start_response)

    def _is_taken(self, path: str) -> bool:
        return any(f"{path}/".startswith(f"{taken}/") for taken in self._paths)

    def _refuse(self, start_response: Callable[..., Any]) -> list[bytes]:
        if not self._logged:  # clients come again every few seconds
            self._logged = True
            logger.error(WSGI)
        body = f"{WSGI}\n".encode()
        headers = [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))]
        start_response("501 Not Implemented", headers)
        return [body]
