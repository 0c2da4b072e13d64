"""The methods of a server that know of clients that come back, and keep what is theirs."""

from __future__ import annotations

from typing import Any

from ..connection import Connection
from ..presence.presence import Presence
from ..recovery.clients import Parked
from ..recovery.recovery import Recovery


class BringsClientsBack:
    """Methods of a server about clients that lose their connection and come back."""

    manager: Any
    _presence: Presence
    _recovery: Recovery | None

    @property
    def recovers(self) -> bool:
        """Whether clients may come back, and events without acknowledgement end with an offset."""
        return self._recovery is not None

    def recovered(self, sid: str) -> bool:
        """Whether a client has lost its connection and come back as the same; see the option
        ``connection_state_recovery``. It is known when the connect handler runs.
        """
        return self._recovery is not None and self._recovery.has_recovered(self.manager.clients.get(sid))

    def _keep_of(self, connection: Connection) -> Any:
        """What is kept of a connection that was lost, as `Parked.kept`."""

    def _give_back(self, connection: Connection, parked: Parked) -> None:
        """Give a client that comes back on a connection what was kept of it."""
        session, namespace = connection.session, parked.namespace
        if parked.user_session is not None:
            session.user_session = {**(session.user_session or {}), namespace: parked.user_session}
        if parked.shown:
            self._presence.take_over(parked.sid, parked.shown)
        else:
            self._presence.restored(parked.sid)

    def _pack(self, kept: Any) -> bytes:
        """What `_keep_of` has kept, for another process.

        Raises:
            TypeError: It cannot be encoded.
        """
        raise TypeError("it is unknown how to encode it")

    def _unpack(self, kept: bytes) -> Any:
        """What another process has made with `_pack`."""
