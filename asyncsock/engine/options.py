"""The options of a server that may be set at run time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from .http import CORS, Origins

if TYPE_CHECKING:
    from .endpoint import Endpoint
    from .terms import Terms


class ChangeableOptions:
    """Options as attributes. What is set holds for new sessions, and for CORS for new requests.

    Attributes:
        terms: Of new sessions.
        endpoint: What answers requests.
    """

    terms: Terms
    endpoint: Endpoint

    @property
    def ping_interval(self) -> float:
        """Seconds between pings. May be set to a pair, as in the constructor."""
        return self.terms.ping_interval

    @ping_interval.setter
    def ping_interval(self, interval: float | tuple[float, float]) -> None:
        seconds, grace = interval if isinstance(interval, tuple) else (interval, self.terms.ping_grace)
        self.terms = replace(self.terms, ping_interval=seconds, ping_grace=grace)

    @property
    def ping_interval_grace_period(self) -> float:
        """Seconds that are added to the interval between pings in what clients are told."""
        return self.terms.ping_grace

    @ping_interval_grace_period.setter
    def ping_interval_grace_period(self, seconds: float) -> None:
        self.terms = replace(self.terms, ping_grace=seconds)

    @property
    def ping_timeout(self) -> float:
        """Seconds that a client has to answer a ping."""
        return self.terms.ping_timeout

    @ping_timeout.setter
    def ping_timeout(self, seconds: float) -> None:
        self.terms = replace(self.terms, ping_timeout=seconds)

    @property
    def max_http_buffer_size(self) -> int:
        """The largest POST body or WebSocket message that is accepted, in bytes."""
        return self.terms.max_payload

    @max_http_buffer_size.setter
    def max_http_buffer_size(self, size: int) -> None:
        self.terms = replace(self.terms, max_payload=size)

    @property
    def cors_allowed_origins(self) -> Origins:
        """Who may connect from another origin."""
        return self.endpoint.cors.allowed

    @cors_allowed_origins.setter
    def cors_allowed_origins(self, allowed: Origins) -> None:
        self.endpoint.cors = CORS(allowed, self.cors_credentials)

    @property
    def cors_credentials(self) -> bool:
        """Whether browsers may send cookies from other origins."""
        return self.endpoint.cors.credentials

    @cors_credentials.setter
    def cors_credentials(self, credentials: bool) -> None:
        self.endpoint.cors = CORS(self.cors_allowed_origins, credentials)
