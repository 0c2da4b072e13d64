"""A WebSocket over plain ASGI for a session of another process, which speaks WebSocket on a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.uri import parse_uri
from websockets.utils import accept_key

from ..elsewhere import Owner
from ..http import HTTPError, Message, Receive, Request, Send, unknown_session

READ = 65_536  # bytes
SERVICE_RESTART = 1012


class Tunnel:
    """The WebSocket that the owner of a session speaks with this process.

    Args:
        owner: That process.
        sid: The session.
        request: The client's request for a WebSocket.
    """

    def __init__(self, owner: Owner, sid: str, request: Request) -> None:
        self._protocol = ClientProtocol(parse_uri("ws://owner/"), max_size=None)
        asked = self._protocol.connect()
        self._protocol.send_request(asked)
        self._protocol.data_to_send()  # the owner needs nothing of it but the key
        self._key = accept_key(asked.headers["Sec-WebSocket-Key"]).encode()
        self._owner, self._sid, self._request = owner, sid, request
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def open(self) -> None:
        """Have the owner accept the WebSocket.

        Raises:
            HTTPError: It refuses, or is not there.
        """
        try:
            connection = self._owner.open_websocket(self._request, self._sid, self._key)
            self._reader, self._writer = await asyncio.open_unix_connection(sock=connection)
        except OSError:
            raise unknown_session() from None
        try:
            await self._accepted()
        except BaseException:
            self.close()
            raise

    async def _accepted(self) -> None:
        response: Any = None
        while response is None:
            if not await self._read():
                raise unknown_session()
            for response in self._protocol.events_received():
                if response.status_code != 101:
                    raise HTTPError(response.status_code, "Bad request", logged=True)

    async def run(self, receive: Receive, send: Send) -> None:
        """Pass messages on, until the client or the owner closes."""
        tasks = [
            asyncio.ensure_future(self._to_owner(receive)),
            asyncio.ensure_future(self._to_client(send)),
        ]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            self.close()
            await asyncio.gather(*tasks, return_exceptions=True)  # one of the two has left

    def close(self) -> None:
        """Drop the connection to the owner."""
        self._writer.close()

    async def _read(self) -> bool:
        """Read from the owner; return False if it has closed."""
        try:
            data = await self._reader.read(READ)
        except OSError:
            data = b""
        if data:
            self._protocol.receive_data(data)
        return bool(data)

    async def _to_owner(self, receive: Receive) -> None:
        while (message := await receive())["type"] != "websocket.disconnect":
            text = message.get("text")
            if text is None:
                self._protocol.send_binary(message["bytes"])
            else:
                self._protocol.send_text(text.encode())
            for data in self._protocol.data_to_send():
                self._writer.write(data)
            await self._writer.drain()

    async def _to_client(self, send: Send) -> None:
        while True:
            for frame in self._protocol.events_received():
                assert isinstance(frame, Frame)
                await send(_message(frame))
                if frame.opcode is Opcode.CLOSE:
                    return
            if not await self._read():
                await send({"type": "websocket.close", "code": SERVICE_RESTART})
                return


def _message(frame: Frame) -> Message:
    if frame.opcode is Opcode.TEXT:
        return {"type": "websocket.send", "text": str(frame.data, "utf-8")}
    if frame.opcode is Opcode.BINARY:
        return {"type": "websocket.send", "bytes": bytes(frame.data)}
    return {"type": "websocket.close", "code": int.from_bytes(frame.data[:2], "big") or 1000}
