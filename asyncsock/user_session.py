"""`server.session(sid)`: the user session of a client, loaded and saved by a `with` block."""

from __future__ import annotations

from typing import Any, Protocol


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
