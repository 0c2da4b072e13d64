"""`SocketIO.run` and `SocketIO.stop`: uvicorn with Flask's conveniences."""

from __future__ import annotations

import _thread
import asyncio
import inspect
import signal
import ssl
import threading
import warnings
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from flask import Flask
from werkzeug.debug import DebuggedApplication
from werkzeug.serving import generate_adhoc_ssl_context, is_running_from_reloader

from ..asgi import ASGIApp
from ..uvicorn.signals import close_then
from .paths import FlaskApp
from .process_signals import ProgramSignals
from .reloader import can_reload, run_with_reloader

RELOAD = 3  # the exit code by which Werkzeug's reloader asks to be started again
# Options that run() refuses: it serves the one application that it was given, in one process.
NOT_FOR_RUN = {"app", "factory", "interface", "reload", "workers"}
UVICORN_OPTIONS = {
    name
    for name in inspect.signature(uvicorn.Config).parameters
    if name not in NOT_FOR_RUN and not name.startswith("reload_")
}
SSL_OPTIONS = {  # as eventlet and gevent call them
    "ca_certs": "ssl_ca_certs",
    "cert_reqs": "ssl_cert_reqs",
    "certfile": "ssl_certfile",
    "ciphers": "ssl_ciphers",
    "keyfile": "ssl_keyfile",
    "ssl_version": "ssl_version",
}
RELOADER_OPTIONS = {  # as Flask.run calls them
    "exclude_patterns": "exclude_patterns",
    "extra_files": "extra_files",
    "reloader_interval": "interval",
    "reloader_type": "reloader_type",
}
# Options that only the servers of eventlet, gevent and Werkzeug had.
IGNORED = {
    "allow_unsafe_werkzeug",
    "capitalize_response_headers",
    "custom_pool",
    "do_handshake_on_connect",
    "environ",
    "error_log",
    "handler_class",
    "keepalive",
    "load_dotenv",
    "log",
    "log_format",
    "log_x_forwarded_for",
    "max_http_version",
    "max_size",
    "minimum_chunk_size",
    "passthrough_errors",
    "processes",
    "protocol",
    "request_handler",
    "server_event",
    "server_side",
    "socket_timeout",
    "spawn",
    "static_files",
    "suppress_ragged_eofs",
    "threaded",
    "url_length_limit",
}


class Runner:
    """Runs one server at a time."""

    def __init__(self) -> None:
        self._server: _Server | None = None

    def run(
        self,
        asgi_app: ASGIApp,
        app: Flask,
        host: str | None,
        port: int | None,
        *,
        debug: bool | None = None,
        use_debugger: bool | None = None,
        use_evalex: bool = True,
        use_reloader: bool | None = None,
        reloader_options: dict[str, Any] | None = None,
        log_output: bool | None = None,
        ssl_context: Any = None,
        **options: Any,
    ) -> None:
        """Serve until a signal or `stop`, then return. See `SocketIO.run`."""
        reloader_options = {**_take(options, RELOADER_OPTIONS), **(reloader_options or {})}
        options.update(_take(options, SSL_OPTIONS), **_ssl_options(ssl_context))
        _check(options)
        app.debug = app.debug if debug is None else debug
        host = host or "127.0.0.1"
        if app.debug if use_debugger is None else use_debugger:
            _debug(asgi_app, app, use_evalex, host)
        options.setdefault("access_log", app.debug if log_output is None else log_output)
        options.setdefault("timeout_graceful_shutdown", asgi_app.engine.shutdown_grace)
        port = _default_port(app) if port is None else port
        server = _Server(uvicorn.Config(asgi_app, host=host, port=port, **options), asgi_app)
        self._server = server
        try:
            if (app.debug if use_reloader is None else use_reloader) and can_reload():
                _run_beside_reloader(server, reloader_options)
            else:
                _run_until_signal(server)
        finally:
            self._server = None

    def stop(self) -> None:
        """Make the running server close its sessions and end.

        Raises:
            RuntimeError: No server runs.
        """
        if self._server is None:
            raise RuntimeError(
                "stop() ends the server that socketio.run() has started, and none runs: a server that was "
                "started otherwise, such as `uvicorn module:asgi`, ends when its process gets SIGTERM"
            )
        self._server.stop()


class _Server(uvicorn.Server):
    """A uvicorn server that any thread can stop, sessions first. Signals run the program's handlers first."""

    def __init__(self, config: uvicorn.Config, asgi_app: ASGIApp) -> None:
        super().__init__(config)
        self.signals = ProgramSignals(self._stop_at_signal)
        self.grace = asgi_app.engine.shutdown_grace
        self._asgi_app = asgi_app
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._signalled = False

    async def serve(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: uvicorn would take the signals here, but `Runner` handles them."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn every 0.1 s."""
        if threading.current_thread() is threading.main_thread():
            self.signals.take_again()
        return await super().on_tick(counter)

    def _stop_at_signal(self, number: int) -> None:
        if self._signalled:
            self.handle_exit(number, None)  # ends without waiting any longer
        else:
            self._signalled = True
            self.stop()

    def stop(self) -> None:
        if self._loop is None or self._loop.is_closed():
            self.should_exit = True  # uvicorn looks at it when it has started
        else:
            self._loop.call_soon_threadsafe(self._begin_to_stop)

    def _begin_to_stop(self) -> None:
        if self._stopping is None:
            server, engine = self._asgi_app.engineio_server, self._asgi_app.engine
            self._stopping = asyncio.ensure_future(close_then(self._exit, server, engine, self.config))

    def _exit(self) -> None:
        self.should_exit = True


def _take(options: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    """Remove the named options, and return those that are not None under their other names."""
    found = {name: options.pop(name) for name in names if name in options}
    return {names[name]: value for name, value in found.items() if value is not None}


def _ssl_options(context: Any) -> dict[str, Any]:
    """uvicorn's options for the ``ssl_context`` of `Flask.run`."""
    if context is None:
        return {}
    if context == "adhoc":
        return {"ssl_context_factory": lambda config, default: generate_adhoc_ssl_context()}
    if isinstance(context, ssl.SSLContext):
        return {"ssl_context_factory": lambda config, default: context}
    if isinstance(context, (tuple, list)) and len(context) == 2:
        return {"ssl_certfile": context[0], "ssl_keyfile": context[1]}
    raise TypeError(f"ssl_context={context!r}: it must be (certificate, key), an ssl.SSLContext or 'adhoc'")


def _check(options: dict[str, Any]) -> None:
    ignored = sorted(IGNORED.intersection(options))
    for name in ignored:
        del options[name]
    unknown = sorted(set(options) - UVICORN_OPTIONS)
    if unknown:
        remedies = {
            "reload": ": it is called use_reloader",
            "workers": ": it serves in one process; start several with `uvicorn module:asgi --workers N`",
        }
        raise TypeError(f"run() has no option {unknown[0]!r}{remedies.get(unknown[0], '')}")
    if ignored and not is_running_from_reloader():
        warnings.warn(
            f"run() ignores {', '.join(ignored)}: these are options of the servers of eventlet, gevent and "
            "Werkzeug, and asyncsock serves with uvicorn. Remove them",
            stacklevel=4,
        )


def _debug(asgi_app: ASGIApp, app: Flask, evalex: bool, host: str) -> None:
    """Wrap the Flask application, at the end of the chain of Socket.IO servers, in Werkzeug's debugger."""
    while isinstance(asgi_app.other_asgi_app, ASGIApp):
        asgi_app = asgi_app.other_asgi_app
    debugged = DebuggedApplication(app, evalex=evalex)
    if hasattr(debugged, "trusted_hosts"):  # from Werkzeug 3.0.3
        debugged.trusted_hosts.append(host)
    asgi_app.other_asgi_app = FlaskApp(debugged)


def _default_port(app: Flask) -> int:
    _, colon, port = (app.config["SERVER_NAME"] or "").rpartition(":")
    return int(port) if colon else 5000


def _run_until_signal(server: _Server) -> None:
    """Serve. Exceptions of the program's signal handlers are raised when the server has stopped."""
    if threading.current_thread() is not threading.main_thread():
        server.run()
        return
    with server.signals.taken():
        server.run()
    if server.signals.raised is not None:
        raise server.signals.raised


def _run_beside_reloader(server: _Server, options: dict[str, Any]) -> None:
    """Serve in a thread, while the main thread watches the files; a change restarts the process.

    If the server cannot start, the reloader waits for the next change.
    """
    if not is_running_from_reloader():
        run_with_reloader(server.run, **options)  # starts this program again, and waits for it
        return
    leaving, ended = threading.Event(), threading.Event()

    def serve() -> None:
        try:
            server.run()
        finally:
            ended.set()
        if not leaving.is_set():  # `stop` ended it
            _thread.interrupt_main(signal.SIGTERM)

    def leave_reloader(number: int) -> None:
        raise KeyboardInterrupt

    signals = ProgramSignals(leave_reloader)
    at_sigterm = signal.getsignal(signal.SIGTERM)  # the reloader replaces it by one that raises SystemExit
    try:
        with signals.taken(), suppress(KeyboardInterrupt):
            run_with_reloader(serve, **options)
    except SystemExit as end:
        if end.code == RELOAD:
            raise
        if not server.should_exit:
            with suppress(KeyboardInterrupt):
                signals.handle(signal.SIGTERM, None, at_sigterm)
    signal.signal(signal.SIGTERM, at_sigterm)
    leaving.set()
    if not ended.is_set():
        server.stop()
        with suppress(KeyboardInterrupt):
            ended.wait(server.grace)
    if signals.raised is not None:
        raise signals.raised
