"""What callables take: the arguments of handlers, and the names of options."""

from __future__ import annotations

import difflib
import dis
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import Any

CALL_WITH_ARGS = dis.opmap["CALL_FUNCTION_EX"]  # the instruction of ``function(*args)``


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


def fit(handler: Callable[..., Any], most: int) -> Callable[..., Any]:
    """A handler to be called with ``most`` arguments, for one that takes these or does without the last.

    The signature decides, once: to call it and see would hide the handler's own TypeErrors. Where it does not
    tell, as that of a decorator's ``wrapper(*args)``, the first call does: a TypeError that comes out of a
    call with ``*args`` itself, and has passed through nothing but functions with ``*args``, says that what
    they wrap does not take so many. Its body has not begun then, and from then on it is called with one less.

    A handler that takes neither is left as it is, so that calling it raises its own TypeError.
    """
    if not accepts(handler, most):
        return _without_last(handler, most) if accepts(handler, most - 1) else handler
    if _tells(handler):
        return handler
    trying = _Trying(handler, most)
    if not inspect.iscoroutinefunction(handler):
        return trying

    async def call_coroutine(*args: Any) -> Any:
        return await trying(*args)

    return call_coroutine


def _without_last(handler: Callable[..., Any], most: int) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(handler):

        async def call_coroutine(*args: Any) -> Any:
            return await handler(*args[: most - 1])

        return call_coroutine

    def call(*args: Any) -> Any:
        return handler(*args[: most - 1])

    return call


def _tells(function: Callable[..., Any]) -> bool:
    """Whether the signature of a callable tells how many arguments it takes."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(parameter.kind is not inspect.Parameter.VAR_POSITIONAL for parameter in parameters)


class _Trying:
    """Calls a handler with all arguments until one call shows that it does not take the last."""

    def __init__(self, handler: Callable[..., Any], most: int) -> None:
        self._handler = handler
        self._most = most
        self._count = most

    def __repr__(self) -> str:
        return repr(self._handler)

    def __call__(self, *args: Any) -> Any:
        try:
            result = self._handler(*args[: self._count])
        except TypeError as error:
            return self._once_more(error, args)
        return self._finish(result, args) if inspect.isawaitable(result) else result

    async def _finish(self, result: Awaitable[Any], args: tuple[Any, ...]) -> Any:
        try:
            return await result
        except TypeError as error:
            first = error
        result = self._once_more(first, args)
        try:
            return await result if inspect.isawaitable(result) else result
        except TypeError as error:
            self._give_up_if_refused(error, first)
            raise

    def _once_more(self, first: TypeError, args: tuple[Any, ...]) -> Any:
        if self._count < self._most or not _refused_arguments(first):
            raise first
        self._count = self._most - 1
        try:
            return self._handler(*args[: self._count])
        except TypeError as error:
            self._give_up_if_refused(error, first)
            raise

    def _give_up_if_refused(self, error: TypeError, first: TypeError) -> None:
        if _refused_arguments(error):
            self._count = self._most
            raise first from None


def _refused_arguments(error: TypeError) -> bool:
    """Whether an error, caught around a call, comes from a call with ``*args`` in it and not from a body."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
        if not trace.tb_frame.f_code.co_flags & inspect.CO_VARARGS:
            return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == CALL_WITH_ARGS


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
