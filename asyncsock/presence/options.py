"""The option ``presence``."""

from __future__ import annotations

from math import isfinite
from typing import Any


def read_leave_after(value: Any) -> float:
    """The ``leave_after`` of a value of ``presence``.

    Args:
        value: A dictionary, or None for the default.

    Raises:
        TypeError: It is something else, or has an unknown key.
        ValueError: It is not a number of seconds.
    """
    if value is None:
        return 0
    if not isinstance(value, dict) or not value.keys() <= {"leave_after"}:
        raise TypeError(f"presence={value!r:.100}: it is a dictionary of 'leave_after'")
    seconds = value.get("leave_after", 0)
    is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
    if not is_number or not isfinite(seconds) or seconds < 0:
        raise ValueError(f"presence: leave_after={seconds!r:.100} has to be a number of seconds, 0 or more")
    return float(seconds)
