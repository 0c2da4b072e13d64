"""What the engine raises because of what a client sent."""

from __future__ import annotations


class SessionTaken(Exception):
    """A second WebSocket for a session; the protocol wants it accepted and closed."""


class BadPacket(ValueError):
    """Something a client sent that breaks the protocol; its session is closed."""
