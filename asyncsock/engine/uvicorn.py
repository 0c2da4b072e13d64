"""The direct door: Engine.IO WebSockets spoken straight on uvicorn's connections, without ASGI between.

uvicorn hands a connection that asks for a WebSocket to a protocol class named in its configuration.
Where that is its default one and the application it serves is ours and nothing else, `install` puts
ours there. It needs no task and no queue per connection, and writes a broadcast's one frame to each
transport. WebSockets on other paths are handed on to uvicorn's own class.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from .direct import DirectWebSocket
from .http import ASGI, Request, Scope, Send

if TYPE_CHECKING:
    from .server import EngineServer


def install(engine: EngineServer, app: ASGI, send: Send, owns: Callable[[Scope], bool]) -> str:
    """Install the direct door if the server that started `app` is a uvicorn that it fits.

    Args:
        engine: The server to connect sessions to.
        app: The ASGI application that was started.
        send: The ``send`` of its lifespan.
        owns: Whether a scope belongs to the engine.

    Returns:
        Which door is in use, in words.
    """
    config = getattr(getattr(send, "__self__", None), "config", None)
    try:
        from uvicorn import __version__
        from uvicorn.config import Config
        from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
        from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    except ImportError:
        return "plain ASGI (no suitable uvicorn)"
    if not isinstance(config, Config):
        return "plain ASGI (the server is not uvicorn)"
    if config.ws_protocol_class is not WebSocketsSansIOProtocol:
        return "plain ASGI (uvicorn's default WebSocket class is not in use)"
    proxy_headers: ProxyHeadersMiddleware | None = None
    served: Any = config.loaded_app
    if type(served) is ProxyHeadersMiddleware:
        proxy_headers = copy.copy(served)
        proxy_headers.app = _nothing
        served = served.app
    if served is not app:
        return "plain ASGI (the application is wrapped)"
    door = DirectDoor(engine, config, owns, proxy_headers, WebSocketsSansIOProtocol)
    config.ws_protocol_class = door.protocol  # type: ignore[assignment]
    if config.timeout_graceful_shutdown is not None:
        engine.shutdown_grace = float(config.timeout_graceful_shutdown)
    return f"direct (uvicorn {__version__})"


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    pass


class DirectDoor:
    """What the connections of one uvicorn server share."""

    def __init__(
        self,
        engine: EngineServer,
        config: Any,
        owns: Callable[[Scope], bool],
        proxy_headers: Any,
        fallback: Callable[..., asyncio.Protocol],
    ) -> None:
        self.engine = engine
        self._config = config
        self._owns = owns
        self._proxy_headers = proxy_headers
        self._fallback = fallback

    def protocol(
        self, config: Any, server_state: Any, app_state: dict[str, Any], **_: Any
    ) -> asyncio.Protocol:
        """Make the protocol of one connection, as uvicorn calls its WebSocket class."""
        return DirectWebSocket(self, server_state, app_state)

    def request(self, data: bytes, transport: asyncio.Transport, state: dict[str, Any]) -> Request | None:
        """An upgrade request as uvicorn passes it on; None if it is not for the engine."""
        method, path, query, lines = _split(data)
        root_path: str = self._config.root_path
        if not self._owns({"root_path": root_path, "path": root_path + unquote(path.decode("latin-1"))}):
            return None
        ssl = transport.get_extra_info("sslcontext")
        server, client = transport.get_extra_info("sockname"), transport.get_extra_info("peername")
        make_scope = partial(DirectDoor._scope, self, data, ssl, server, client, state)
        return Request(method, [line.split(b": ", 1) for line in lines], query, make_scope)

    def _scope(self, data: bytes, ssl: Any, server: Any, client: Any, state: dict[str, Any]) -> Scope:
        method, path, query, lines = _split(data)
        root_path: str = self._config.root_path
        scope: Scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": method,
            "scheme": "wss" if ssl is not None else "ws",
            "server": _address(server),
            "client": _address(client),
            "root_path": root_path,
            "path": root_path + unquote(path.decode("latin-1")),
            "raw_path": root_path.encode() + path,
            "query_string": query,
            "headers": [(name, value) for name, _, value in [line.partition(b": ") for line in lines]],
            "subprotocols": [],
            "state": state.copy(),
        }
        if self._proxy_headers is not None:
            # uvicorn's own middleware, run by hand: it awaits nothing but the application it wraps.
            try:
                self._proxy_headers(scope, None, None).send(None)
            except StopIteration:
                pass
        return scope

    def hand_over(
        self, state: Any, app_state: dict[str, Any], transport: asyncio.Transport, data: bytes
    ) -> asyncio.Protocol:
        """Let uvicorn's own class serve a connection, and return the protocol that does."""
        protocol: Any = self._fallback(config=self._config, server_state=state, app_state=app_state)
        protocol.connection_made(transport)
        protocol.data_received(data)
        # uvicorn sets its choice once this returns; nothing is read before the next tick.
        asyncio.get_running_loop().call_soon(transport.set_protocol, protocol)
        return cast("asyncio.Protocol", protocol)


def _split(data: bytes) -> tuple[str, bytes, bytes, list[bytes]]:
    """The method, path, query and header lines of a request."""
    first, *lines = data[:-4].split(b"\r\n")
    method, target, _ = first.split(b" ")
    path, _, query = target.partition(b"?")
    return method.decode("latin-1"), path, query, lines


def _address(info: Any) -> tuple[str, int] | None:
    if isinstance(info, (tuple, list)) and len(info) >= 2:
        return str(info[0]), int(info[1])
    return None
