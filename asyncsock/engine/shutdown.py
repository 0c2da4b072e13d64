"""Stopping: sessions are closed with everything that was sent to them before the server goes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from .reasons import SERVER_DISCONNECT

if TYPE_CHECKING:
    from .server import EngineServer

SERVICE_RESTART = 1012
PATIENCE = 0.5  # seconds to wait for a client that neither reads nor sends


async def close_sessions(server: EngineServer) -> None:
    """End every session; one whose event is still being handled, when its handlers have ended.

    Handlers that still run after the server's grace period are cancelled.
    """
    if server.closing:
        return
    server.closing = True
    server.logger.debug("closing %d sessions", len(server.sessions))
    loop = asyncio.get_running_loop()
    deadline = loop.time() + server.shutdown_grace
    busy = {sid for _, sid in server.tasks.running.values()}
    for session in list(server.sessions.values()):
        if session.sid not in busy:
            session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    current = asyncio.current_task()
    while running := {task: sid for task, sid in server.tasks.running.values() if sid is not None}:
        done, _ = await asyncio.wait(
            running, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED
        )
        still_busy = {sid for _, sid in server.tasks.running.values()}
        for sid in {running[task] for task in done} - still_busy:
            if sid in server.sessions:
                server.sessions[sid].close(SERVER_DISCONNECT, SERVICE_RESTART)
        if loop.time() >= deadline:
            break
    for task, _ in list(server.tasks.running.values()):
        if task is not current:
            task.cancel()
    for session in list(server.sessions.values()):
        session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    server.outboxes.flush()
    await server.closing_clients.wait(PATIENCE)
