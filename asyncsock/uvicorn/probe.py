"""What our connections use of uvicorn's insides, and whether this uvicorn has it.

These names are private to uvicorn. They are checked when the server starts: if one is missing, everything is
served through plain ASGI, which needs none of them. The tables are complete: a test compares them with what
our code uses, and another starts a server with each name changed.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from typing import Any

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "LifespanOn": ("config", "state"),
    "Config": (
        "encoded_headers",
        "http_protocol_class",
        "is_ssl",
        "limit_concurrency",
        "loaded_app",
        "root_path",
        "timeout_graceful_shutdown",
        "timeout_keep_alive",
        "ws",
        "ws_protocol_class",
    ),
    "ServerState": ("connections", "default_headers", "tasks", "total_requests"),
    "ProxyHeadersMiddleware": ("app", "trusted_hosts"),
    "AccessFormatter": ("use_colors",),
    "FlowControl": ("pause_reading", "read_paused", "resume_reading", "write_paused"),
    "H11Protocol": (
        "access_logger",
        "client",
        "conn",
        "connections",
        "cycle",
        "flow",
        "headers",
        "root_path",
        "scheme",
        "server",
        "timeout_keep_alive_task",
        "transport",
    ),
    "HttpToolsProtocol": (
        "access_logger",
        "app",
        "client",
        "connections",
        "cycle",
        "expect_100_continue",
        "flow",
        "headers",
        "limit_concurrency",
        "loop",
        "parser",
        "pipeline",
        "root_path",
        "scheme",
        "scope",
        "server",
        "timeout_keep_alive_task",
        "transport",
        "url",
    ),
    # uvicorn reads some of these of a UvicornPollRequest of ours too.
    "RequestResponseCycle": (
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "waiting_for_100_continue",
    ),
}
# With the number of arguments. We call some and override some; uvicorn calls `shutdown`, also on our classes.
METHODS: dict[str, dict[str, int]] = {
    "ProxyHeadersMiddleware": {"__call__": 3},
    "AccessFormatter": {"format": 1},
    "H11Protocol": {
        "_unset_keepalive_if_required": 0,
        "connection_lost": 1,
        "connection_made": 1,
        "data_received": 1,
        "handle_events": 0,
        "handle_websocket_upgrade": 1,
        "on_response_complete": 0,
        "pause_writing": 0,
        "resume_writing": 0,
        "send_400_response": 1,
        "shutdown": 0,
        "timeout_keep_alive_handler": 0,
    },
    "HttpToolsProtocol": {
        "_should_upgrade": 0,
        "_unset_keepalive_if_required": 0,
        "_unsupported_upgrade_warning": 0,
        "connection_lost": 1,
        "connection_made": 1,
        "data_received": 1,
        "handle_websocket_upgrade": 0,
        "on_body": 1,
        "on_headers_complete": 0,
        "on_message_complete": 0,
        "on_response_complete": 0,
        "pause_writing": 0,
        "resume_writing": 0,
        "shutdown": 0,
        "timeout_keep_alive_handler": 0,
    },
}


class Missing(Exception):
    """uvicorn lacks what our connections need; the text is its name."""


def check_attributes(kind: str, holder: Any) -> None:
    """Look whether an object of uvicorn's has the attributes in the table.

    Raises:
        Missing: It lacks one.
    """
    for name in ATTRIBUTES[kind]:
        if not hasattr(holder, name):
            raise Missing(f"{kind}.{name}")


def check_methods(cls: type) -> None:
    """Look whether a class of uvicorn's has the methods in the table, and takes our arguments.

    Raises:
        Missing: It lacks one.
    """
    for name, count in METHODS[cls.__name__].items():
        method = getattr(cls, name, None)
        if method is None:
            raise Missing(f"{cls.__name__}.{name}()")
        try:
            inspect.signature(method).bind(None, *[None] * count)
        except TypeError as error:
            raise Missing(f"{cls.__name__}.{name}() with {count} arguments ({error})") from None


def check_protocol(cls: Any, config: Any) -> None:
    """Make a protocol object as uvicorn makes one for each connection, and look at it.

    Args:
        cls: ``HttpToolsProtocol`` or ``H11Protocol``.
        config: uvicorn's configuration.

    Raises:
        Missing: It lacks something that our connections need.
    """
    from uvicorn.server import ServerState

    check_methods(cls)
    state = ServerState()
    check_attributes("ServerState", state)
    loop = asyncio.get_running_loop()
    protocol = cls(config=config, server_state=state, app_state={}, _loop=loop)
    protocol.connection_made(asyncio.Transport())
    if cls.__name__ == "HttpToolsProtocol":
        protocol.on_message_begin()  # called by httptools, before anything of a request is there
    check_attributes(cls.__name__, protocol)
    check_attributes("FlowControl", protocol.flow)
    _check_cycle(inspect.getmodule(cls))


def _check_cycle(module: Any) -> None:
    """Look for the names that its constructor uses: an object would need a request."""
    cycle = getattr(module, "RequestResponseCycle", None)
    if cycle is None:
        raise Missing("RequestResponseCycle")
    names = cycle.__init__.__code__.co_names
    for name in ATTRIBUTES["RequestResponseCycle"]:
        if name not in names:
            raise Missing(f"RequestResponseCycle.{name}")


def check_proxy_headers(middleware: Any) -> None:
    """Look whether the middleware that believes proxies can be run by hand.

    Args:
        middleware: One whose application does nothing.

    Raises:
        Missing: It awaits more than the application that it wraps.
    """
    scope = {"type": "http", "client": ("127.0.0.1", 1), "headers": [], "scheme": "http"}
    call = middleware(scope, None, None)
    try:
        call.send(None)
    except StopIteration:
        return
    call.close()
    raise Missing("ProxyHeadersMiddleware.__call__() that awaits nothing of its own")


def check_access_log() -> None:
    """Look whether uvicorn's formatter of the access log writes the same lines as ours.

    Raises:
        Missing: It does not.
    """
    from uvicorn.logging import AccessFormatter

    from .access_log import FORMAT, MESSAGE, NAME, QuickAccessFormatter

    check_methods(AccessFormatter)
    formatter = AccessFormatter(FORMAT, use_colors=False)
    check_attributes("AccessFormatter", formatter)
    arguments = ("127.0.0.1:1", "GET", "/", "1.1", 200)
    record = logging.LogRecord(NAME, logging.INFO, "", 0, MESSAGE, arguments, None)
    if formatter.format(record) != QuickAccessFormatter(formatter).format(record):
        raise Missing("AccessFormatter.format() of the five arguments that we log")
