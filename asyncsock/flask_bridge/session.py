"""Flask's session in handlers: a copy that a connection keeps, or the application's own around each event."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any, ParamSpec

from flask import Flask, Request
from flask.sessions import SecureCookieSessionInterface, SessionMixin

from .thread_calls import CallPool, call_in_thread
from .threads import Share

P = ParamSpec("P")

_first_copy = threading.Lock()  # held for an assignment only, never during a call of a session store


class ManagedSession(dict[str, Any], SessionMixin):
    """A connection's own copy of the user's session. It is never written back."""


class ConnectionSession:
    """The session of a connection, as its events share it.

    Args:
        app: the Flask application.
        environ: the WSGI environ of the connecting request.
        manage_session: keep a copy of the session for the connection (True), or have the app's session
            interface open and save it around each event (False).
        threads: where sessions that may block are opened and saved. None means a thread of its own.

    Attributes:
        session_copy: the copy, once an event has needed it.
        session_blocks: whether opening or saving a session may block: only that of Flask's cookies does not.
    """

    __slots__ = (
        "_store_share",
        "_threads",
        "_turn",
        "app",
        "environ",
        "manage_session",
        "session_blocks",
        "session_copy",
    )

    def __init__(
        self, app: Flask, environ: dict[str, Any], manage_session: bool, threads: CallPool | None
    ) -> None:
        self.app = app
        self.environ = environ
        self.manage_session = manage_session
        self._threads = threads
        self._store_share: Share | None = None
        self.session_copy: SessionMixin | None = None
        self._turn: asyncio.Lock | None = None
        interface, cookie = app.session_interface, SecureCookieSessionInterface
        methods = [getattr(m, "__func__", None) for m in (interface.open_session, interface.save_session)]
        self.session_blocks = methods != [cookie.open_session, cookie.save_session]

    def open_session(self, request: Request) -> SessionMixin:
        """The session for an event: the connection's copy, or what the app's session interface opens."""
        if self.session_copy is not None:
            return self.session_copy
        interface = self.app.session_interface
        session: SessionMixin | None = interface.open_session(self.app, request)
        if session is None:
            session = interface.make_null_session(self.app)
        if not self.manage_session:
            return session
        with _first_copy:
            if self.session_copy is None:
                return self.keep_session(ManagedSession(session))
            return self.session_copy

    def keep_session(self, session: SessionMixin) -> SessionMixin:
        """Have all later events share a session."""
        self.session_copy = self.environ["saved_session"] = session  # the key is Flask-SocketIO's
        return session

    def must_save(self, session: SessionMixin) -> bool:
        """Whether the app's session interface has to save the session of an event."""
        if self.manage_session:
            return False
        interface = self.app.session_interface
        return getattr(session, "modified", True) and not interface.is_null_session(session)

    def save_session(self, session: SessionMixin) -> None:
        """Save the session of an event with the app's session interface."""
        self.app.session_interface.save_session(self.app, session, self.app.response_class())

    async def open_in_turn(self, open_session: Callable[[], object]) -> None:
        """Have a session that may block opened in a thread, after those of earlier events."""
        if self.session_blocks:
            self._turn = self._turn or asyncio.Lock()  # first come, first served
            async with self._turn:
                if self.session_copy is None:
                    await self.call_interface(open_session)

    async def call_interface(self, function: Callable[[], object]) -> None:
        """Call a function that calls the session interface: in a thread, if that may block."""
        if self.session_blocks:
            await self.call_blocking(function)
        else:
            function()

    async def call_blocking(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call a function that may block in a thread, within the connection's share of these."""
        if self._threads is None:
            self._threads = CallPool(1, "asyncsock-session")
        if self._store_share is None:
            self._store_share = Share()
        await call_in_thread(self._threads, self._store_share, function, *args, **kwargs)
