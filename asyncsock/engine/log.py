"""The ``logger`` option, and what may stand in a line of the log."""

from __future__ import annotations

import logging

SHOWN = 100  # characters
_silenced: set[str] = set()  # the loggers whose level is ours


def shown(text: str) -> str:
    """A text from a client for a log line: its beginning, with what would break the line escaped."""
    return repr(text[:SHOWN])[1:-1]


def make_logger(name: str, option: bool | logging.Logger) -> logging.Logger:
    """The logger that an option means.

    The level of a named logger, where the program has set it, or that of one above it other than the root,
    holds; otherwise the option decides, whatever the level of the root logger.

    Args:
        name: Of the logger that True and False mean.
        option: A logger; True for the named one, showing INFO, on stderr if nothing else is configured; False
            for the named one, showing warnings and errors.
    """
    if not isinstance(option, bool):
        return option
    logger = logging.getLogger(name)
    if name in _silenced and logger.level != logging.WARNING:
        _silenced.discard(name)  # the program has set it since
    if option:
        if logger.level == logging.NOTSET or name in _silenced:
            _silenced.discard(name)
            logger.setLevel(logging.INFO)
            if not logger.hasHandlers():
                logger.addHandler(logging.StreamHandler())
    elif not _configured(logger):
        _silenced.add(name)
        logger.setLevel(logging.WARNING)
    return logger


def _configured(logger: logging.Logger) -> bool:
    """Whether the program has set the level of a logger, or of one above it other than the root."""
    above: logging.Logger | None = logger
    while above is not None and above is not logging.root:
        if above.level != logging.NOTSET:
            return True
        above = above.parent
    return False
