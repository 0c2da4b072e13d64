"""The Flask extension."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time
from collections.abc import Callable
from contextvars import Context
from functools import partial
from typing import Any

import flask
from flask import Flask

from ..asgi import ASGIApp
from ..codec.base import ANY
from ..engine import EngineServer
from ..queues import from_url
from ..server import AsyncServer
from ..typed.validated_handler import validated
from ..types import Handler
from .application_json import ApplicationJSON
from .checks import refuse_monkey_patching, refuse_other_loops, watch_greenlets, watch_uvicorn
from .namespace import Namespace
from .options import OWN_OPTIONS, without_unknown
from .paths import FlaskApp, others_of, register
from .registry import Registry
from .routes import make_route
from .runner import Runner
from .sender import NO_APPLICATION, Sender
from .server import FlaskServer
from .server_side import make_server_side_handler
from .testing import AsyncSocketIOTestClient, SocketIOTestClient
from .thread_calls import CallPool

HANDLER_THREADS = 64


class SocketIO(Registry, Sender):
    """Socket.IO for a Flask application, with the interface of Flask-SocketIO.

    Args:
        app: The Flask application; leave it out and call `init_app` in an application factory.
        manage_session: Whether each connection has its own copy of the session (True), or handlers use
            the application's session interface (False).
        message_queue: The URL of a message broker that several processes share; see
            `asyncsock.queues.from_url`. Without an application this object only emits, to their clients.
        channel: The channel of the message queue, ``'flask-socketio'`` by default.
        path: The path of the Socket.IO endpoint, ``'socket.io'`` by default. Also ``resource``.
        async_mode: None, ``'asgi'``, ``'asyncio'`` or ``'threading'``, which all mean asyncio here.
        serve_client: Whether to serve the JavaScript client at ``/socket.io/socket.io.js``, from the npm
            package ``socket.io-client`` in the application's folder, the current one or one above; or the
            path of the file, or of the package's folder ``dist``.
        view_threads: The most views that run at once, 64 by default; further requests wait. A response that a
            generator streams takes a thread until it ends, one by an asynchronous generator takes none. Of
            several SocketIO objects of an application, that of the first counts.
        **options: The options of `asyncsock.AsyncServer` and `asyncsock.engine.EngineServer`.

    Example:
        app = Flask(__name__)
        socketio = SocketIO(app)
        asgi = socketio.asgi_app  # uvicorn module:asgi
    """

    reason = EngineServer.reason

    def __init__(self, app: Flask | None = None, **options: Any) -> None:
        self.app: Flask | None = None
        self.server_options: dict[str, Any] = {}
        self._server: AsyncServer | None = None  # a FlaskServer, where there is an application
        self._asgi_app: ASGIApp | None = None
        super().__init__()
        self._instrumented: dict[str, Any] | None = None
        self._at_start: list[Callable[[], Any]] = []
        self._runner = Runner()
        refuse_monkey_patching()
        options = without_unknown(options)
        if app is not None or "message_queue" in options:
            self.init_app(app, **options)
        else:
            self.server_options.update(options)

    def init_app(self, app: Flask | None, **options: Any) -> None:
        """Connect to a Flask application. The arguments are those of the constructor.

        Called again, for the same application or another, it makes a new server with the same handlers. An
        application may have several SocketIO objects on different paths: the ``asgi_app`` of the last one
        serves them all.

        Raises:
            RuntimeError: Python is monkey-patched by eventlet or gevent.
            ValueError: The application has another SocketIO object on this path, ``async_mode`` means
                eventlet or gevent, or ``view_threads`` is not at least 1.
            TypeError: An option is misspelt. Any other that does not exist is ignored with a warning.
        """
        refuse_monkey_patching()
        options = without_unknown(options)
        own_manager = "client_manager" in options
        self.server_options.update(options)
        options = {**OWN_OPTIONS, **self.server_options}
        refuse_other_loops(options.pop("async_mode"))
        view_threads = options.pop("view_threads")
        if view_threads < 1:
            raise ValueError("view_threads must be at least 1")
        if app is not None and options.get("json") is flask.json:
            options["json"] = ApplicationJSON(app)
        queue, channel = options.pop("message_queue"), options.pop("channel")
        if queue and not own_manager:
            json = options.get("json")
            manager = from_url(queue, channel, write_only=app is None, json=json)
            options["client_manager"] = self.server_options["client_manager"] = manager
        if app is None:
            self._server = AsyncServer(client_manager=options.get("client_manager"))
            return
        path, resource = options.pop("path"), options.pop("resource")
        path = (path or resource or "socket.io").strip("/")
        others = others_of(app, self, path)
        manage_session = options.pop("manage_session")
        threads = CallPool(HANDLER_THREADS, "asyncsock-handler")
        self.app = app
        if self._server is not None:
            self._server.leave_registry()
        self._server = FlaskServer(self, app, manage_session, threads, **options)
        flask_app = None if others else FlaskApp(app, view_threads)
        self._server.event_types = self.event_types
        self._server.measure_app(flask_app)
        self._asgi_app = ASGIApp(
            self._server,
            others[-1].asgi_app if others else flask_app,
            socketio_path=path,
            on_startup=self._start,
        )
        for (message, handler, namespace), validate in zip(self.handlers, self.validations, strict=True):
            self._register(message, handler, namespace, validate)
        for namespace_handler in self.namespace_handlers:
            self._register_namespace(namespace_handler)
        for event, handler, namespace in self.server_side_handlers:
            self._added_server_side(event, handler, namespace)
        if self._instrumented is not None:
            self._server.instrument(**self._instrumented)
        app.extensions["socketio"] = self
        register(app, self, path)
        watch_uvicorn()

    @property
    def asgi_app(self) -> ASGIApp:
        """The ASGI application to serve: Socket.IO on its path, the Flask application elsewhere."""
        if self._asgi_app is None:
            raise RuntimeError(NO_APPLICATION)
        return self._asgi_app

    def instrument(
        self,
        auth: Any = None,
        mode: str = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> None:
        """Let the official Admin UI of Socket.IO look at the server and act on it.

        The arguments are those of `AsyncServer.instrument`. Without ``auth`` the server starts in debug mode
        only, and then the Admin UI is for everybody. A function that is ``auth`` runs in a thread, in an
        application context.
        """
        self._instrumented = {
            "auth": auth,
            "mode": mode,
            "read_only": read_only,
            "server_id": server_id,
            "namespace": namespace,
            "server_stats_interval": server_stats_interval,
        }
        if self._server is not None:
            self.server.instrument(**self._instrumented)

    @property
    def manage_session(self) -> bool:
        """Whether each connection that is made from now on has its own copy of the session."""
        if self.app is None:
            return bool(self.server_options.get("manage_session", True))
        return self.server.manage_session

    @manage_session.setter
    def manage_session(self, own_copy: bool) -> None:
        self.server_options["manage_session"] = own_copy
        if self.app is not None:
            self.server.manage_session = own_copy

    @property
    def validate(self) -> bool:
        """The option of this name: whether all annotations are checked."""
        return bool(self.server_options.get("validate", False))

    @property
    def async_mode(self) -> str:
        """Always ``'asgi'``."""
        return "asgi"

    def _added(self, message: str, handler: Handler, namespace: str, validate: bool | None) -> None:
        if self.app is not None:
            self._register(message, handler, namespace, validate)

    def _added_server_side(self, event: str, handler: Handler, namespace: str) -> None:
        if self.app is not None:
            handler = make_server_side_handler(self.server, handler)
            self.server.on_server_side(event, namespace)(handler)

    def _added_namespace(self, namespace_handler: Namespace) -> None:
        namespace_handler._set_socketio(self)
        if self.app is not None:
            self._register_namespace(namespace_handler)

    def _register_namespace(self, namespace_handler: Namespace) -> None:
        namespace_handler._set_socketio(self)
        namespace_handler._check_methods()
        self.server.register_namespace(namespace_handler)

    def _register(self, message: str, handler: Handler, namespace: str, validate: bool | None) -> None:
        any_event = message == ANY
        every = validate if validate is not None else self.validate or None
        checked = validated(handler, message, int(any_event), every, any_event=any_event)
        route = make_route(self.server, checked, message, namespace, self.errors, any_event=any_event)
        self.server.register(message, route, namespace)

    # Running

    def run(self, app: Flask, host: str | None = None, port: int | None = None, **kwargs: Any) -> None:
        """Serve the application with uvicorn until SIGTERM, Ctrl+C or `stop`, then return.

        With ``workers=4``, four processes serve, and share the port. Each of them runs the program again from
        its start, and comes to this call: what the program does before and after it, it does in each of them,
        and in this process, which serves nothing itself. It replaces a worker that ends, at SIGHUP one worker
        after another, and ends when the workers have. A worker that ends before it serves stops them all.

        Args:
            app: The Flask application.
            host: ``'127.0.0.1'`` by default.
            port: 5000 by default, or the one in ``SERVER_NAME``.
            **kwargs: ``debug``; ``use_reloader`` and ``use_debugger``, which it enables; ``use_evalex``;
                ``reloader_options``, ``extra_files`` and the reloader's other options of ``Flask.run``;
                ``log_output``, whether requests are logged, by default in debug mode; ``certfile`` and
                ``keyfile``, or ``ssl_context``, as ``Flask.run`` takes it; ``workers``, the number of
                processes, 1 by default, not with the reloader; any option of ``uvicorn.Config``, of which
                ``ws_max_size`` is by default ``max_http_buffer_size``. The other options of Flask-SocketIO
                are ignored with a warning.

        Raises:
            TypeError: There is no such option.
            ValueError: SocketIO was made for another application, or ``workers`` is no number of processes or
                does not go with the reloader.
            RuntimeError: ``workers`` on Windows, or in another thread than the main one.
            SystemExit: The server could not start; the log says why.
        """
        if self.app is not app:
            raise ValueError("run() was given another application than the one SocketIO was made for")
        self._runner.run(self.asgi_app, app, host, port, **kwargs)

    def stop(self) -> None:
        """Stop the server that `run` has started. Call it from anywhere: a handler, a view, a thread.

        It returns at once. The server closes its sessions, lets handlers and views end, and `run` returns. In
        a worker or in the parent of workers, it stops all of them.

        Raises:
            RuntimeError: `run` has started none.
        """
        self._runner.stop()

    def start_background_task(self, target: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run a coroutine function as a task, or a function in a thread.

        Before the server has started, a coroutine function waits for the start.

        Returns:
            A task (or, from another thread, a ``concurrent.futures.Future``; or None before the start), or a
            started thread.
        """
        if inspect.iscoroutinefunction(target):
            server = self._ready()
            if server.loop is None:
                self._at_start.append(partial(self.start_background_task, target, *args, **kwargs))
                return None
            # Without the caller's Flask context, which may end before the task does.
            return Context().run(server.start_background_task, target, *args, **kwargs)
        thread = threading.Thread(target=target, args=args, kwargs=kwargs, daemon=True)
        thread.start()
        return thread

    def sleep(self, seconds: float = 0) -> Any:
        """Sleep: in a coroutine await it, in a thread it blocks."""
        if self._server is not None and self._server.on_loop():
            return asyncio.sleep(seconds)
        return time.sleep(seconds)

    def test_client(self, app: Flask, *args: Any, **kwargs: Any) -> SocketIOTestClient:
        """A connected client for synchronous tests; the arguments are those of `SocketIOTestClient`."""
        return SocketIOTestClient(app, self, *args, **kwargs)

    def async_test_client(self, app: Flask, *args: Any, **kwargs: Any) -> AsyncSocketIOTestClient:
        """A client for tests that are coroutines, to be entered with ``async with``."""
        return AsyncSocketIOTestClient(app, self, *args, **kwargs)

    async def _start(self) -> None:
        watch_greenlets()
        for begin in self._at_start:
            begin()
