"""The user session of a client: got, saved, or both around a `with` block."""

from __future__ import annotations

from typing import Any, Protocol

from socketio import AsyncServer as BaseServer

from .engine.awaitables import counts_as_coroutine
from .server_loop import ServerLoop


class HasSessions(Protocol):
    """A server that keeps user sessions."""

    def on_loop(self) -> bool:
        """Whether the caller is on the event loop."""

    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """The user session of a client."""

    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> Any:
        """Store the user session of a client."""


class UserSession:
    """The user session of a client, for `with` in a thread or `async with` on the event loop."""

    def __init__(self, server: HasSessions, sid: str, namespace: str | None) -> None:
        self._server = server
        self._client = (sid, namespace)
        self._session: dict[str, Any] = {}

    def __enter__(self) -> dict[str, Any]:
        if self._server.on_loop():
            raise RuntimeError("session() is used with `async with` in coroutines")
        self._session = self._server.get_session(*self._client)
        return self._session

    def __exit__(self, *error: object) -> None:
        sid, namespace = self._client
        self._server.save_session(sid, self._session, namespace)

    async def __aenter__(self) -> dict[str, Any]:
        self._session = await self._server.get_session(*self._client)
        return self._session

    async def __aexit__(self, *error: object) -> None:
        sid, namespace = self._client
        await self._server.save_session(sid, self._session, namespace)


class KeepsUserSessions(BaseServer):
    """Methods of a server about the user sessions of clients. Each may be called from any thread."""

    _loop: ServerLoop

    def on_loop(self) -> bool:
        """Whether the caller is on the event loop."""
        return self._loop.is_here()

    @counts_as_coroutine
    def get_session(self, sid: str, namespace: str | None = None) -> Any:
        """The user session of a client in a namespace, a dictionary; empty at first.

        Returns:
            The dictionary; on the event loop, an awaitable of it.

        Raises:
            KeyError: There is no such client.
        """
        return self._loop.result(super().get_session(sid, namespace))

    @counts_as_coroutine
    def save_session(self, sid: str, session: dict[str, Any], namespace: str | None = None) -> Any:
        """Store the user session of a client in a namespace; on the event loop, await it.

        Raises:
            KeyError: There is no such client.
        """
        return self._loop.result(super().save_session(sid, session, namespace))

    def session(self, sid: str, namespace: str | None = None) -> UserSession:
        """The user session of a client, saved at the end of the block.

        Example:
            async with server.session(sid) as session:  # in a thread: with
                session["user"] = "ann"
        """
        return UserSession(self, sid, namespace)
