"""How many log lines clients may cause."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Hashable
from contextlib import suppress
from types import CodeType

PERIOD = 10.0  # seconds
LINES = 10  # in a period, about one session
LINES_OF_ADDRESS = 1000  # in a period, about one address, which many clients may have
LINES_OF_ERROR = 100  # in a period, about errors that one line of code has raised


class LogLines:
    """Decides which lines are logged, and logs how many were left out.

    Args:
        what: What it counts, as the line with the number says it.

    Attributes:
        logger: Where the number is logged.
    """

    def __init__(self, logger: logging.Logger, what: str = "log lines that clients caused") -> None:
        self.logger = logger
        self._what = what
        self._counts: Counter[Hashable] = Counter()
        self._end = 0.0  # of this period
        self._left_out = 0

    def allow(self, subject: Hashable, most: int = LINES) -> bool:
        """Whether to log another line.

        Args:
            subject: What the line is about.
            most: Lines about it in a period.
        """
        if time.monotonic() >= self._end:
            self._begin()
        self._counts[subject] += 1
        if self._counts[subject] <= most:
            return True
        self._left_out += 1
        if self._left_out == 1:
            with suppress(RuntimeError):  # no event loop runs here: the next line brings the number
                asyncio.get_running_loop().call_later(PERIOD, self._begin)
        return False

    def allow_error(self, error: BaseException) -> bool:
        """Whether to tell of another error: the same line of code has not raised too many lately."""
        return self.allow(_place_of(error), LINES_OF_ERROR)

    def error(self, text: str, error: BaseException, *args: object) -> None:
        """Log an error with its traceback, unless the same line of code has raised too many lately."""
        if self.allow_error(error):
            self.logger.error(text, *args, exc_info=error)

    def _begin(self) -> None:
        if self._left_out:
            self.logger.warning("%d more %s were left out", self._left_out, self._what)
        self._left_out = 0
        self._counts.clear()
        self._end = time.monotonic() + PERIOD


def _place_of(error: BaseException) -> tuple[type[BaseException], CodeType | None, int]:
    """The class of an error and the line of code that has raised it."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return (type(error), trace.tb_frame.f_code, trace.tb_lineno) if trace else (type(error), None, 0)
