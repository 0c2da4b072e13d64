"""The Flask context of a Socket.IO event, replayed from the request that opened the connection.

Everything that touches Flask's private context API is here. `app.request_context(environ)` builds a request,
a URL adapter and a session each time. An event does not need new ones: when it asks for them, it gets a bare
copy of the request that its connection has prepared, and the rest. Each connection has one
`ConnectionContext`, whose `ConnectionContext.replay` makes the context of an event. It pushes a fresh app and
request context, opens the session, and at the end saves it (only with `manage_session=False`), runs the
teardown functions and pops. If nothing in this can block (not `ConnectionContext.suspends`), an event needs
its `enter()` and `leave(error)` only; event_context.py has what else may be needed.
"""

from __future__ import annotations

from collections.abc import Collection
from inspect import iscoroutinefunction
from typing import Any

from flask import Flask, Request
from flask.sessions import SessionMixin
from flask.signals import appcontext_popped, appcontext_pushed, appcontext_tearing_down, request_tearing_down
from werkzeug.routing import MapAdapter
from werkzeug.utils import cached_property

from ..engine.tested_versions import range_of
from .session import ConnectionSession
from .thread_calls import Beginning, CallPool
from .threads import Share

try:
    from flask.ctx import AppContext, RequestContext
    from flask.globals import _cv_app, _cv_request
except ImportError as error:
    raise ImportError(
        f"asyncsock cannot replay contexts with this Flask: {error} ({range_of('flask')})"
    ) from error

Environ = dict[str, Any]

# The parts of a context that Flask's own code uses, and that a replayed one replaces.
PARTS: dict[type, tuple[str, ...]] = {
    AppContext: ("_cv_tokens", "app", "g", "url_adapter"),
    RequestContext: (
        "_after_request_functions",
        "_cv_tokens",
        "app",
        "flashes",
        "request",
        "session",
        "url_adapter",
    ),
}

_new = object.__new__
# Here, because the compiler takes an imported name for a module, and makes a method object for each call.
_set_app, _reset_app = _cv_app.set, _cv_app.reset
_set_request, _reset_request, _get_request = _cv_request.set, _cv_request.reset, _cv_request.get


def check_parts() -> None:
    """Look whether Flask's contexts have the parts that a replayed one has.

    Raises:
        ImportError: A part is missing; every handler that uses it would fail.
    """
    for cls, names in PARTS.items():
        for name in names:
            if name not in cls.__init__.__code__.co_names and not hasattr(cls, name):  # type: ignore[misc]
                raise ImportError(
                    "asyncsock cannot replay contexts with this Flask: "
                    f"{cls.__name__} has no {name} ({range_of('flask')})"
                )


check_parts()


class _AppContext(AppContext):
    """The application context of one event. Slots are quicker than a dictionary, also to make."""

    __slots__ = ("_token", "app")
    __init__ = object.__init__  # they are made from parts
    app: Flask
    _token: Any  # from the context variable, during the event

    @cached_property
    def _cv_tokens(self) -> list[Any]:  # for Flask's own push and pop
        return [] if self._token is None else [self._token]

    @cached_property
    def g(self) -> Any:
        return self.app.app_ctx_globals_class()

    @cached_property
    def url_adapter(self) -> MapAdapter | None:
        return self.app.create_url_adapter(None)


class ReplayedContext(RequestContext):
    """The request context of one event. Its parts are made when they are first used."""

    __slots__ = (
        "_args",
        "_cv_tokens",
        "_message",
        "_request",
        "_token",
        "app",
        "app_context",
        "connection",
        "namespace",
        "opened_session",
        "sid",
    )  # fmt: skip
    __init__ = object.__init__  # they are made from parts
    connection: ConnectionContext
    app: Flask
    app_context: _AppContext
    flashes: list[tuple[str, str]] | None = None
    sid: str
    namespace: str
    _message: str | None
    _args: tuple[Any, ...]
    _request: Request | None
    opened_session: SessionMixin | None
    _token: Any  # from the context variable, during the event
    _cv_tokens: Any  # the list that Flask's pop needs, once this has been pushed again

    @property
    def environ(self) -> Environ:
        """The WSGI environ of the connecting request."""
        return self.connection.environ

    @cached_property
    def _after_request_functions(self) -> list[Any]:
        return []  # filled by after_this_request, never run

    @cached_property
    def url_adapter(self) -> MapAdapter | None:
        return self.connection.url_adapter

    @property
    def request(self) -> Request:  # type: ignore[override]
        if self._request is None:
            connection = self.connection
            state = connection._state.copy()
            state["sid"] = self.sid
            state["namespace"] = self.namespace
            state["event"] = {"message": self._message, "args": self._args}
            if connection.recovered:
                state["recovered"] = self.sid in connection.recovered
            request: Request = _new(connection._request_class)
            request.__dict__ = state
            self._request = request
        return self._request

    @property
    def session(self) -> SessionMixin:
        if self.opened_session is None:
            connection = self.connection
            copy = connection.session_copy
            self.opened_session = copy if copy is not None else connection.open_session(self.request)
        return self.opened_session

    def copy(self) -> ReplayedContext:
        """For `copy_current_request_context`: the same request and session, to be pushed elsewhere."""
        context: ReplayedContext = ReplayedContext()
        context.app, context._request, context.connection = self.app, self.request, self.connection
        context.app_context, context.opened_session = self.app_context, self.opened_session
        context._cv_tokens = []
        return context

    def push(self) -> None:
        """Push a copy, or this again for `stream_with_context`. As Flask's, but without matching the URL."""
        current, app_context = _cv_app.get(None), None
        if current is None or current.app is not self.app:
            app_context = self.app.app_context()
            app_context.push()
        if self._cv_tokens is None:
            # Flask sees from the number of tokens whether a pop is the last one.
            self._cv_tokens = [] if self._token is None else [(self._token, self.app_context)]
        self._cv_tokens.append((_set_request(self), app_context))

    def enter(self) -> None:
        """Begin the event: push both contexts, and open a session that must be open."""
        app_context = self.app_context  # as in `bind`
        app_context._token = _set_app(app_context)
        self._token = _set_request(self)
        if appcontext_pushed.receivers or self.connection.session_blocks:
            self._begin()

    def _begin(self) -> None:
        try:
            if appcontext_pushed.receivers:
                appcontext_pushed.send(self.app, _async_wrapper=self.app.ensure_sync)
            if self.connection.session_blocks:
                _ = self.session
        except BaseException as error:
            self.leave(error)
            raise

    def leave(self, error: BaseException | None = None, save: bool = True) -> None:
        """End the event: save the session unless there was an error, run the teardown functions, and pop."""
        connection = self.connection
        if save and error is None and not connection.manage_session:
            try:
                if self.opened_session is not None and connection.must_save(self.opened_session):
                    connection.save_session(self.opened_session)
            except BaseException as failure:
                self.leave(failure)
                raise
        app, always = self.app, connection._overrides
        if error is not None and app.should_ignore_error(error):
            error = None
        if self._cv_tokens:
            if len(self._cv_tokens) > 1:
                return self.pop(error)  # stream_with_context still uses it, and pops last
            self._cv_tokens.pop()
        try:
            if always or app.teardown_request_funcs or request_tearing_down.receivers:
                app.do_teardown_request(error)
            if always:
                self.request.close()
        finally:
            _reset_request(self._token)
            self._token = None
            try:
                if always or app.teardown_appcontext_funcs or appcontext_tearing_down.receivers:
                    app.do_teardown_appcontext(error)
            finally:
                _reset_app(self.app_context._token)
                self.app_context._token = None
        if appcontext_popped.receivers:
            appcontext_popped.send(app, _async_wrapper=app.ensure_sync)

    def bind(self) -> None:
        """Make both contexts the current ones, without anything else that `enter` does."""
        app_context = self.app_context
        app_context._token = _set_app(app_context)
        self._token = _set_request(self)

    def unbind(self) -> None:
        """Undo `bind`."""
        _reset_request(self._token)
        _reset_app(self.app_context._token)


def current_event() -> Any:
    """What has the `sid`, the `namespace` and the `environ` of the event that is being handled.

    It is the request, or the context if nobody has asked for the request yet, which need not be made then.
    In a view it is the request, which has an environ only; without a request it is None.
    """
    context: Any = _get_request(None)
    if type(context) is ReplayedContext and context._request is None:
        return context
    return context.request if context is not None else None


class ConnectionContext(ConnectionSession):
    """What a connection's events share: the app, the request, the session.

    Args:
        app: the Flask application.
        environ: the WSGI environ of the connecting request, which `request.environ` is.
        manage_session: keep a copy of the session for the connection (True), or have the app's session
            interface open and save it around each event (False).
        threads: where `async with event` opens and saves sessions that may block, and runs teardown functions
            if there are coroutines among them. None means a thread of its own.

    Attributes:
        beginning: the `Beginning` of the last handler that was given to a thread; later events wait for it.
        suspends: whether `async with event` may have to wait for a thread. If not, `with` is quicker.
        teardown_awaits: whether there are coroutines among the teardown functions.
        recovered: the sids of its clients that have come back.
    """

    __slots__ = (
        "_adapter",
        "_overrides",
        "_request_class",
        "_share",
        "_state",
        "beginning",
        "recovered",
        "suspends",
        "teardown_awaits",
    )  # fmt: skip

    def __init__(
        self, app: Flask, environ: Environ, *, manage_session: bool = True, threads: CallPool | None = None
    ) -> None:
        super().__init__(app, environ, manage_session, threads)
        self._adapter: MapAdapter | None = None
        self.beginning: Beginning | None = None
        self.recovered: Collection[str] = ()
        self._share: Share | None = None
        self._state = self._prepare()  # what each event's request starts from

    @property
    def share(self) -> Share:
        """Its share of the threads in which handlers run, made when one does."""
        if self._share is None:
            self._share = Share()
        return self._share

    def replay(self, sid: str, namespace: str, message: str | None, args: tuple[Any, ...]) -> ReplayedContext:
        """The request context of one event, not entered yet."""
        # Not by the constructors, which would each cost another call.
        context: ReplayedContext = ReplayedContext()
        context.app_context = app_context = _AppContext()
        app_context.app = context.app = self.app
        context.connection = self
        context.sid = sid
        context.namespace = namespace
        context._message = message
        context._args = args
        context._request = context.opened_session = None
        context._cv_tokens = context._token = app_context._token = None
        return context

    def _prepare(self) -> dict[str, Any]:
        app = self.app
        request = app.request_class(self.environ)
        request.json_module = app.json
        if app.config.get("TRUSTED_HOSTS") is not None:  # Flask 3.1 does it along with the URL adapter
            request.trusted_hosts = app.config["TRUSTED_HOSTS"]
        self.environ.pop("werkzeug.request", None)  # the environ and the request would be a cycle
        self._request_class = type(request)
        self._overrides = (  # methods that must be called even when no teardown function is registered
            type(app).do_teardown_request is not Flask.do_teardown_request
            or type(app).do_teardown_appcontext is not Flask.do_teardown_appcontext
            or self._request_class.close is not Request.close
        )
        functions = (*app.teardown_request_funcs.get(None, ()), *app.teardown_appcontext_funcs)
        self.teardown_awaits = any(map(iscoroutinefunction, functions))
        self.suspends = self.session_blocks or self.teardown_awaits
        return request.__dict__ | {"recovered": False}

    @property
    def url_adapter(self) -> MapAdapter | None:
        """The adapter of `url_for`. Raises Flask's HTTP errors, such as a 400 for an untrusted host."""
        if self._adapter is None:
            request = _new(self._request_class)
            request.__dict__.update(self._state)
            self._adapter = self.app.create_url_adapter(request)
        return self._adapter
