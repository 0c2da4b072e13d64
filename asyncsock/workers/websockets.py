"""WebSockets with clients of other workers, for sessions of this one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any

import msgspec

from ..engine.core import Core
from ..engine.endpoint import Endpoint
from ..engine.http import Request
from ..engine.subprotocol import HEADER as OFFER
from ..engine.subprotocol import offered
from ..uvicorn.websocket import Base64WebSocket, UvicornWebSocket


class Wanted(msgspec.Struct, array_like=True, gc=False):
    """A WebSocket that another worker was asked for."""

    sid: str
    key: bytes  # the Sec-WebSocket-Accept to answer with
    base64: bool
    offer: bytes  # of subprotocols


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Wanted).decode


def wanted(request: Request, sid: str, key: bytes) -> bytes:
    """What the owner of a session has to know of a request for a WebSocket."""
    return encode(Wanted(sid, key, request.wants_base64, request.headers.get(OFFER, b"")))


async def serve(
    connection: socket.socket, text: bytes, core: Core, endpoint: Endpoint, connections: set[Any]
) -> None:
    """Speak WebSocket on the connection of another worker, for one of its clients.

    Args:
        connection: The connection.
        text: What `wanted` has returned.
        core: What the sessions of this worker share.
        endpoint: Accepts or refuses the WebSocket.
        connections: The WebSockets that are open: it is one of them until it ends.

    Raises:
        ValueError: The text is malformed.
    """
    try:
        asked = decode(text)
    except msgspec.MsgspecError as error:  # which has not always been a ValueError
        raise ValueError(str(error)) from None
    if not asked.sid:
        raise ValueError("it asks for a WebSocket of no session")
    headers = {OFFER: asked.offer} if asked.offer else {}
    scope = {"path": "of another worker", "subprotocols": offered(list(headers.items()))}
    request = Request("GET", headers, b"EIO=4&transport=websocket", lambda: scope)
    request.query["sid"] = asked.sid
    kind = Base64WebSocket if asked.base64 else UvicornWebSocket

    def open_on(transport: asyncio.Transport) -> None:
        websocket = kind(core, transport, connections)
        transport.set_protocol(websocket)
        websocket.handshake(endpoint, request, asked.key)

    await asyncio.get_running_loop().connect_accepted_socket(lambda: Opening(open_on), connection)


class Opening(asyncio.Protocol):
    """A connection of another worker, until it has a WebSocket: before anything is read, or its end noticed.

    Args:
        open_on: Opens the WebSocket.
    """

    def __init__(self, open_on: Callable[[Any], None]) -> None:
        self._open_on = open_on

    def connection_made(self, transport: Any) -> None:
        self._open_on(transport)
