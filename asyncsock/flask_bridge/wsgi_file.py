"""Files as bodies of responses: `wsgi.file_wrapper`, and how a thread sends a large one."""

from __future__ import annotations

import io
import os
import stat
from collections.abc import Iterable
from typing import IO, TypeAlias

from werkzeug import wsgi as werkzeug_wsgi

from ..uvicorn.file_sending import LentSocket, Unread
from .wsgi_input import ClientDisconnected
from .wsgi_response import Response, lines, logger

FILE_CHUNK = 256 * 1024
Part: TypeAlias = tuple[int, int, int]  # a file's descriptor, an offset, and a count of bytes
PLAIN_FILES = (io.BufferedReader, io.FileIO)  # others may decode what is in the file


class FileWrapper(werkzeug_wsgi.FileWrapper):
    """A file in chunks, large because each is a trip to the event loop."""

    def __init__(self, file: IO[bytes], buffer_size: int = 0) -> None:
        super().__init__(file, max(buffer_size, FILE_CHUNK))

    def part(self, count: int) -> Part | None:
        """The next bytes of the file as the system sees them.

        Args:
            count: How many.

        Returns:
            The file's descriptor, the offset, and `count`; None if it is no regular file with as many.
        """
        file = self.file
        if type(file) not in PLAIN_FILES or type(getattr(file, "raw", file)) is not io.FileIO:
            return None
        descriptor, offset = file.fileno(), file.tell()
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_size - offset < count:
            return None
        return descriptor, offset, count


def large_part(response: Response, result: Iterable[bytes]) -> Part | None:
    """The part of a file that is the body of a response, if that is large and the system can send it."""
    if type(result) is not FileWrapper or response.unsent <= FILE_CHUNK:
        return None
    return result.part(response.unsent)


def send_part(lent: LentSocket, part: Part, request: object) -> None:
    """Send a part of a file to a socket, and close that.

    Args:
        lent: The socket.
        part: The part.
        request: What a log line calls the request.

    Raises:
        ClientDisconnected: The client has left, or does not read.
        EOFError: The file has become shorter.
    """
    try:
        lent.send(*part)
    except Unread as error:
        if lines.allow("unread files"):
            logger.warning("The client of %s was cut off: %s", request, error)
        raise ClientDisconnected() from None
    except (ConnectionError, TimeoutError):
        raise ClientDisconnected() from None
    finally:
        lent.close()
