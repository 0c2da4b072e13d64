"""What stops uvicorn, which is a signal or something in it: the sessions are closed first."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable
from functools import partial
from types import FrameType
from typing import Any

from ..engine.server import EngineServer

# What ends a server: SIGTERM of systemd and Docker, SIGINT of Ctrl+C, and SIGBREAK of Ctrl+Break on Windows.
SIGNALS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGBREAK") if hasattr(signal, name)
)


def close_before_uvicorn_stops(server: Any, engine: EngineServer) -> None:
    """Make the `SIGNALS` close the sessions before uvicorn begins to stop.

    uvicorn closes its connections first and tells the application last, when nothing can be sent any
    more. A second signal goes straight to uvicorn. If there was none, as when it has served
    ``limit_max_requests``, the sessions are closed when it begins.

    Args:
        server: The server whose ``shutdown()`` is called.
        engine: The engine under it.
    """
    if threading.current_thread() is not threading.main_thread():
        return
    loop = asyncio.get_running_loop()
    uvicorn = server_that_signals_stop()
    if hasattr(uvicorn, "shutdown"):
        uvicorn.shutdown = _closing_first(uvicorn.shutdown, server, engine, uvicorn)
    for number in SIGNALS:
        original = signal.getsignal(number)
        module = getattr(original, "__module__", "")
        if module.startswith("uvicorn."):  # Server.handle_exit, of a subclass too
            signal.signal(number, _chained(server, engine, loop, original))


def server_that_signals_stop() -> Any:
    """The uvicorn server that handles `SIGNALS`; None if they were not given to one."""
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return owner if hasattr(owner, "server_state") else None


def _chained(
    server: Any, engine: EngineServer, loop: asyncio.AbstractEventLoop, original: Any
) -> Callable[[int, FrameType | None], None]:
    def handle(number: int, frame: FrameType | None) -> None:
        if engine.closing or loop.is_closed():
            original(number, frame)
        elif engine.drain.begun:
            if number != signal.SIGTERM:  # which may come twice: from the parent, and from systemd to all
                loop.call_soon_threadsafe(engine.drain.end)
        else:
            loop.call_soon_threadsafe(lambda: tasks.append(loop.create_task(stop(number, frame))))

    async def stop(number: int, frame: FrameType | None) -> None:
        await close_then(partial(original, number, frame), server, engine, original.__self__)

    tasks: list[asyncio.Task[None]] = []  # the loop alone would not keep them alive
    return handle


def _closing_first(
    shutdown: Callable[..., Awaitable[None]], server: Any, engine: EngineServer, uvicorn: Any
) -> Callable[..., Awaitable[None]]:
    async def close_and_shut_down(*args: Any, **options: Any) -> None:
        await close_first(server, engine, uvicorn)
        await shutdown(*args, **options)

    return close_and_shut_down


async def close_first(server: Any, engine: EngineServer, uvicorn: Any) -> None:
    """Close the sessions now that uvicorn stops, unless what has stopped it has done so.

    Args:
        server: The server whose ``shutdown()`` is called.
        engine: The engine under it.
        uvicorn: Its server.
    """
    if not engine.stopping:
        await close_then(lambda: None, server, engine, uvicorn)


async def close_then(
    stop_uvicorn: Callable[[], object], server: Any, engine: EngineServer, uvicorn: Any
) -> None:
    """Close the sessions, then have uvicorn stop, with what is left of the grace period.

    If no other worker takes what is new, the server first serves on for the time of its `Drain`.

    Args:
        stop_uvicorn: Called when the sessions are closed.
        server: The server whose ``shutdown()`` is called.
        engine: The engine under it.
        uvicorn: Its server.
    """
    engine.drain.begun = True  # before the look at the others: of two that stop at once, one sees that
    others = engine.endpoint.elsewhere
    if engine.drain.seconds and (others is None or others.lighter() is None):
        await engine.drain.wait()
    if engine.shares_port:  # other workers accept connections, or the next ones will
        for listener in getattr(uvicorn, "servers", ()):
            listener.close()
    config: Any = getattr(uvicorn, "config", None)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + engine.shutdown_grace
    try:
        await server.shutdown()
    finally:
        if getattr(config, "timeout_graceful_shutdown", None) is not None:
            config.timeout_graceful_shutdown = max(0, deadline - loop.time())
        stop_uvicorn()
