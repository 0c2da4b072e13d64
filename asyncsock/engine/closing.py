"""Ended sessions and closing connections whose clients have not yet taken all that was sent to them."""

from __future__ import annotations

import asyncio
from typing import Protocol

from .deadlines import Deadlines
from .http import Request
from .packet import Packet
from .slow_clients import SlowClients
from .transports.base import SendingSession, Transport

LINGER = 30.0  # seconds that a polling client has to fetch what its ended session left for it
FETCH_PATIENCE = (
    2.0  # seconds in which a polling client reads an answer and fetches more, when a server stops
)
CLOSE_TIMEOUT = 5.0  # seconds that a client has to read more of what is left, and to answer a close frame


class Leftovers(SendingSession, Protocol):
    """What an ended session left for its polling client. It is watched in the place of the session."""

    def fetch_left(self, request: Request) -> list[Packet]:
        """The packets for the answer to a poll."""


class ClosingClients:
    """Waits for clients to take what was left for them, and gives up on those that do not.

    Args:
        slow_clients: What watches that they take it, if it is much.
    """

    def __init__(self, slow_clients: SlowClients) -> None:
        self._slow_clients = slow_clients
        self._lingering: dict[str, Leftovers] = {}
        self._fetch_deadline = 0.0  # until when a stop waits for those that have something to fetch
        self._linger_deadlines: Deadlines[str] = Deadlines(LINGER, self._forget)
        self._closing: dict[Transport, float] = {}  # when each client last read or sent
        self._close_deadlines: Deadlines[Transport] = Deadlines(CLOSE_TIMEOUT, self._give_up)

    def linger(self, left: Leftovers, is_polling: bool = False) -> None:
        """Keep what an ended session left for its polling client to fetch.

        Args:
            left: What that is.
            is_polling: Whether the client has just fetched some of it.
        """
        self._lingering[left.sid] = left
        self._linger_deadlines.add(left.sid)
        has_data = len(left.outbox) > 1  # not only the packet that says that the session has ended
        if has_data:
            self._slow_clients.watch(left)
        if has_data or is_polling:
            self._fetch_deadline = asyncio.get_running_loop().time() + FETCH_PATIENCE

    def fetch(self, sid: str) -> Leftovers | None:
        """Hand out what an ended session left; the next call returns None."""
        left = self._lingering.pop(sid, None)
        if left is not None:
            self._linger_deadlines.discard(sid)
        return left

    def closing(self, transport: Transport) -> None:
        """Watch a connection that is being closed: it is dropped if that takes too long."""
        now = asyncio.get_running_loop().time()
        if transport not in self._closing:
            self._close_deadlines.add(transport, now)
        self._closing[transport] = now

    def alive(self, transport: Transport) -> None:
        """Note that the client of a connection that is being closed reads or sends."""
        self._closing[transport] = asyncio.get_running_loop().time()

    def progress(self, transport: Transport) -> None:
        """Note that a client has read some of what was left, and give it the full time for the rest."""
        if self._close_deadlines.discard(transport):
            self._close_deadlines.add(transport)
        self.alive(transport)

    def gone(self, transport: Transport) -> None:
        """Note that a connection is gone."""
        if self._closing.pop(transport, None) is not None:
            self._close_deadlines.discard(transport)

    async def wait(self, patience: float) -> None:
        """Wait until clients have taken what was left for them, for `CLOSE_TIMEOUT`; then drop the others.

        Those that poll have `FETCH_PATIENCE` for each answer: what they have not fetched by then is lost.

        Args:
            patience: Seconds to wait for a client that neither reads nor sends.
        """
        loop = asyncio.get_running_loop()
        start = now = loop.time()
        while now - start < CLOSE_TIMEOUT:
            for transport, last_sign in list(self._closing.items()):
                if now - last_sign > patience:
                    self._drop(transport)
            if not self._closing and (
                not self._lingering or now > max(start + patience, self._fetch_deadline)
            ):
                break
            await asyncio.sleep(0.01)
            now = loop.time()
        for transport in list(self._closing):
            self._drop(transport)
        self._linger_deadlines.clear()
        self._close_deadlines.clear()

    def clear(self) -> None:
        """Forget all clients; nothing is dropped."""
        self._lingering.clear()
        self._closing.clear()
        self._linger_deadlines.clear()
        self._close_deadlines.clear()

    def _drop(self, transport: Transport) -> None:
        self.gone(transport)
        transport.abort()

    def _forget(self, sid: str, _deadline: float) -> None:
        self._slow_clients.settled(self._lingering.pop(sid))

    def _give_up(self, transport: Transport, _deadline: float) -> None:
        self._drop(transport)
