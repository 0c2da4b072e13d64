"""How many arguments a handler takes, decided once from its signature."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


def accepts(function: Callable[..., Any], count: int) -> bool:
    """Whether a callable takes ``count`` positional arguments.

    A callable without a readable signature is taken to accept them.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count)
    except TypeError:
        return False
    return True


def trim(function: Callable[..., Any], most: int, least: int) -> int:
    """The number of positional arguments, from ``most`` down to ``least``, to call a handler with.

    A handler that takes none of them gets ``most``, so that calling it raises its own TypeError.
    """
    for count in range(most, least - 1, -1):
        if accepts(function, count):
            return count
    return most
