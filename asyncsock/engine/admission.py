"""Whether there may be one more session, in all and from its client's address."""

from __future__ import annotations

from collections.abc import Callable, Sized

from .http import HTTPError, Scope
from .limits import Limits
from .log import shown

IN_ALL = "max_connections"
PER_ADDRESS = "max_connections_per_address"


class Admission:
    """Refuses sessions that are too many, and counts those of each address while that has a limit.

    Args:
        limits: The limits of the server.
        sessions: The sessions that it has.
    """

    def __init__(self, limits: Limits, sessions: Sized) -> None:
        self._limits = limits
        self._sessions = sessions
        self._counts: dict[str, int] = {}  # sessions by address
        self._addresses: dict[str, str] = {}  # by session id

    def check(self, make_scope: Callable[[], Scope]) -> str | None:
        """Check whether a client may have a session.

        Args:
            make_scope: Makes the scope of its request.

        Returns:
            The client's address, for `added`. None if that need not be known; empty or None if there is none.

        Raises:
            HTTPError: 503 or 429: there are too many sessions already.
        """
        in_all, per_address = self._limits.max_connections, self._limits.max_connections_per_address
        if in_all is not None and len(self._sessions) >= in_all:
            self._limits.hits[IN_ALL] += 1
            raise HTTPError(503, "Too many connections", remedy=f"{IN_ALL} is {in_all}")
        if per_address is None:
            return None
        client = make_scope().get("client")
        address: str | None = client[0] if client else None
        if address and self._counts.get(address, 0) >= per_address:
            self._limits.hits[PER_ADDRESS] += 1
            remedy = f"{PER_ADDRESS} is {per_address}, for {shown(address)}"
            raise HTTPError(429, "Too many connections from this address", remedy=remedy)
        return address

    def added(self, sid: str, address: str) -> None:
        """Note that a session was made for a client with an address."""
        self._addresses[sid] = address
        self._counts[address] = self._counts.get(address, 0) + 1

    def removed(self, sid: str) -> None:
        """Note that a session was refused or has ended."""
        address = self._addresses.pop(sid, None)
        if address is not None:
            self._counts[address] -= 1
            if not self._counts[address]:
                del self._counts[address]

    def clear(self) -> None:
        """Forget all sessions."""
        self._counts.clear()
        self._addresses.clear()

    def numbers(self) -> dict[str, int]:
        """How many sessions there are, and the most that one address has, by the names of their limits."""
        numbers = {IN_ALL: len(self._sessions)}
        if self._limits.max_connections_per_address is not None:
            numbers[PER_ADDRESS] = max([*self._counts.values()], default=0)
        return numbers
