"""What a handler takes and returns, as its annotations say."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..types import Handler

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Parameter:
    """What a handler takes at one position.

    Attributes:
        name: As the handler calls it.
        type: Its annotation, resolved; ``Any`` without one.
        required: Whether the handler cannot be called without it.
        variadic: Whether it is ``*name``, which takes any number of arguments of this type.
    """

    name: str
    type: Any
    required: bool
    variadic: bool


@dataclass(frozen=True)
class HandlerTypes:
    """The types of a handler.

    Attributes:
        parameters: What it takes from the client, in order. A variadic one is last.
        answer: What it returns: the annotation, resolved; ``Any`` without one, ``NoneType`` for None.
        unresolved: Why annotations of parameters are not resolved, which then are ``Any``.
    """

    parameters: tuple[Parameter, ...]
    answer: Any
    unresolved: tuple[str, ...] = ()


class UnknownAnnotation(TypeError):
    """An annotation that names what cannot be found when the program runs."""


def handler_types(handler: Handler, leading: int = 0, *, strict: bool = False) -> HandlerTypes:
    """Read the annotations of a handler.

    The handler may be a coroutine function or a function, a bound method, a `functools.partial`, an object
    that is called, or what a decorator made of one of these with `functools.wraps`.

    Args:
        handler: The handler.
        leading: How many of its first parameters do not come from the client, such as the sid. The ``self``
            of a bound method is none of its parameters.
        strict: Whether to raise an error for an annotation that cannot be resolved. Otherwise it is ``Any``.

    Raises:
        UnknownAnnotation: An annotation cannot be resolved.
    """
    try:
        signature = _signature_of(handler)
    except (TypeError, ValueError):  # a builtin, which does not tell
        return HandlerTypes((Parameter("args", Any, False, True),), Any)
    resolver = _Resolver(handler, strict)
    parameters = []
    left_out = leading
    for parameter in signature.parameters.values():
        variadic = parameter.kind is inspect.Parameter.VAR_POSITIONAL
        if not variadic and parameter.kind not in _POSITIONAL:
            continue
        if left_out and not variadic:
            left_out -= 1
            continue
        kind = resolver.resolve(parameter.annotation, repr(parameter.name))
        required = not variadic and parameter.default is inspect.Parameter.empty
        parameters.append(Parameter(parameter.name, kind, required, variadic))
    unresolved = tuple(resolver.unresolved)
    return HandlerTypes(
        tuple(parameters), resolver.resolve(signature.return_annotation, "its result"), unresolved
    )


def name_of(handler: Handler) -> str:
    """The name of the function that a handler is or calls."""
    function = _innermost(handler)
    return str(getattr(function, "__qualname__", None) or repr(function))


def place_of(handler: Handler) -> tuple[str, int]:
    """The file of the function that a handler is or calls, and the number of its first line."""
    code = getattr(_innermost(handler), "__code__", None)
    return (code.co_filename, code.co_firstlineno) if code else ("<unknown>", 0)


def _signature_of(handler: Handler) -> inspect.Signature:
    if sys.version_info >= (3, 14):  # where annotations are evaluated when somebody asks for them
        import annotationlib

        return inspect.signature(handler, annotation_format=annotationlib.Format.FORWARDREF)
    return inspect.signature(handler)


def _innermost(handler: Handler) -> Any:
    """The function whose annotations `inspect.signature` shows for a handler."""
    function: Any = handler
    while True:
        if isinstance(function, (functools.partial, functools.partialmethod)):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif isinstance(function, (types.FunctionType, types.BuiltinFunctionType, type)):
            return function
        elif isinstance(call := getattr(type(function), "__call__", None), types.FunctionType):  # noqa: B004
            function = call
        else:
            return function


class _Resolver:
    """Finds what the names in the annotations of a handler stand for.

    Attributes:
        unresolved: What was not found, and is ``Any``.
    """

    def __init__(self, handler: Handler, strict: bool) -> None:
        self.unresolved: list[str] = []
        self._handler = handler
        self._strict = strict
        function = _innermost(handler)
        self._globals: dict[str, Any] = getattr(function, "__globals__", {})
        self._scopes: list[Mapping[str, Any]] = [{}]
        if isinstance(function, types.FunctionType):
            self._scopes = [_enclosing(function)]
        owner = getattr(handler, "__self__", None)
        if owner is not None:
            self._scopes += [vars(each) for each in type(owner).__mro__[:-1]]

    def resolve(self, annotation: Any, whose: str) -> Any:
        if annotation is inspect.Signature.empty:
            return Any
        why: Exception | None = None
        for scope in self._scopes:
            try:
                return _evaluate(annotation, self._globals, scope)
            except Exception as error:  # whatever the evaluation of a text may raise
                why = why or error
        text = (
            f"{name_of(self._handler)}(): the annotation {annotation!r} of {whose} is not resolved: {why}. "
            "What it names has to be known in the handler's module by then: imported, and not only under "
            "TYPE_CHECKING, and not defined in a function"
        )
        if self._strict:
            raise UnknownAnnotation(text)
        self.unresolved.append(text)
        return Any


def _enclosing(function: types.FunctionType) -> dict[str, Any]:
    """The variables of enclosing functions that a function uses."""
    found = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # it is not set yet
            pass
    return found


def _evaluate(annotation: Any, names: dict[str, Any], scope: Mapping[str, Any]) -> Any:
    def holder() -> None:
        """It has the annotation and no default value, which on Python 3.10 would change it."""

    holder.__annotations__ = {"it": annotation}
    found = typing.get_type_hints(holder, names, dict(scope), include_extras=True)["it"]
    while type(found).__name__ == "TypeAliasType":  # of typing, or of typing_extensions
        found = found.__value__
    return found
