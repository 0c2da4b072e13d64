"""What a test finds in the log records that pytest has caught."""

from __future__ import annotations

import pytest


def recorded(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= level]


def errors(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The exceptions that were logged with their tracebacks."""
    return [repr(record.exc_info[1]) for record in caplog.records if record.exc_info]
