"""Limits on what clients may do, and how often each of them was reached."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, TypedDict

MESSAGE_SIZE = "max_http_buffer_size"
Report = dict[str, dict[str, Any]]


class LimitOptions(TypedDict, total=False):
    """The arguments of `Limits`, for type checkers."""

    max_pending_events: int
    max_events_per_second: float | None
    max_connections: int | None
    max_connections_per_address: int | None
    max_namespaces: int | None
    max_rooms: int | None
    max_unread_bytes: int | None
    max_header_size: int
    max_url_size: int
    header_timeout: float
    body_timeout: float


@dataclass(eq=False)
class Limits:
    """The limits of one server.

    None, where it is named, means no limit. All but the two times may be set while the server runs;
    ``max_events_per_second`` then holds for new sessions.

    Args:
        max_pending_events: Events of one client whose handlers have not ended. A client that has so many is
            not read until one ends.
        max_events_per_second: Messages that one client may send in a second, on average, or None. A client
            that sends more is read later, and closed if it does so for long.
        max_connections: Sessions in all, or None. A request for one more is answered with 503.
        max_connections_per_address: Sessions from one address, or None. A request for one more is answered
            with 429. The address is the client's whole IP address, as ``REMOTE_ADDR`` and Flask's
            ``request.remote_addr`` have it. Clients without an address, on a Unix socket, are not counted,
            and nor are sessions from before the limit was set.
        max_namespaces: Namespaces that one client may be in, or None. CONNECT packets for more are refused.
        max_rooms: Rooms that one client may be in, besides its own, or None. Entering one more raises
            ``ValueError``.
        max_unread_bytes: Bytes that all clients together may leave unread, or None. Past it, the one that has
            left the most is disconnected, and then others until it holds again. A packet counts for each
            client that it was sent to, with 100 bytes more than it has, as for ``max_buffered_bytes``.
        max_header_size: Bytes of the head of an HTTP request. A longer one is answered with 431.
        max_url_size: Bytes of the path and query of an HTTP request. Longer ones are answered with 414.
        header_timeout: Seconds that a client has to send the head of a request.
        body_timeout: Seconds in which a client has to send more of a body.

    Attributes:
        hits: How often each limit was reached, by its name. Those of a server's other options are here too.

    Raises:
        ValueError: A limit is no number, a part of one where something is counted, negative, or 0 where that
            would stop everybody.
    """

    max_pending_events: int = 1000
    max_events_per_second: float | None = None
    max_connections: int | None = None
    max_connections_per_address: int | None = None
    max_namespaces: int | None = 1000
    max_rooms: int | None = None
    max_unread_bytes: int | None = None
    max_header_size: int = 16_384
    max_url_size: int = 8_192
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    hits: Counter[str] = field(init=False, default_factory=Counter)

    def __post_init__(self) -> None:
        for name, kind in self._kinds().items():
            value = getattr(self, name)
            fault = _fault(value, kind)
            if fault:
                raise ValueError(f"{name}={value!r}: {fault}")

    @classmethod
    def _kinds(cls) -> dict[str, str]:
        return {option.name: str(option.type) for option in fields(cls) if option.init}

    @classmethod
    def names(cls) -> set[str]:
        """The names of the limits, which are options of a server."""
        return set(cls._kinds())

    def report(self, others: Mapping[str, Any], now: Mapping[str, int]) -> Report:
        """What `asyncsock.engine.EngineServer.limits` returns.

        Args:
            others: The server's other options that are limits.
            now: How much there is at present of what a limit bounds, by the name of the limit.
        """
        limits = {name: getattr(self, name) for name in self.names()} | dict(others)
        report: Report = {}
        for name in sorted(limits):
            report[name] = {"limit": limits[name], "hits": self.hits[name]}
            if name in now:
                report[name]["now"] = now[name]
        return report


def _fault(value: Any, kind: str) -> str:
    """What is wrong with the value of a limit of this type; nothing if it may be that."""
    if value is None and kind.endswith("None"):
        return ""
    is_whole = kind.startswith("int")
    if isinstance(value, bool) or not isinstance(value, int if is_whole else (int, float)):
        return f"it must be a {'whole ' if is_whole else ''}number"
    if not value >= 0:
        return "it must not be negative"
    if value == 0 and kind != "int | None":
        return "it must be more than 0"
    return ""
