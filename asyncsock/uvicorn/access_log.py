"""uvicorn's access log, faster: formatting a line took up to half of the time of a small request."""

from __future__ import annotations

import logging
import time
from functools import cached_property, lru_cache
from typing import Any

from uvicorn.config import LOGGING_CONFIG
from uvicorn.logging import AccessFormatter

from ..engine.log import printable
from .log_shortcut import Shortcut

NAME = "uvicorn.access"
MESSAGE = '%s - "%s %s HTTP/%s" %d'  # with the five arguments that uvicorn's formatter expects
FORMAT: str = LOGGING_CONFIG["formatters"]["access"]["fmt"]


class AccessLog:
    """Logs requests as uvicorn does: to the same logger, with the same message and arguments."""

    def __init__(self) -> None:
        self._logger = logging.getLogger(NAME)
        for handler in self._logger.handlers:
            if type(handler.formatter) is AccessFormatter and handler.formatter._fmt == FORMAT:
                handler.setFormatter(QuickAccessFormatter(handler.formatter))
        self._shortcut = Shortcut.find(self._logger, QuickAccessFormatter)
        self._first: logging.LogRecord | None = None  # made when it is needed: by the process that serves

    @cached_property
    def is_heard(self) -> bool:
        """Whether anything takes its lines; found out at the first request, as uvicorn does."""
        return self._logger.hasHandlers()

    def __call__(self, client: str, method: str, target: str, status: int) -> None:
        """Log a request of HTTP/1.1. All texts are printable.

        Args:
            client: The address and port of the client.
            method: The method.
            target: The path, quoted, and the query.
            status: The status of the answer.
        """
        self.info(MESSAGE, client, method, target, "1.1", status)

    def info(self, message: str, *arguments: object) -> None:
        """Log a request. Called by uvicorn too, whose objects have this in the place of the logger."""
        logger = self._logger
        if message != MESSAGE:
            logger.info(message, *arguments)
        elif logger.isEnabledFor(logging.INFO):
            is_usual = type(logger) is logging.Logger and logging.getLogRecordFactory() is logging.LogRecord
            if not is_usual:
                logger.handle(self._make_record(arguments))
            elif self._shortcut is None or not self._shortcut.is_open:
                logger.handle(self._like_first(arguments))
            else:
                self._write(self._shortcut, arguments)

    def _write(self, shortcut: Shortcut, arguments: tuple[object, ...]) -> None:
        handler = shortcut.handler
        try:
            shortcut.write(handler.formatter.line(shortcut.level, arguments))  # type: ignore[union-attr]
        except RecursionError:  # raised on, as by the handler
            raise
        except Exception:
            handler.handleError(self._like_first(arguments))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def _like_first(self, arguments: tuple[object, ...]) -> logging.LogRecord:
        """A record that differs from the first only in its arguments and its time.

        To find out the process, the thread and the name of the module takes most of the time of a new one.
        """
        first = self._first
        if first is None:
            first = self._first = self._make_record(arguments)
            if hasattr(first, "taskName"):  # since Python 3.12; most answers are written outside of tasks
                first.taskName = None
        record = logging.LogRecord.__new__(logging.LogRecord)
        record.__dict__.update(first.__dict__)
        record.args = arguments
        now = record.created = time.time()
        record.msecs = now % 1 * 1000 // 1
        record.relativeCreated += (now - first.created) * 1000
        return record

    def _make_record(self, arguments: tuple[object, ...]) -> logging.LogRecord:
        return self._logger.makeRecord(NAME, logging.INFO, __file__, 0, MESSAGE, arguments, None, "__call__")


class QuickAccessFormatter(AccessFormatter):
    """uvicorn's formatter for its default format: it does not copy the record.

    Args:
        formatter: The formatter that it replaces.
    """

    def __init__(self, formatter: AccessFormatter) -> None:
        self.__dict__.update(formatter.__dict__)
        self._line = lru_cache(maxsize=128)(self._make_line)

    def format(self, record: logging.LogRecord) -> str:
        arguments: Any = record.args
        if record.exc_info or record.stack_info or type(arguments) is not tuple or len(arguments) != 5:
            return super().format(record)
        return self.line(record.levelname, arguments)

    def line(self, level: str, arguments: tuple[Any, ...]) -> str:
        """The line of a record with these five arguments."""
        client, method, target, version, status = arguments
        if not client.isprintable():  # a proxy's header may name it
            client = printable(client)
        return self._line(level, self.use_colors, status) % (client, method, target, version)

    def _make_line(self, level: str, use_colors: bool, status: int) -> str:
        """The line of requests with a status, with places for the other four arguments."""
        arguments = ("%s", "%s", "%s", "%s", status)
        record = logging.LogRecord(NAME, logging.getLevelName(level), "", 0, MESSAGE, arguments, None)
        return super().format(record)
