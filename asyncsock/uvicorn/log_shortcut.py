"""The shortcut from a logger to the stream of its handler."""

from __future__ import annotations

import logging
from typing import Any


class Shortcut:
    """Writes lines as logging would, where one handler alone gets them and does what it always does.

    No record is made, on which logging spends most of the time that a line takes. As all of logging can be
    changed at any time, `is_open` is asked before each line.

    Args:
        logger: The logger.
        handler: Its only handler.

    Attributes:
        handler: The same.
        level: The name of the level of the lines.
    """

    @classmethod
    def find(cls, logger: logging.Logger, formatter: type[logging.Formatter]) -> Shortcut | None:
        """The shortcut of a logger whose only handler has a formatter of a class; None if it has no such."""
        for handler in logger.handlers:
            if type(handler) is logging.StreamHandler and type(handler.formatter) is formatter:
                shortcut = cls(logger, handler)
                return shortcut if shortcut.is_open and shortcut.is_unchanged else None
        return None

    def __init__(self, logger: logging.Logger, handler: logging.StreamHandler[Any]) -> None:
        self.handler = handler
        self.level = logging.getLevelName(logging.INFO)
        self._logger = logger
        self._stream = handler.stream
        self._formatter = handler.formatter
        self._steps = self._find_steps()

    def _find_steps(self) -> tuple[Any, ...]:
        """What logging calls for a record, from first to last."""
        logger, handler = self._logger, self.handler
        return logger.handle, logger.callHandlers, handler.handle, handler.emit, handler.format, handler.flush

    @property
    def is_unchanged(self) -> bool:
        """Whether these are logging's own functions, and the stream is one that they flush."""
        ours = [getattr(step, "__globals__", None) is vars(logging) for step in self._steps]
        return all(ours) and hasattr(self._stream, "flush")

    @property
    def is_open(self) -> bool:
        """Whether logging would do nothing else with a line than `write` does."""
        logger, handler = self._logger, self.handler
        return (
            logger.handlers == [handler]
            and not (logger.propagate or logger.filters or handler.filters)
            and handler.level <= logging.INFO
            and handler.formatter is self._formatter
            and handler.stream is self._stream
            and self._find_steps() == self._steps
        )

    def write(self, line: str) -> None:
        """Write a line at once: if it waited, it would be lost if the process were killed meanwhile.

        Raises:
            Exception: The stream raised it.
        """
        with self.handler.lock:  # type: ignore[union-attr]
            self._stream.write(line + self.handler.terminator)
            self._stream.flush()
