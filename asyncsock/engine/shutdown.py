"""Stopping: sessions are closed with everything that was sent to them before the server goes."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

from .session import SERVER_DISCONNECT

if TYPE_CHECKING:
    from .server import EngineServer

SERVICE_RESTART = 1012
# What ends a server: SIGTERM of systemd and Docker, SIGINT of Ctrl+C, and SIGBREAK of Ctrl+Break on Windows.
SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)
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
    busy = {sid for _, sid in server.tasks.values()}
    for session in list(server.sessions.values()):
        if session.sid not in busy:
            session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    current = asyncio.current_task()
    while running := {task: sid for task, sid in server.tasks.values() if sid is not None}:
        done, _ = await asyncio.wait(
            running, timeout=deadline - loop.time(), return_when=asyncio.FIRST_COMPLETED
        )
        still_busy = {sid for _, sid in server.tasks.values()}
        for sid in {running[task] for task in done} - still_busy:
            if sid in server.sessions:
                server.sessions[sid].close(SERVER_DISCONNECT, SERVICE_RESTART)
        if loop.time() >= deadline:
            break
    for task, _ in list(server.tasks.values()):
        if task is not current:
            task.cancel()
    for session in list(server.sessions.values()):
        session.close(SERVER_DISCONNECT, SERVICE_RESTART)
    server.fanout.flush()
    await server.endings.wait(PATIENCE)


def close_before_uvicorn_stops(server: Any, engine: EngineServer) -> None:
    """Make the `SIGNALS` close the sessions before uvicorn begins to stop.

    uvicorn closes its connections first and tells the application last, when nothing can be sent any
    more. A second signal reaches it at once.

    Args:
        server: Whose ``shutdown()`` is called.
        engine: The engine under it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        original = signal.getsignal(number)
        of_module = getattr(original, "__module__", "")
        if of_module.startswith("uvicorn."):  # Server.handle_exit, of a subclass too
            signal.signal(number, _chained(server, engine, loop, original))


def _chained(
    server: Any, engine: EngineServer, loop: asyncio.AbstractEventLoop, original: Any
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if engine.closing or loop.is_closed():
            original(number, frame)
        else:
            loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(stop(number, frame))))

    async def stop(number: int, frame: FrameType | None) -> None:
        await close_then(
            partial(original, number, frame), server, engine, getattr(original.__self__, "config", None)
        )

    tasks: list[asyncio.Task[None]] = []  # the loop itself does not hold them
    return handle


async def close_then(
    stop_uvicorn: Callable[[], object], server: Any, engine: EngineServer, config: Any
) -> None:
    """Close the sessions, then have uvicorn stop, with what is left of the grace period.

    Args:
        stop_uvicorn: Called when the sessions are closed.
        server: Whose ``shutdown()`` is called.
        engine: The engine under it.
        config: uvicorn's, if it is known.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + engine.shutdown_grace
    try:
        await server.shutdown()
    finally:
        if getattr(config, "timeout_graceful_shutdown", None) is not None:
            config.timeout_graceful_shutdown = max(0, deadline - loop.time())
        stop_uvicorn()
