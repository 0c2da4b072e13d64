"""Serving the engine straight on uvicorn's connections, without ASGI.

uvicorn makes a protocol object for each connection; its configuration names the class. If that is one of
uvicorn's default classes, and the application is ours and not wrapped, `install` has it make one of ours
instead, which reads plain requests for the engine itself (plain_connection.py). With any other request the
connection gets an object of a subclass of uvicorn's, which serves the engine's requests too and leaves all
others to uvicorn's code. A WebSocket then needs no task and no queue, and a broadcast's one frame is written
to each socket. With httptools (httptools.py), a poll needs neither as well; with h11 (h11.py), polls go
through ASGI.

This uses uvicorn's private names. If one of those in probe.py is missing, nothing is installed; if our class
fails on a connection, new connections get uvicorn's class again.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ..engine.http import ASGI, Scope, Send
from ..engine.server import EngineServer
from ..engine.tested_versions import range_of
from .heads import ProxyHeaders
from .installation import Installation
from .probe import (
    Missing,
    check_access_log,
    check_attributes,
    check_methods,
    check_protocol,
    check_proxy_headers,
)
from .signals import server_that_signals_stop
from .whole_request import Begin

FRAMING = (b"connection", b"content-length", b"transfer-encoding")  # response headers that frame the body


def install(
    engine: EngineServer,
    app: ASGI,
    send: Send,
    owns: Callable[[Scope], bool],
    find_begin: Callable[[Scope], Begin | None],
) -> str:
    """Install our connections if the server that started `app` is a uvicorn that they fit.

    Never raises: if a uvicorn should fit and does not, there is one warning.

    Args:
        engine: The server to connect sessions to.
        app: The ASGI application that was started.
        send: The ``send`` of its lifespan.
        owns: Whether a scope belongs to the engine.
        find_begin: What begins to answer a request that does not, without ASGI, or None; by its scope.

    Returns:
        How requests are served from now on, in words.
    """
    try:
        return _install(engine, app, send, owns, find_begin)
    except Exception as error:
        lack = f"has no {error}" if isinstance(error, Missing) else f"does not fit: {error!r}"
        engine.logger.warning(
            "this uvicorn %s. WebSockets and polls are served through plain ASGI, which takes more time (%s)",
            lack,
            range_of("uvicorn"),
        )
        return "plain ASGI (this uvicorn is not supported)"


def _install(
    engine: EngineServer,
    app: ASGI,
    send: Send,
    owns: Callable[[Scope], bool],
    find_begin: Callable[[Scope], Begin | None],
) -> str:
    lifespan: Any = getattr(send, "__self__", send)
    if not _is_uvicorns(lifespan):
        return "plain ASGI (the server is not uvicorn)"
    check_attributes("LifespanOn", lifespan)
    config: Any = lifespan.config
    check_attributes("Config", config)

    from uvicorn import __version__
    from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

    served: Any = config.loaded_app
    believes = type(served) is ProxyHeadersMiddleware
    if believes:
        check_attributes("ProxyHeadersMiddleware", served)
    engine.core.proxies.trusted = served.trusted_hosts if believes else frozenset()
    if config.ws_protocol_class is not WebSocketsSansIOProtocol:
        if config.ws == "auto" and _is_uvicorns(config.ws_protocol_class):
            raise Missing("WebSocketsSansIOProtocol as its default")
        return "plain ASGI (uvicorn's default WebSocket class is not in use)"
    if any(name.lower() in FRAMING for name, _ in config.encoded_headers):
        return "plain ASGI (uvicorn was given headers that frame responses)"
    uvicorn_class = config.http_protocol_class
    connection_class = _connection_class(uvicorn_class)
    if connection_class is None:
        return "plain ASGI (none of uvicorn's default HTTP classes is in use)"
    proxy_headers: Any = None
    if believes:
        check_methods(ProxyHeadersMiddleware)
        proxy_headers = copy.copy(served)
        proxy_headers.app = _nothing
        check_proxy_headers(proxy_headers)
        served = served.app
    if served is not app:
        return "plain ASGI (the application is wrapped)"
    check_protocol(uvicorn_class, config)
    check_access_log()

    from .access_log import AccessLog
    from .plain_connection import PlainConnection

    installation = Installation(
        engine,
        owns,
        find_begin,
        ProxyHeaders(proxy_headers),
        AccessLog(),
        config,
        PlainConnection,
        connection_class,
    )
    config.http_protocol_class = installation.protocol
    server = server_that_signals_stop()
    if server is not None and server.config is config:
        installation.serve_others(config=config, server_state=server.server_state, app_state=lifespan.state)
    if config.timeout_graceful_shutdown is not None:
        engine.set_shutdown_grace(float(config.timeout_graceful_shutdown))
    polling = "" if hasattr(connection_class, "answer") else ", but polling through ASGI"
    return f"direct (uvicorn {__version__}){polling}"


def _is_uvicorns(thing: Any) -> bool:
    """Whether a class, a function or an object comes from uvicorn."""
    module = getattr(thing, "__module__", None) or ""
    return f"{module}.".startswith("uvicorn.")


def _connection_class(http_class: Any) -> Any:
    """Our subclass of one of uvicorn's HTTP protocol classes, if there is one."""
    # Imported when needed, because uvicorn can be installed without httptools.
    module = getattr(http_class, "__module__", "")
    if module == "uvicorn.protocols.http.httptools_impl":
        from .httptools import HTTPToolsConnection

        return HTTPToolsConnection if http_class is HTTPToolsConnection.__base__ else None
    if module == "uvicorn.protocols.http.h11_impl":
        from .h11 import H11Connection

        return H11Connection if http_class is H11Connection.__base__ else None
    return None


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass
