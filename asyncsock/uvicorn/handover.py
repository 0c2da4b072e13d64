"""Connections of uvicorn's that change to another worker between two requests, or before an answer."""

from __future__ import annotations

import asyncio
from typing import Any

from ..engine.elsewhere import Owner
from ..engine.http import Headers
from .heads import lines_of


def hand_over(http: Any, worker: Owner, request: bytes) -> bool:
    """Hand a connection over to another worker.

    Args:
        http: uvicorn's protocol object. Nothing has arrived that it has not read, and it owes no answer but
            that to the request.
        worker: Who gets it.
        request: A request that has been read and is to be answered there, or nothing.

    Returns:
        Whether it was handed over. If not, nothing has changed.
    """
    transport: asyncio.Transport = http.transport
    if http.scheme != "http" or transport.is_closing() or transport.get_write_buffer_size():
        return False
    if not worker.take_connection(transport.get_extra_info("socket").fileno(), request):
        return False
    http.connections.discard(http)
    http._unset_keepalive_if_required()
    transport.set_protocol(asyncio.Protocol())
    transport.abort()  # of this worker's descriptor: the connection goes on at the other
    return True


def written(method: str, target: bytes, headers: Headers) -> bytes:
    """A request without a body, as it is written."""
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines_of(headers))


class Adopted(asyncio.Protocol):
    """A connection that another worker has handed over, until its protocol object has it.

    Args:
        http: uvicorn's protocol object for it.
        request: What that has to read first.
    """

    def __init__(self, http: Any, request: bytes) -> None:
        self._http = http
        self._request = request

    def connection_made(self, transport: Any) -> None:
        transport.set_protocol(self._http)
        self._http.connection_made(transport)
        if self._request:
            self._http.data_received(self._request)
