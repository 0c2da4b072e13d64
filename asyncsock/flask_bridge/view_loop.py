"""The server's event loop, as asgiref finds it in the thread of an async view."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from flask import has_request_context, request

from .wsgi_input import RequestBody


class Served(Protocol):
    """A request that a thread serves."""

    loop: asyncio.AbstractEventLoop
    body: RequestBody | None


class ViewLoop:
    """The server's event loop, on which asgiref runs an async view from the view's thread.

    An async view cannot wait for its request's body there, so the body is fetched before it starts.
    """

    def __init__(self, served: Served) -> None:
        self._served = served

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any) -> asyncio.Handle:
        if self._served.body is not None:
            _prefetch(self._served.body)
        return self._served.loop.call_soon_threadsafe(callback, *args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._served.loop, name)


def _prefetch(body: RequestBody) -> None:
    limit = None
    if has_request_context():
        limit = request.max_content_length
        if limit is not None and (request.content_length or 0) > limit:
            return  # Flask answers 413 when the view reads it
    body.prefetch(limit)
