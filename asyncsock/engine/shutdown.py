"""Stopping a server: sessions are closed, and clients still get what was sent to them."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from .core import Core
from .reasons import SERVER_DISCONNECT

SERVICE_RESTART = 1012
PATIENCE = 0.5  # seconds to wait for a client that neither reads nor sends


class Drain:
    """The time in which a server that is told to stop serves on, so that balancers see it and send no more.

    Attributes:
        seconds: How long that is.
        begun: Whether the server was told to stop.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.begun = False
        self._cut = asyncio.Event()

    async def wait(self) -> None:
        """Wait until it is over."""
        self._cut.clear()
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._cut.wait(), self.seconds)

    def end(self) -> None:
        """End it early."""
        self._cut.set()


async def close_sessions(core: Core, grace: float) -> None:
    """End every session: at once, or when the handlers of its events have ended.

    Args:
        core: What the sessions share.
        grace: Seconds after which handlers that still run are cancelled.
    """
    if core.closing:
        return
    core.closing = True
    core.logger.debug("closing %d sessions", len(core.sessions))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + grace
    running = core.tasks.running
    busy = {session for _, session in running.values()}
    for session in list(core.sessions.values()):
        if session not in busy:
            session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    current = asyncio.current_task()
    while awaited := {end: session for end, session in core.tasks.endings().items() if session is not None}:
        done, _ = await asyncio.wait(
            awaited, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED
        )
        still_busy = {session for _, session in running.values()}
        for idle in {awaited[task] for task in done} - still_busy:
            if idle.sid in core.sessions:
                core.sessions[idle.sid].close(SERVER_DISCONNECT, SERVICE_RESTART)
        if loop.time() >= deadline:
            break
    for task, _ in list(running.values()):
        if task is not current:
            task.cancel()
    for session in list(core.sessions.values()):
        session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    core.outboxes.flush()
    await core.closing_clients.wait(PATIENCE)
