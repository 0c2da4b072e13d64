"""The methods of a server that say and know who is online."""

from __future__ import annotations

from typing import Any

from ..engine.awaitables import Sent, counts_as_coroutine
from ..server_loop import ServerLoop
from .presence import Presence


class ShowsWhoIsThere:
    """Methods of a server about who is in which room. Each may be called from any thread."""

    _loop: ServerLoop
    _presence: Presence

    @counts_as_coroutine
    def track(
        self, sid: str, key: str, meta: Any = None, room: Any = None, namespace: str | None = None
    ) -> Sent:
        """Say who a client of this process is, in a room. It enters the room if it is not in it.

        The client is sent ``presence_state``: who is in the room, as ``{key: [meta, ...]}``, and the room.
        The others in it are sent ``presence_diff``: ``{"joins": {...}, "leaves": {...}}``, and the room.
        Deleting the keys of ``leaves`` and then setting those of ``joins`` gives the new state; a key in both
        had another meta. Several clients with one key are there once. A client leaves when it leaves the room
        or disconnects.

        Args:
            sid: The client.
            key: Who it is, such as the id of a user.
            meta: What to show of it: anything that can be emitted. Tracking again changes it.
            room: The room; None for everybody in the namespace.
            namespace: ``'/'`` by default.

        Raises:
            ValueError: This process has no such client, or it may not enter the room.
            TypeError: The key is no text, the room neither text nor a number, or the meta cannot be encoded.
        """
        return self._loop.call(self._presence.track, sid, key, meta, room, namespace or "/")

    @counts_as_coroutine
    def untrack(self, sid: str, room: Any = None, namespace: str | None = None) -> Sent:
        """Take back what `track` has said of a client in a room, in which it stays."""
        return self._loop.call(self._presence.untrack, sid, room, namespace or "/")

    def presence(self, room: Any = None, namespace: str | None = None) -> dict[str, list[Any]]:
        """Who is in a room, in all processes: each key with what is shown of it, ``{key: [meta, ...]}``.

        Raises:
            RuntimeError: This process only writes to a message queue.
        """
        return self._loop.call(self._presence.there, room, namespace or "/")
