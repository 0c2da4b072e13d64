"""`SocketIO.run` and `SocketIO.stop`: uvicorn with Flask's conveniences."""

from __future__ import annotations

import _thread
import asyncio
import inspect
import signal
import ssl
import threading
import warnings
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

import uvicorn
from flask import Flask
from werkzeug.debug import DebuggedApplication
from werkzeug.serving import generate_adhoc_ssl_context, is_running_from_reloader

from ..asgi import ASGIApp
from ..server_options import IGNORED
from ..uvicorn.signals import close_first, close_then
from .paths import FlaskApp
from .process_signals import ProgramSignals
from .reloader import can_reload, run_with_reloader
from .supervisor import Supervisor, check_workers, listening_socket
from .worker_process import Parent

RELOAD = 3  # the exit code by which Werkzeug's reloader asks to be started again
# Options of uvicorn's that run() refuses, as it serves the one application that it was given, or has itself.
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


class Runner:
    """Runs one server at a time."""

    def __init__(self) -> None:
        self._stop: Callable[[], None] | None = None  # what `stop` has to call while a server runs

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
        workers: int | None = None,
        **options: Any,
    ) -> None:
        """Serve until a signal or `stop`, then return. See `SocketIO.run`."""
        reloader_options = {**_take(options, RELOADER_OPTIONS), **(reloader_options or {})}
        options.update(_take(options, SSL_OPTIONS), **_ssl_options(ssl_context))
        _check(options)
        app.debug = app.debug if debug is None else debug
        reloads = app.debug if use_reloader is None else use_reloader
        workers = 1 if workers is None else workers
        check_workers(workers, reloads)
        host = host or "127.0.0.1"
        if app.debug if use_debugger is None else use_debugger:
            _debug(asgi_app, app, use_evalex, host)
        options.setdefault("access_log", app.debug if log_output is None else log_output)
        options.setdefault("timeout_graceful_shutdown", asgi_app.engine.shutdown_grace)
        # Other WebSocket protocols than ours decompress a message before the engine sees its size.
        options.setdefault("ws_max_size", asgi_app.engine.max_http_buffer_size)
        port = _default_port(app) if port is None else port
        config = uvicorn.Config(asgi_app, host=host, port=port, **options)
        parent = Parent.find() if workers > 1 else None
        try:
            if workers > 1 and parent is None:
                self._run_workers(workers, config, asgi_app.engine.drain.seconds)
            else:
                self._run_server(_Server(config, asgi_app, parent), reloads, reloader_options)
        finally:
            self._stop = None

    def _run_workers(self, count: int, config: uvicorn.Config, drain: float) -> None:
        with listening_socket(config) as listener:
            supervisor = Supervisor(count, listener, _time_to_stop(config, drain))
            self._stop = supervisor.stop
            supervisor.run()

    def _run_server(self, server: _Server, reloads: bool, reloader_options: dict[str, Any]) -> None:
        self._stop = server.stop_with_parent
        if reloads and can_reload():
            _run_beside_reloader(server, reloader_options)
        else:
            _run_until_signal(server)

    def stop(self) -> None:
        """Make the running server close its sessions and end.

        Raises:
            RuntimeError: No server runs.
        """
        if self._stop is None:
            raise RuntimeError(
                "stop() ends the server that socketio.run() has started, and none runs: a server that was "
                "started otherwise, such as `uvicorn module:asgi`, ends when its process gets SIGTERM"
            )
        self._stop()


class _Server(uvicorn.Server):
    """A uvicorn server that any thread can stop, sessions first. Signals run the program's handlers first."""

    def __init__(self, config: uvicorn.Config, asgi_app: ASGIApp, parent: Parent | None = None) -> None:
        super().__init__(config)
        self.signals = ProgramSignals(self._stop_at_signal)
        self.time_to_stop = _time_to_stop(config, asgi_app.engine.drain.seconds)
        self._asgi_app = asgi_app
        self._parent = parent  # if this is one of several workers
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping: asyncio.Task[None] | None = None
        self._signalled = False

    async def serve(self, sockets: Any = None) -> None:
        self._loop = asyncio.get_running_loop()
        if self._parent is not None:
            sockets = [self._parent.listener]
            self._parent.obey(
                partial(self._call_in_loop, self._stop_for_parent),
                partial(self._call_in_loop, self._end_for_parent),
                self.time_to_stop,
            )
        await super().serve(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Do nothing: uvicorn would take the signals here, but `Runner` handles them."""
        yield

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn every 0.1 s, from when it serves."""
        if self._parent is not None and counter == 0:
            self._parent.serving()
        if threading.current_thread() is threading.main_thread():
            self.signals.take_again()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: Any = None) -> None:
        """Called by uvicorn when it stops, of itself or as it was told."""
        await close_first(self._asgi_app.engineio_server, self._asgi_app.engine, self)
        await super().shutdown(sockets)

    def _stop_at_signal(self, number: int) -> None:
        if self._signalled:
            self.handle_exit(number, None)  # ends without waiting any longer
        else:
            self._signalled = True
            self.stop()

    def stop(self) -> None:
        if not self._call_in_loop(self._begin_to_stop):
            self.should_exit = True  # uvicorn looks at it when it has started

    def stop_with_parent(self) -> None:
        """Stop, and all other workers with it."""
        if self._parent is not None:
            self._parent.stop()
        self.stop()

    def _stop_for_parent(self) -> None:
        """Stop as at SIGTERM. The signal may come as well: it is the first one then."""
        if self._stopping is None and not self._signalled:
            self.signals.run_handler(signal.SIGTERM)
            self._signalled = False
            self._begin_to_stop()

    def _end_for_parent(self) -> None:
        self.handle_exit(signal.SIGTERM, None)

    def _call_in_loop(self, function: Callable[[], None]) -> bool:
        """Call a function in the loop. Returns False if that does not run."""
        try:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function)
                return True
        except RuntimeError:
            pass  # it is closed
        return False

    def _begin_to_stop(self) -> None:
        if self._stopping is None:
            server, engine = self._asgi_app.engineio_server, self._asgi_app.engine
            self._stopping = asyncio.ensure_future(close_then(self._exit, server, engine, self))

    def _exit(self) -> None:
        self.should_exit = True


def _time_to_stop(config: uvicorn.Config, drain: float) -> float | None:
    """Seconds that a server may take to stop; None: as long as it wants."""
    grace = config.timeout_graceful_shutdown
    return None if grace is None else grace + drain


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
        remedy = ": it is called use_reloader" if unknown[0] == "reload" else ""
        raise TypeError(f"run() has no option {unknown[0]!r}{remedy}")
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
    flask_app = asgi_app.other_asgi_app
    if isinstance(flask_app, FlaskApp):
        flask_app.wsgi_app = debugged
    else:
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
            ended.wait(server.time_to_stop)
    if signals.raised is not None:
        raise signals.raised
