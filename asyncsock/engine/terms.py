"""The times and limits that a client is told when its session opens, and that hold until it ends."""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from .heartbeat import Heartbeat


@dataclass(eq=False, slots=True)
class Terms:
    """The terms of all sessions that open until an option changes.

    Args:
        ping_interval: Seconds between pings.
        ping_grace: Seconds added to the interval that clients are told.
        ping_timeout: Seconds that a client has to answer a ping.
        max_payload: The largest POST body or WebSocket message that is accepted, in bytes.

    Attributes:
        heartbeat: Pings these sessions.
        handshake: The terms as JSON for the ``open`` packet, without the first brace.
    """

    ping_interval: float
    ping_grace: float
    ping_timeout: float
    max_payload: int
    heartbeat: Heartbeat = field(init=False)
    handshake: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.heartbeat = Heartbeat(self.ping_interval, self.ping_timeout)
        handshake = {
            "pingInterval": round((self.ping_interval + self.ping_grace) * 1000),
            "pingTimeout": round(self.ping_timeout * 1000),
            "maxPayload": self.max_payload,
        }
        self.handshake = json.dumps(handshake, separators=(",", ":"))[1:].encode()
