"""The ``logger`` option, and what may stand in a line of the log."""

from __future__ import annotations

import logging

SHOWN = 100  # characters


def shown(text: str) -> str:
    """A text from a client for a log line: its beginning, with what would break the line escaped."""
    return repr(text[:SHOWN])[1:-1]


def make_logger(name: str, option: bool | logging.Logger) -> logging.Logger:
    """The logger that an option means.

    Args:
        name: Of the logger that True and False mean.
        option: A logger; True for the named one, showing INFO on stderr; False for the named one as it
            is configured, where Python shows warnings and errors by default.
    """
    if not isinstance(option, bool):
        return option
    logger = logging.getLogger(name)
    if option and logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
        if not logger.hasHandlers():
            logger.addHandler(logging.StreamHandler())
    return logger
