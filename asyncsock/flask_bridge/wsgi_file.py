"""`wsgi.file_wrapper`: a file as the body of a response."""

from __future__ import annotations

import io
import os
import stat
from typing import IO

from werkzeug import wsgi as werkzeug_wsgi

FILE_CHUNK = 256 * 1024
PLAIN_FILES = (io.BufferedReader, io.FileIO)  # others may decode what is in the file


class FileWrapper(werkzeug_wsgi.FileWrapper):
    """A file in chunks, large because each is a trip to the event loop."""

    def __init__(self, file: IO[bytes], buffer_size: int = 0) -> None:
        super().__init__(file, max(buffer_size, FILE_CHUNK))

    def part(self, count: int) -> tuple[int, int, int] | None:
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
