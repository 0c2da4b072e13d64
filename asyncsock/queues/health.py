"""Whether a queue's connections are up. Each change is logged once."""

from __future__ import annotations

import logging
import time
from typing import Any
from urllib.parse import urlsplit

from ..codec.not_encodable import NotEncodable
from ..engine.log import printable
from ..engine.log_lines import LogLines

LINE = 300  # characters of an error that are logged
IGNORED_INTERVAL = 60.0  # seconds at least between two log lines about messages that were ignored
logger = logging.getLogger("asyncsock.queues")
lines = LogLines(logger)


class Health:
    """The state of the connections to a broker.

    Args:
        url: The broker; shown without its password.
    """

    def __init__(self, url: str) -> None:
        self.name = without_password(url)
        self.last_error: Exception | None = None
        self._up: dict[str, bool] = {}
        self._lost_at: float | None = None
        self._outages = 0
        self._seconds_out = 0.0  # of those that are over
        self._ignored = 0  # messages since the last line about them
        self._ignored_line_at = -IGNORED_INTERVAL

    def expect(self, connection: str) -> None:
        """Note a connection that is to be made."""
        self._up[connection] = False

    def is_up(self, connection: str) -> bool:
        """Whether a connection is usable."""
        return self._up.get(connection, False)

    def set_up(self, connection: str) -> None:
        """Note that a connection is usable."""
        self._up[connection] = True
        if self._lost_at is not None and all(self._up.values()):
            seconds = self._seconds_lost()
            self._seconds_out += seconds
            self._lost_at = self.last_error = None
            logger.warning("message queue %s is back after %.1f s", self.name, seconds)

    def set_down(self, connection: str, error: Exception) -> None:
        """Note that a connection was lost, or could not be made."""
        self._up[connection] = False
        self.last_error = error
        if self._lost_at is None:
            self._lost_at = time.monotonic()
            self._outages += 1
            logger.warning(
                "message queue %s is not reachable (%s): trying again until it is",
                self.name,
                describe(error),
            )

    def ignored(self, error: Exception) -> None:
        """Count a message that was ignored, and log that at most once per `IGNORED_INTERVAL`.

        Args:
            error: Why it was ignored. The traceback is logged too, unless the message itself is bad
                (`ValueError`, `NotEncodable`).
        """
        self._ignored += 1
        now = time.monotonic()
        if now < self._ignored_line_at + IGNORED_INTERVAL:
            return
        others = f" (and {self._ignored - 1} before it)" if self._ignored > 1 else ""
        self._ignored_line_at, self._ignored = now, 0
        traceback = None if isinstance(error, (ValueError, NotEncodable)) else error
        why = describe(error)[:LINE]
        logger.warning(
            "message queue %s: a message was ignored%s: %s", self.name, others, why, exc_info=traceback
        )

    def report(self) -> dict[str, Any]:
        """The state, for `asyncsock.AsyncServer.queue_health`."""
        return {
            "queue": self.name,
            **self._up,
            "seconds_lost": self._seconds_lost(),
            "outages": self._outages,
            "seconds_out": self._seconds_out + self._seconds_lost(),
            "last_error": None if self.last_error is None else describe(self.last_error),
        }

    def _seconds_lost(self) -> float:
        return 0.0 if self._lost_at is None else time.monotonic() - self._lost_at


def describe(error: Exception) -> str:
    """An error in one line."""
    return printable(f"{type(error).__name__}: {error}".split("\n")[0].rstrip(": "))


def without_password(url: str) -> str:
    """A URL as it may be logged."""
    parts = urlsplit(url)
    user, at, host = parts.netloc.rpartition("@")
    return f"{parts.scheme}://{user.partition(':')[0]}{at}{host}{parts.path}"
