"""What a server keeps of clients that may come back."""

from __future__ import annotations

from asyncsock import AsyncServer


def nothing_is_kept(server: AsyncServer) -> None:
    """Assert that it keeps no client that may come back."""
    recovery = server._recovery
    assert recovery is not None
    assert (recovery._known, recovery.waiting_rooms.counts, recovery.log.reserved) == ({}, {}, 0)
