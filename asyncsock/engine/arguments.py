"""What callables take: the arguments of handlers, and the names of options."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Collection
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


MISSPELT = 0.85  # how alike (`difflib`) two names are of which one is meant to be the other
SIMILAR = 0.6


def option_names(function: Callable[..., Any]) -> set[str]:
    """The names of the arguments that a callable takes by name."""
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name for name, option in inspect.signature(function).parameters.items() if option.kind in by_name}


def nearest(name: str, known: Collection[str], alike: float = SIMILAR) -> str | None:
    """The option whose name is the most like another name, if one is like it at all."""
    found = difflib.get_close_matches(name, sorted(known), 1, alike)
    return found[0] if found else None


def refuse_misspelt(owner: str, unknown: Collection[str], known: Collection[str]) -> None:
    """Refuse options that are known ones misspelt.

    Raises:
        TypeError: One is.
    """
    for name in sorted(unknown):
        meant = nearest(name, known, MISSPELT)
        if meant is not None:
            raise TypeError(f"{owner}() has no option {name!r}: it is called {meant!r}")


def refuse_unknown(owner: str, unknown: Collection[str], known: Collection[str]) -> None:
    """Refuse all options that are not known.

    Raises:
        TypeError: There is one.
    """
    refuse_misspelt(owner, unknown, known)
    for name in sorted(unknown):
        similar = nearest(name, known)
        raise TypeError(
            f"{owner}() has no option {name!r}{f': the nearest is {similar!r}' if similar else ''}"
        )
