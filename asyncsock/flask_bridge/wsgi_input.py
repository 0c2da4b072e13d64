"""`wsgi.input`: a request's body, read by a view's thread as it arrives."""

from __future__ import annotations

import io
from collections.abc import Callable
from tempfile import SpooledTemporaryFile

from werkzeug.exceptions import ClientDisconnected as WerkzeugClientDisconnected

PART_SIZE = 64 * 1024
IN_MEMORY = 512 * 1024


class ClientDisconnected(WerkzeugClientDisconnected, OSError):
    """The client went away: an OSError for any WSGI application, and a 400 (no traceback) for Flask."""


class RequestBody(io.RawIOBase):
    """The raw stream below the `io.BufferedReader` that an application reads.

    Args:
        next_part: blocks until the next piece of the body is here, and returns it and whether it is the last.
            It raises ClientDisconnected if the client left before the end.
    """

    def __init__(self, next_part: Callable[[], tuple[bytes, bool]]) -> None:
        self._next_part = next_part
        self._part = memoryview(b"")
        self._spool: SpooledTemporaryFile[bytes] | None = None
        self._error: ClientDisconnected | None = None
        self._ended = False

    def buffered(self) -> io.BufferedReader:
        """The stream for `wsgi.input`: read(n) waits for n bytes or the end, as PEP 3333 has it."""
        return io.BufferedReader(self, PART_SIZE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override]
        if not self._part:
            self._part = memoryview(self._next())
        size = min(len(buffer), len(self._part))
        buffer[:size] = self._part[:size]
        self._part = self._part[size:]
        return size

    def readall(self) -> bytes:
        parts = [bytes(self._part)]
        self._part = memoryview(b"")
        while part := self._next():
            parts.append(part)
        return b"".join(parts)

    def prefetch(self, limit: int | None) -> None:
        """Fetch the rest of the body now, so that later reads need not wait.

        A small body is kept in memory, a larger one in a temporary file.

        Args:
            limit: stop fetching beyond this many bytes; None means no limit.
        """
        if self._ended or self._spool is not None:
            return
        spool: SpooledTemporaryFile[bytes] = SpooledTemporaryFile(max_size=IN_MEMORY)  # noqa: SIM115
        size = 0
        try:
            while part := self._next():
                spool.write(part)
                size += len(part)
                if limit is not None and size > limit:
                    break
        except ClientDisconnected as error:
            self._error = error  # raised when the application reads that far
        spool.seek(0)
        self._spool = spool

    def close(self) -> None:
        if self._spool is not None:
            self._spool.close()
        super().close()

    def _next(self) -> bytes:
        if self._spool is not None and (part := self._spool.read(PART_SIZE)):
            return part
        if self._error is not None:
            raise self._error
        if self._ended:
            return b""
        part, self._ended = self._next_part()
        return part
