"""Files as answers to HTTP requests, sent in pieces: a download takes a few of them of the memory."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import suppress
from typing import BinaryIO

from .engine.http import Headers, Message, Receive, Send
from .engine.log import printable
from .engine.log_lines import LogLines

PIECE = 64 * 1024  # bytes that are read and sent at once
logger = logging.getLogger("asyncsock.server")
lines = LogLines(logger)


class HeadOnly:
    """A ``send`` for the answer to a HEAD request: it leaves out the body.

    Args:
        send: The ASGI server's.
    """

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


async def send_file(path: str, content_type: str, receive: Receive, send: Send) -> None:
    """Answer with a file, as fast as the client takes it, and stop when the client has left.

    The answer has the length that the file has when it is opened. If less can be read, the answer is left
    incomplete, for which the ASGI server breaks off the connection: nothing else can tell the client.

    Args:
        path: The file.
        content_type: The header of that name.
        receive: Of the request.
        send: Of the request; with a `HeadOnly` no part of the file is read.

    Raises:
        OSError: The file cannot be opened.
    """
    file, size = await asyncio.to_thread(_open, path)
    gone = asyncio.ensure_future(_until_gone(receive))
    left = 0 if isinstance(send, HeadOnly) else size
    headers: Headers = [
        (b"content-type", content_type.encode()),
        (b"content-length", str(size).encode()),
    ]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if not left:
            await send({"type": "http.response.body", "body": b""})
        while left and not gone.done():
            piece = await asyncio.to_thread(_read, file, min(PIECE, left))
            if not piece:
                return
            left -= len(piece)
            await send({"type": "http.response.body", "body": piece, "more_body": left > 0})
    except OSError:
        pass  # the client has left
    finally:
        gone.cancel()
        file.close()


def _open(path: str) -> tuple[BinaryIO, int]:
    file = open(path, "rb")  # noqa: SIM115 - the caller closes it
    return file, os.fstat(file.fileno()).st_size


def _read(file: BinaryIO, most: int) -> bytes:
    """A piece of a file; nothing, and a log line, if there is none."""
    why: object = "it became shorter meanwhile"
    try:
        if piece := file.read(most):
            return piece
    except OSError as error:
        why = error
    if lines.allow(file.name):
        logger.error("%s could not be sent to its end: %s", printable(file.name), why)
    return b""


async def _until_gone(receive: Receive) -> None:
    with suppress(Exception):  # of a server whose client has left
        while (await receive())["type"] != "http.disconnect":
            pass
