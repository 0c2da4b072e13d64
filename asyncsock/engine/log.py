"""The ``logger`` option, and how text from clients is written in log lines."""

from __future__ import annotations

import logging

SHOWN = 100  # characters
_silenced: set[str] = set()  # names of the loggers that `make_logger` has set to WARNING


def shown(text: str) -> str:
    """The beginning of a text from a client, escaped so that it cannot break the log line."""
    return repr(text[:SHOWN])[1:-1]


def printable(text: str) -> str:
    """A text with escapes for line breaks, terminal codes, and what else would change how a line looks."""
    if text.isprintable():
        return text
    return "".join([char if char.isprintable() else repr(char)[1:-1] for char in text])


def make_logger(name: str, option: bool | logging.Logger) -> logging.Logger:
    """The logger that an option stands for.

    A level that the program has set on the named logger stays; with False, so does one that it has set on
    a parent other than the root. Otherwise the option decides.

    Args:
        name: The name of the logger that True and False stand for.
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
    """Whether the program has set the level of a logger, or of a parent other than the root."""
    above: logging.Logger | None = logger
    while above is not None and above is not logging.root:
        if above.level != logging.NOTSET:
            return True
        above = above.parent
    return False
