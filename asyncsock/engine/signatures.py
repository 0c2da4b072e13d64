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


def fit(handler: Callable[..., Any], count: int) -> Callable[..., Any]:
    """A function to call with ``count`` arguments, for a handler that takes all of them or all but the last.

    The signature decides, once: to call the handler and see would hide its own TypeErrors. Some signatures do
    not tell, such as that of a decorator's ``wrapper(*args)``; then the first call decides. The wrapped
    function does not take the last argument if a call with ``*args`` itself raises a TypeError, and the error
    has come through functions with ``*args`` only. The body of the wrapped function has not begun then: the
    handler is called again, and from then on, without the last argument.

    A handler that takes neither is returned as it is, so that calling it raises its own TypeError.
    """
    if not accepts(handler, count):
        return _without_last(handler, count) if accepts(handler, count - 1) else handler
    if _has_fixed_count(handler):
        return handler
    trying = _Trying(handler, count)
    if not inspect.iscoroutinefunction(handler):
        return trying

    async def call_coroutine(*args: Any) -> Any:
        return await trying(*args)

    return call_coroutine


def _without_last(handler: Callable[..., Any], count: int) -> Callable[..., Any]:
    if inspect.iscoroutinefunction(handler):

        async def call_coroutine(*args: Any) -> Any:
            return await handler(*args[: count - 1])

        return call_coroutine

    def call(*args: Any) -> Any:
        return handler(*args[: count - 1])

    return call


def _has_fixed_count(function: Callable[..., Any]) -> bool:
    """Whether a callable has a signature, and one without ``*args``."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return all(parameter.kind is not inspect.Parameter.VAR_POSITIONAL for parameter in parameters)


class _Trying:
    """Calls a handler with all arguments until one call shows that it does not take the last."""

    def __init__(self, handler: Callable[..., Any], count: int) -> None:
        self._handler = handler
        self._full_count = count
        self._count = count  # how many arguments it is called with

    def __repr__(self) -> str:
        return repr(self._handler)

    def __call__(self, *args: Any) -> Any:
        try:
            result = self._handler(*args[: self._count])
        except TypeError as error:
            return self._retry(error, args)
        return self._finish(result, args) if inspect.isawaitable(result) else result

    async def _finish(self, result: Awaitable[Any], args: tuple[Any, ...]) -> Any:
        try:
            return await result
        except TypeError as error:
            first = error
        result = self._retry(first, args)
        try:
            return await result if inspect.isawaitable(result) else result
        except TypeError as error:
            self._give_up_if_refused(error, first)
            raise

    def _retry(self, first: TypeError, args: tuple[Any, ...]) -> Any:
        if self._count < self._full_count or not _refused_arguments(first):
            raise first
        self._count = self._full_count - 1
        try:
            return self._handler(*args[: self._count])
        except TypeError as error:
            self._give_up_if_refused(error, first)
            raise

    def _give_up_if_refused(self, error: TypeError, first: TypeError) -> None:
        if _refused_arguments(error):
            self._count = self._full_count
            raise first from None


def _refused_arguments(error: TypeError) -> bool:
    """Whether a call with ``*args`` raised an error that came through functions with ``*args`` only."""
    trace = error.__traceback__
    assert trace is not None
    while trace.tb_next is not None:
        trace = trace.tb_next
        if not trace.tb_frame.f_code.co_flags & inspect.CO_VARARGS:
            return False
    return trace.tb_frame.f_code.co_code[trace.tb_lasti] == CALL_WITH_ARGS


# How alike two names have to be, as `difflib` measures it:
MISSPELT = 0.85  # to take the one for the other, misspelt
SIMILAR = 0.6  # to suggest the one for the other


def option_names(function: Callable[..., Any]) -> set[str]:
    """The names of the arguments that a callable takes by name."""
    by_name = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return {name for name, option in inspect.signature(function).parameters.items() if option.kind in by_name}


def nearest(name: str, known: Collection[str], alike: float = SIMILAR) -> str | None:
    """The known name that is most like another name, if one is at least ``alike``."""
    found = difflib.get_close_matches(name, sorted(known), 1, alike)
    return found[0] if found else None


def refuse_misspelt(owner: str, unknown: Collection[str], known: Collection[str]) -> None:
    """Refuse options whose names are misspelt names of known ones.

    Raises:
        TypeError: There is one.
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
