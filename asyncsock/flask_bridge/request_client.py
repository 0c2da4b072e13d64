"""The client of a request, on the event loop: what comes of the body, and whether the client has left."""

from __future__ import annotations

import asyncio

from ..engine.http import Receive
from .wsgi_input import PART_SIZE, ClientDisconnected


class RequestClient:
    """Receives what a client sends for one request.

    Args:
        receive: The request's, as ASGI has it.

    Attributes:
        body_begun: Whether any of the body has been read.
        body_ended: Whether all of it has come, or what still comes is dropped.
        gone: Whether the client has left.
    """

    def __init__(self, receive: Receive) -> None:
        self.body_begun = False
        self.body_ended = False
        self.gone = False
        self._receive = receive
        self._part = b""  # has come, and is not read yet
        self._part_came: asyncio.Event | None = None
        self._watching: asyncio.Task[None] | None = None

    async def next_part(self) -> tuple[bytes, bool]:
        """The next piece of the body, and whether it is the last.

        Raises:
            ClientDisconnected: The client left before the end.
        """
        self.body_begun = True
        while not (self._part or self.body_ended or self.gone):
            if self._watching is None or self._watching.done():
                await self._receive_part()
            else:
                self._part_came = asyncio.Event()
                await self._part_came.wait()
        part, self._part = self._part, b""
        if not part and not self.body_ended:
            raise ClientDisconnected()
        return part, self.body_ended

    def may_receive(self) -> bool:
        """Whether to look for more: the client is there, and no unread part of its body is in the way."""
        return not self.gone and (self.body_ended or len(self._part) < PART_SIZE)

    def watch(self) -> asyncio.Task[None] | None:
        """Notice from now on that the client leaves, in a task that ends then, if it may be looked for."""
        if self.may_receive() and (self._watching is None or self._watching.done()):
            self._watching = asyncio.get_running_loop().create_task(self._receive_all())
        return self._watching

    def stop(self) -> None:
        """Look no more whether the client leaves."""
        if self._watching is not None:
            self._watching.cancel()

    async def _receive_all(self) -> None:
        try:
            while self.may_receive():
                await self._receive_part()
                self._tell_reader()
        except Exception:
            self.gone = True
            self._tell_reader()

    async def _receive_part(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self.gone = True
        elif not self.body_ended:
            self._part += message.get("body", b"")
            self.body_ended = not message.get("more_body", False)

    def _tell_reader(self) -> None:
        if self._part_came is not None:
            self._part_came.set()
