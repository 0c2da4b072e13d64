"""What a session is told when it opens: times and limits that hold for it to its end."""

from __future__ import annotations

import json

from .heartbeat import Heartbeat


class Terms:
    """The terms of all sessions that open until an option changes.

    Args:
        ping_interval: Seconds between pings.
        ping_grace: Seconds added to the interval that clients are told.
        ping_timeout: Seconds that a client has to answer a ping.
        max_payload: The largest POST body or WebSocket message that is accepted, in bytes.

    Attributes:
        heartbeat: Pings these sessions.
        handshake: What the ``open`` packet says of the terms, without the brace before it.
    """

    __slots__ = ("handshake", "heartbeat", "max_payload", "ping_grace", "ping_interval", "ping_timeout")

    def __init__(
        self, ping_interval: float, ping_grace: float, ping_timeout: float, max_payload: int
    ) -> None:
        self.ping_interval = ping_interval
        self.ping_grace = ping_grace
        self.ping_timeout = ping_timeout
        self.max_payload = max_payload
        self.heartbeat = Heartbeat(ping_interval, ping_timeout)
        handshake = {
            "pingInterval": round((ping_interval + ping_grace) * 1000),
            "pingTimeout": round(ping_timeout * 1000),
            "maxPayload": max_payload,
        }
        self.handshake = json.dumps(handshake, separators=(",", ":"))[1:].encode()
