"""What the server refuses or warns of: options, calls and a python-socketio that cannot work."""

from __future__ import annotations

import logging
from typing import Any

from socketio import AsyncManager, AsyncServer

from .engine.tested_versions import warn_once

# The private methods of python-socketio's server that ours overrides, where python-socketio or its client
# managers call them, or calls.
PRIVATE = (
    "_engineio_server_class",
    "_get_namespace_handler",
    "_send_eio_packet",
    "_send_packet",
    "_trigger_event",
)


def check_socketio() -> None:
    """Warn, once, where python-socketio's server lacks a method that the tested versions have."""
    lacks = [name for name in PRIVATE if not hasattr(AsyncServer, name)]
    if lacks:
        text = f"this python-socketio has no AsyncServer.{', '.join(lacks)}, and something may not work"
        warn_once(logging.getLogger("asyncsock.server"), text, "python-socketio")


def check_manager(manager: Any) -> None:
    """Refuse a client manager that does not run on asyncio.

    Raises:
        TypeError: It does not.
    """
    if manager is not None and not isinstance(manager, AsyncManager):
        raise TypeError(
            f"client_manager={manager!r} blocks, and this server runs on asyncio: give SocketIO the broker's "
            "URL as message_queue=, or pass asyncsock.queues.from_url(url) here"
        )


def check_serializer(serializer: Any) -> None:
    """Refuse the name of a serializer that there is not.

    Raises:
        ValueError: There is none of that name.
    """
    if isinstance(serializer, str) and serializer not in ("default", "msgpack"):
        raise ValueError(f"serializer={serializer!r}: use 'default', 'msgpack' or a packet class")


def check_call(manager: Any, async_handlers: bool, to: Any) -> None:
    """Refuse to wait for a client's answer that cannot come.

    Raises:
        ValueError: Nobody is asked.
        RuntimeError: Handlers run one after the other, or `check_asking` raises it.
    """
    check_asking("call()", manager)
    if to is None:
        raise ValueError("Cannot use call() to broadcast.")
    check_async_handlers("call()", async_handlers)


def check_asking(method: str, manager: Any) -> None:
    """Refuse to ask others in a process that gets no answers.

    Raises:
        RuntimeError: Its client manager only writes to a message queue.
    """
    if getattr(manager, "write_only", False):
        raise RuntimeError(
            f"{method} needs a server, and this process only writes to the message queue: answers go to the "
            "servers. Have a handler of the server ask, or do what needs no answer"
        )


def check_async_handlers(method: str, async_handlers: bool) -> None:
    """Refuse to wait for clients where no event is handled meanwhile.

    Raises:
        RuntimeError: Handlers run one after the other.
    """
    if not async_handlers:
        raise RuntimeError(f"Cannot use {method} when async_handlers is False.")
