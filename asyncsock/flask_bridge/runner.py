"""`SocketIO.run`: uvicorn with Flask's conveniences."""

from __future__ import annotations

import signal
import threading
from typing import Any

import uvicorn
from flask import Flask
from werkzeug._reloader import run_with_reloader
from werkzeug.debug import DebuggedApplication

from ..asgi import ASGIApp
from .wsgi import WsgiApp

GRACE = 10  # seconds that views and handlers have when the server stops


def run_server(
    asgi_app: ASGIApp,
    app: Flask,
    host: str | None,
    port: int | None,
    *,
    debug: bool | None = None,
    use_reloader: bool | None = None,
    reloader_options: dict[str, Any] | None = None,
    log_output: bool | None = None,
    certfile: str | None = None,
    keyfile: str | None = None,
    extra_files: list[str] | None = None,
    allow_unsafe_werkzeug: bool = True,
    **options: Any,
) -> None:
    """Serve until a signal, then return. See `SocketIO.run`.

    ``allow_unsafe_werkzeug`` is accepted and has no effect: Werkzeug's server is not used.
    """
    app.debug = app.debug if debug is None else debug
    log_output = app.debug if log_output is None else log_output
    if app.debug:
        asgi_app.other_asgi_app = WsgiApp(DebuggedApplication(app, evalex=True))
    options.setdefault("access_log", log_output)
    options.setdefault("timeout_graceful_shutdown", GRACE)
    config = uvicorn.Config(
        asgi_app,
        host=host or "127.0.0.1",
        port=port or _default_port(app),
        ssl_certfile=certfile,
        ssl_keyfile=keyfile,
        **options,
    )
    if app.debug if use_reloader is None else use_reloader:
        reloader_options = {"extra_files": extra_files, **(reloader_options or {})}
        run_with_reloader(uvicorn.Server(config).run, **reloader_options)
    else:
        _run_until_signal(uvicorn.Server(config))


def _default_port(app: Flask) -> int:
    _, colon, port = (app.config["SERVER_NAME"] or "").rpartition(":")
    return int(port) if colon else 5000


def _run_until_signal(server: uvicorn.Server) -> None:
    if threading.current_thread() is not threading.main_thread():
        server.run()
        return
    # When it has stopped, uvicorn raises the signal that stopped it again, for the handlers before its own.
    previous = {number: signal.signal(number, _ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        server.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _ignore(number: int, frame: object) -> None:
    pass
