"""The option ``health``."""

from __future__ import annotations

from math import isfinite
from typing import Any, NamedTuple


class HealthOptions(NamedTuple):
    """Where and for how long others are told of a server's health.

    Attributes:
        path: The path at which it is answered; None for nowhere.
        drain: Seconds for which a server that is told to stop serves on, and is not ready.
    """

    path: str | None
    drain: float


def read_health(value: Any) -> HealthOptions:
    """Read a value of ``health``: None, a path, or a dictionary of both.

    Raises:
        TypeError: It is something else, or has an unknown key.
        ValueError: The path does not begin with a slash, or the time is no number of seconds.
    """
    options = {} if value is None else {"path": value} if isinstance(value, str) else value
    if not isinstance(options, dict) or not options.keys() <= {"path", "drain"}:
        raise TypeError(f"health={value!r:.100}: it is a path, or a dictionary of 'path' and 'drain'")
    path, drain = options.get("path"), options.get("drain", 0)
    if path is not None and (not isinstance(path, str) or not path.startswith("/") or path.endswith("/")):
        raise ValueError(f"health: path={path!r:.100} has to begin with a slash and not to end with one")
    is_number = isinstance(drain, int | float) and not isinstance(drain, bool)
    if not is_number or not isfinite(drain) or drain < 0:
        raise ValueError(f"health: drain={drain!r:.100} has to be a number of seconds, 0 or more")
    return HealthOptions(path, float(drain))
