"""Flask programs that note what they see: handlers of several kinds, and what Flask calls around them.

Everything is noted for the message that caused it, which `MESSAGE` tells in tasks and threads alike.
"""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import flask
from flask import g, has_app_context, has_request_context, session
from flask.sessions import SecureCookieSessionInterface, SessionInterface, SessionMixin
from flask.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down, request_tearing_down

import asyncsock

MESSAGE: ContextVar[Any] = ContextVar("MESSAGE", default="connect")  # the number of the message
NAMESPACES = ("/", "/room")

request: Any = flask.request  # with the attributes that an event adds
Handler = Callable[..., Any]
Note = Callable[..., None]


@dataclass(frozen=True)
class Setup:
    """What there is around the handlers of a program.

    Attributes:
        teardown: "functions" or "coroutines"; none by default.
        errors: Error handlers: "functions", "coroutines" or either "that raise"; none by default.
        signals: Whether Flask's signals have receivers.
        manage_session: The option of `SocketIO`.
        store: "cookie", or one that "blocks".
    """

    teardown: str = ""
    errors: str = ""
    signals: bool = False
    manage_session: bool = True
    store: str = "cookie"

    @property
    def needs_threads(self) -> bool:
        """Whether the event of a coroutine may wait for a thread."""
        return self.teardown == "coroutines" or self.store == "blocks" or self.errors.startswith("functions")


class Program:
    """A `SocketIO` with a Flask application; use it within `running`.

    Args:
        setup: What there is around the handlers.
        kind: A key of `KINDS`: which handlers they are.
    """

    def __init__(self, setup: Setup, kind: str) -> None:
        self.notes: list[tuple[Any, ...]] = []
        self.setup = setup
        self.app = flask.Flask("program")
        self.app.secret_key = "a secret"
        stores = {"cookie": CookieStore, "blocks": BlockingStore}
        self.app.session_interface = stores[setup.store](self.note)  # type: ignore[abstract]
        if setup.teardown:
            self._add_teardown()
        self.socketio = asyncsock.SocketIO(self.app, manage_session=setup.manage_session)
        for namespace in NAMESPACES:
            self.socketio.on("connect", namespace)(self._connect)
        make, register = KINDS[kind]
        self.handlers = {name: make(name, handler) for name, handler in self._functions().items()}
        register(self.socketio, self.handlers)
        if setup.errors:
            self._add_error_handlers()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Note signals and log lines, and end the threads of the handlers."""
        log = logging.getLogger("asyncsock")
        lines = LogLines(self.note)
        self.socketio.server.eio.tasks.on_error = lambda error: self.note(
            "error hook", without_name(repr(error))
        )
        with ExitStack() as stack:
            stack.callback(self.socketio.server.threads.shutdown)
            log.addHandler(lines)
            stack.callback(log.removeHandler, lines)
            if self.setup.signals:
                for signal, receiver in self._receivers().items():
                    stack.enter_context(signal.connected_to(receiver, self.app))
            yield

    def note(self, what: str, *details: Any) -> None:
        """Keep something that happens for a message."""
        self.notes.append((MESSAGE.get(), what, *details))

    def notes_of(self, message: Any) -> list[tuple[Any, ...]]:
        """What happened for a message."""
        return [note[1:] for note in self.notes if note[0] == message]

    async def _connect(self) -> None:
        self.note("connect", *seen())
        await asyncio.sleep(0)

    def _functions(self) -> dict[str, Handler]:
        """The program's handlers by the names of their events, as functions."""

        def echo(*args: Any) -> Any:
            return args

        def silent(*args: Any) -> None:
            pass

        def tell(*args: Any) -> Any:
            return asyncsock.emit("told", MESSAGE.get())

        def tell_and_answer(*args: Any) -> Any:
            asyncsock.emit("told", MESSAGE.get())
            asyncsock.emit("told", MESSAGE.get(), broadcast=True)
            return "told"

        def strict(one: Any) -> Any:
            return [one]

        def fail(*args: Any) -> None:
            raise RuntimeError("a handler's own")

        def refuse(*args: Any) -> None:
            raise asyncsock.ConnectionRefusedError("not for error handlers")

        def cancel(*args: Any) -> None:
            raise asyncio.CancelledError("none of an Exception")

        def unencodable(*args: Any) -> Any:
            return object

        def visit(*args: Any) -> Any:
            session["visits"] = session.get("visits", 0) + 1
            return session["visits"]

        def spoil(*args: Any) -> None:
            session["spoilt"] = object()  # which no store can save

        def leave(*args: Any) -> Any:
            return asyncsock.disconnect()

        handlers = (
            echo,
            silent,
            tell,
            tell_and_answer,
            strict,
            fail,
            refuse,
            cancel,
            unencodable,
            visit,
            spoil,
            leave,
        )
        return {handler.__name__: self._noted(handler) for handler in handlers}

    def _noted(self, handler: Handler) -> Handler:
        @functools.wraps(handler)
        def noted(*args: Any) -> Any:
            self.note(handler.__name__, args, *seen())
            g.message = MESSAGE.get()
            return handler(*args)

        return noted

    def _add_error_handlers(self) -> None:
        def take(error: Exception) -> Any:
            self.note("error handler", repr(error), *seen())
            if "that raise" in self.setup.errors:
                raise ValueError("the error handler's own")
            return "taken", str(error)

        make = as_function if self.setup.errors.startswith("functions") else as_coroutine
        taken = make("take", take)
        self.socketio.on_error("/")(taken)
        self.socketio.on_error_default(make("take", lambda error: ["by default", *take(error)]))

    def _add_teardown(self) -> None:
        def end_request(error: BaseException | None) -> None:
            self.note("teardown of the request", repr(error), *seen())

        def end_app(error: BaseException | None) -> None:
            self.note("teardown of the app context", repr(error), g.get("message"), has_request_context())

        make = as_function if self.setup.teardown == "functions" else as_coroutine
        self.app.teardown_request(make("end_request", end_request))
        self.app.teardown_appcontext(make("end_app", end_app))

    def _receivers(self) -> dict[Any, Handler]:
        def pushed(app: flask.Flask, **ignored: Any) -> None:
            self.note("pushed", *seen())

        def request_ends(app: flask.Flask, exc: BaseException | None, **ignored: Any) -> None:
            self.note("request tearing down", repr(exc), *seen())

        def app_ends(app: flask.Flask, exc: BaseException | None, **ignored: Any) -> None:
            self.note("app context tearing down", repr(exc), g.get("message"), has_request_context())

        def popped(app: flask.Flask, **ignored: Any) -> None:
            self.note("popped", has_app_context(), has_request_context())

        return {
            appcontext_pushed: pushed,
            request_tearing_down: request_ends,
            appcontext_tearing_down: app_ends,
            appcontext_popped: popped,
        }


def seen() -> tuple[Any, ...]:
    """What the current context says of the event."""
    message, args = request.event["message"], request.event["args"]
    if message == "*":
        message, *args = args
    if message == "connect":
        args = ()  # the environ, which is another each time
    return message, tuple(args), request.sid, request.namespace, request.args["room"], sorted(vars(g))


class LogLines(logging.Handler):
    """Notes what is logged, from warnings on."""

    def __init__(self, note: Note) -> None:
        super().__init__(logging.WARNING)
        self._note = note

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        self._note("log", record.levelname, without_name(record.getMessage()), repr(error))


def without_name(line: str) -> str:
    """A log line without the name of the handler, which is another for each kind of them."""
    start, found, rest = line.partition("the result of ")
    return start + found + rest[rest.find(" for event") :] if found else line


class CookieStore(SecureCookieSessionInterface):
    """Flask's own, which does not block. It asks for the cookie's domain only to save a session."""

    def __init__(self, note: Note) -> None:
        self._note = note

    def get_cookie_domain(self, app: flask.Flask) -> str | None:
        self._note("save", sorted(session))
        return super().get_cookie_domain(app)


class StoredSession(dict[str, Any], SessionMixin):
    pass


class BlockingStore(SessionInterface):
    """A store of one session that may block, as any interface of others may."""

    def __init__(self, note: Note) -> None:
        self._note = note
        self._stored: dict[str, Any] = {}

    def open_session(self, app: flask.Flask, request: Any) -> StoredSession:
        self._note("open", request.sid)
        return StoredSession(self._stored)

    def save_session(self, app: flask.Flask, session: Any, response: flask.Response) -> None:
        self._note("save", sorted(session), request.namespace)
        if "spoilt" in session:
            raise RuntimeError("the store's own")
        self._stored = dict(session)


# The kinds of handlers


def as_function(name: str, handler: Handler) -> Handler:
    return handler


def as_coroutine(name: str, handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def coroutine(*args: Any) -> Any:
        return handler(*args)

    return coroutine


def as_waiting_coroutine(name: str, handler: Handler) -> Handler:
    @functools.wraps(handler)
    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)
        return handler(*args)

    return coroutine


def as_decorated_coroutine(name: str, handler: Handler) -> Handler:
    coroutine = as_waiting_coroutine(name, handler)

    @functools.wraps(coroutine)
    def decorated(*args: Any) -> Any:
        return coroutine(*args)

    return decorated


def as_either(name: str, handler: Handler) -> Handler:
    """Some functions and some coroutines."""
    return (as_function if len(name) % 2 else as_coroutine)(name, handler)


def register_by_name(socketio: asyncsock.SocketIO, handlers: dict[str, Handler]) -> None:
    for name, handler in handlers.items():
        for namespace in NAMESPACES:
            socketio.on(name, namespace)(handler)


def register_in_any_namespace(socketio: asyncsock.SocketIO, handlers: dict[str, Handler]) -> None:
    for name, handler in handlers.items():
        socketio.on(name, "*")(handler)


def register_methods(socketio: asyncsock.SocketIO, handlers: dict[str, Handler]) -> None:
    methods = {f"on_{name}": _method(handler) for name, handler in handlers.items()}
    for namespace in NAMESPACES:
        socketio.on_namespace(type("Methods", (asyncsock.Namespace,), methods)(namespace))


def _method(handler: Handler) -> Handler:
    if asyncio.iscoroutinefunction(handler):

        async def coroutine(self: Any, *args: Any) -> Any:
            return await handler(*args)

        return coroutine
    return lambda self, *args: handler(*args)


def register_any_event(*namespaces: str) -> Handler:
    def register(socketio: asyncsock.SocketIO, handlers: dict[str, Handler]) -> None:
        async def coroutine(event: str, *args: Any) -> Any:
            return await handlers[event](*args)

        def function(event: str, *args: Any) -> Any:
            return handlers[event](*args)

        for namespace in namespaces:
            handler = coroutine if asyncio.iscoroutinefunction(handlers["echo"]) else function
            socketio.on("*", namespace)(handler)

    return register


KINDS: dict[str, tuple[Handler, Handler]] = {
    "coroutines": (as_coroutine, register_by_name),
    "waiting coroutines": (as_waiting_coroutine, register_by_name),
    "decorated coroutines": (as_decorated_coroutine, register_by_name),
    "functions": (as_function, register_by_name),
    "coroutines and functions": (as_either, register_by_name),
    "coroutines in any namespace": (as_coroutine, register_in_any_namespace),
    "functions in any namespace": (as_function, register_in_any_namespace),
    "coroutine methods": (as_coroutine, register_methods),
    "function methods": (as_function, register_methods),
    "methods of both kinds": (as_either, register_methods),
    "a coroutine for any event": (as_coroutine, register_any_event(*NAMESPACES)),
    "a function for any event": (as_function, register_any_event(*NAMESPACES)),
    "a coroutine for anything": (as_coroutine, register_any_event("*")),
    "a function for anything": (as_function, register_any_event("*")),
}
