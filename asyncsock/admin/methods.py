"""The method of a server that lets the Admin UI look at it."""

from __future__ import annotations

from typing import Any, cast

from ..disconnections import Disconnector
from ..dispatch import Dispatcher
from .admin import Admin, HasClients
from .logins import Auth


class HasAdminUI:
    """A server that the official Admin UI of Socket.IO can look at."""

    _disconnector: Disconnector
    _dispatcher: Dispatcher
    _admin: Admin | None = None

    def instrument(
        self,
        auth: Any = None,
        mode: str = "development",
        read_only: bool = False,
        server_id: str | None = None,
        namespace: str = "/admin",
        server_stats_interval: float = 2,
    ) -> Admin:
        """Let the `Socket.IO Admin UI <https://socket.io/docs/v4/admin-ui/>`_ see this server and act on it.

        It sees the clients of all processes with the same message queue, each of which calls this, with the
        same arguments. Call it before the server starts.

        Args:
            auth: Who may: the dictionary that has to be sent to log in, such as ``{"username": ...,
                "password": ...}``; a list of them; a function or coroutine function that gets the dictionary
                and returns whether it is right; or False for everybody.
            mode: ``'development'`` shows clients, rooms and events as they come and go; ``'production'``
                shows numbers only, which costs little.
            read_only: Whether it can look, but neither emit, move clients nor disconnect them.
            server_id: The name under which it shows this server; that of the host by default. With a message
                queue, the number of the process is added.
            namespace: The namespace that it uses, of which nothing else has handlers.
            server_stats_interval: Seconds between two reports of a process.

        Raises:
            ValueError: ``auth`` is missing or empty, another argument cannot be what it is, or the client
                manager is python-socketio's.
            TypeError: ``auth`` is of another type.
            RuntimeError: The server was instrumented before.
        """
        auth = self._admin_auth(auth)
        if self._admin is not None:
            raise RuntimeError("instrument() was called before")
        self._admin = Admin(
            cast(HasClients, self),
            self._disconnector,
            self._dispatcher,
            self._is_debug,
            auth,
            mode,
            read_only,
            server_id,
            namespace,
            server_stats_interval,
        )
        return self._admin

    def _admin_auth(self, auth: Any) -> Auth:
        """Who may use the Admin UI, by what `instrument` was given; None: everybody in debug mode.

        Raises:
            ValueError: It was given nothing, and there is no debug mode.
        """
        if auth is None:
            raise ValueError("auth must be specified: who may use the Admin UI, or False for everybody")
        return auth  # type: ignore[no-any-return]

    def _is_debug(self) -> bool:
        """Whether the program is in debug mode."""
        return False
