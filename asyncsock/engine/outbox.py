"""Outgoing packets wait in each session's outbox until the end of the loop's tick."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Protocol

from .log_lines import LogLines
from .packet import Packet

lines = LogLines(logging.getLogger("asyncsock.engine"))


class HasOutbox(Protocol):
    """A session, or a stand-in for one."""

    outbox: list[Packet]


class Outboxes:
    """Hands packets to sessions and flushes each session once per tick of the event loop.

    A session whose outbox is not empty is either noted here for the next flush, or its transport will send
    the outbox as soon as it can (a paused WebSocket, a polling client between two requests). So only the
    first packet of a tick costs more than an append.

    This class adds packets to an outbox, and only the session's transport takes them out. A transport that
    leaves packets there has to send them, and all that are added to them, without another call of its
    `flush`. A session that ends hands the rest of its outbox to its transport.

    Args:
        find_loop: Called if no event loop is known or the known one is closed; returns the one that runs.

    Attributes:
        emitted: Calls of `fan_out` since the last flush.
        counts_bytes: Whether `bytes_sent` counts.
        bytes_sent: Bytes of all packets, as frames of WebSockets, for each of their recipients.
    """

    def __init__(self, find_loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
        self.emitted = self.bytes_sent = 0
        self.counts_bytes = False
        self._find_loop = find_loop
        self._dirty: list[Any] = []
        self._loop: asyncio.AbstractEventLoop | None = None

    def put(self, session: HasOutbox, packet: Packet) -> None:
        """Append one packet to a session's outbox."""
        if self.counts_bytes:
            self.bytes_sent += len(packet.frame)
        if not session.outbox:
            if not self._dirty:
                self._schedule()
            self._dirty.append(session)
        session.outbox.append(packet)

    def fan_out(self, sessions: Collection[HasOutbox], packets: Sequence[Packet]) -> None:
        """Append the same packets, in order and without a gap, to the outbox of each session."""
        dirty = self._dirty
        if not dirty:
            self._schedule()
        self.emitted += 1
        if self.counts_bytes:
            self.bytes_sent += sum([len(packet.frame) for packet in packets]) * len(sessions)
        if len(packets) == 1:
            packet = packets[0]
            for session in sessions:
                outbox = session.outbox
                if not outbox:
                    dirty.append(session)
                outbox.append(packet)
        else:
            for session in sessions:
                outbox = session.outbox
                if not outbox:
                    dirty.append(session)
                outbox.extend(packets)

    def flush(self) -> None:
        """Let the transport of every noted session send its outbox."""
        dirty, self._dirty = self._dirty, []
        self.emitted = 0
        for session in dirty:
            try:
                session.transport.flush(session)
            except Exception as error:
                lines.error("could not write to session %s", error, session.sid)

    def _schedule(self) -> None:
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = self._find_loop()
            if loop is None:
                return
        loop.call_soon(self.flush)

    def clear(self) -> None:
        """Forget the noted sessions and the event loop."""
        self._dirty.clear()
        self._loop = None
