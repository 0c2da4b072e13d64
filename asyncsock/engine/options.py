"""The options of a server that may be set at run time."""

from __future__ import annotations

from dataclasses import replace
from operator import attrgetter
from typing import Any, Generic, TypeVar

from .core import Core
from .endpoint import Endpoint
from .handlers import Handlers
from .http import CORS, Origins
from .terms import Terms

T = TypeVar("T")


class _HeldBy(Generic[T]):
    """An option that a part of the server holds as an attribute of the same name.

    Args:
        part: The part, as an attribute of the server.
    """

    def __init__(self, part: str) -> None:
        self._part = attrgetter(part)

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, server: ChangeableOptions, owner: type) -> T:
        value: T = getattr(self._part(server), self._name)
        return value

    def __set__(self, server: ChangeableOptions, value: T) -> None:
        setattr(self._part(server), self._name, value)


class ChangeableOptions:
    """Options as attributes. A change applies to new sessions, requests and messages.

    Attributes:
        allow_upgrades: Whether a polling client may move to a WebSocket.
        transports: The transports that clients may use.
        http_compression: Whether polling answers are compressed for clients that accept it.
        compression_threshold: Bodies of fewer bytes are not compressed.
        cookie: Name of a cookie with the session id, or a dictionary of ``name`` and attributes.
        async_handlers: Whether coroutine handlers of one client's messages may overlap.
    """

    core: Core
    endpoint: Endpoint
    _handlers: Handlers

    allow_upgrades: _HeldBy[bool] = _HeldBy("endpoint")
    transports: _HeldBy[list[str]] = _HeldBy("endpoint")
    http_compression: _HeldBy[bool] = _HeldBy("endpoint.answers")
    compression_threshold: _HeldBy[int] = _HeldBy("endpoint.answers")
    cookie: _HeldBy[str | dict[str, Any] | None] = _HeldBy("endpoint.answers")
    async_handlers: _HeldBy[bool] = _HeldBy("_handlers")

    @property
    def terms(self) -> Terms:
        """The terms of new sessions."""
        return self.core.terms

    @property
    def ping_interval(self) -> float:
        """Seconds between pings. May be set to a pair, as in the constructor."""
        return self.terms.ping_interval

    @ping_interval.setter
    def ping_interval(self, interval: float | tuple[float, float]) -> None:
        seconds, grace = interval if isinstance(interval, tuple) else (interval, self.terms.ping_grace)
        self.core.terms = replace(self.terms, ping_interval=seconds, ping_grace=grace)

    @property
    def ping_interval_grace_period(self) -> float:
        """Seconds that are added to the interval between pings that clients are told."""
        return self.terms.ping_grace

    @ping_interval_grace_period.setter
    def ping_interval_grace_period(self, seconds: float) -> None:
        self.core.terms = replace(self.terms, ping_grace=seconds)

    @property
    def ping_timeout(self) -> float:
        """Seconds that a client has to answer a ping."""
        return self.terms.ping_timeout

    @ping_timeout.setter
    def ping_timeout(self, seconds: float) -> None:
        self.core.terms = replace(self.terms, ping_timeout=seconds)

    @property
    def max_http_buffer_size(self) -> int:
        """The largest POST body or WebSocket message that is accepted, in bytes."""
        return self.terms.max_payload

    @max_http_buffer_size.setter
    def max_http_buffer_size(self, size: int) -> None:
        self.core.terms = replace(self.terms, max_payload=size)

    @property
    def cors_allowed_origins(self) -> Origins:
        """Who may connect from another origin."""
        return self.endpoint.answers.cors.allowed

    @cors_allowed_origins.setter
    def cors_allowed_origins(self, allowed: Origins) -> None:
        self.endpoint.answers.cors = CORS(allowed, self.cors_credentials)

    @property
    def cors_credentials(self) -> bool:
        """Whether browsers may send cookies from other origins."""
        return self.endpoint.answers.cors.credentials

    @cors_credentials.setter
    def cors_credentials(self, credentials: bool) -> None:
        self.endpoint.answers.cors = CORS(self.cors_allowed_origins, credentials)
