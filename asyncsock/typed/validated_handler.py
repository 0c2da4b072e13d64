"""Handlers that are called only with what they take."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from ..types import Handler
from .annotations import HandlerTypes, Parameter, handler_types, name_of
from .invalid_payload import InvalidPayload
from .pydantic_types import Misfit
from .validation import Arguments, Outgoing, Unchecked, holds, is_model

CONNECT, DISCONNECT = "connect", "disconnect"
_NO_ANSWERS = (Any, typing.NoReturn, getattr(typing, "Never", typing.NoReturn))


def validated(
    handler: Handler, event: str, leading: int = 0, validate: bool | None = None, *, any_event: bool = False
) -> Handler:
    """What to register in place of a handler, so that it gets what its annotations say.

    Args:
        handler: The handler.
        event: The name of its event.
        leading: How many arguments before those of the client it gets.
        validate: Whether all its annotations are checked; None for those with a class for data only.
        any_event: Whether the first argument is the name of the event.

    Returns:
        The handler itself, if there is nothing to check.

    Raises:
        TypeError: An annotation that is to be checked cannot be resolved, or nothing can be compared with it.
    """
    if validate is False or event == DISCONNECT:  # the reason comes from the server
        return handler
    types = handler_types(handler, leading, strict=bool(validate))
    try:
        if event == CONNECT:
            return _validated_connect(handler, types, leading, bool(validate))
        parameters = _checked(types, bool(validate))
        if parameters is None:
            return handler
        arguments = Arguments(parameters)
        answer = Outgoing([types.answer]) if validate and _is_answer(types.answer) else None
    except Unchecked as error:
        raise TypeError(
            f"{name_of(handler)}() cannot be validated: {error}. validate=False leaves it out"
        ) from None
    convert = arguments.convert

    def converted(args: tuple[Any, ...]) -> tuple[Any, ...]:
        name = args[0] if any_event else event
        return (*args[:leading], *convert(name, args[leading:])) if leading else convert(name, args)

    def checked(result: Any) -> Any:
        if answer is not None:
            _check_answer(handler, answer, result)
        return result

    return _wrapped(handler, converted, checked)


def methods_of(owner: Any) -> Iterator[tuple[str, Handler]]:
    """The methods of a class-based namespace that handle events, by the names of these."""
    for name in dir(owner):
        method = getattr(owner, name, None) if name.startswith("on_") else None
        if callable(method):
            yield name.removeprefix("on_"), method


def validate_option(owner: Any, default: bool | None) -> bool | None:
    """The attribute ``validate`` of a class-based namespace, or else the default."""
    own = getattr(owner, "validate", None)
    return own if isinstance(own, bool) else default


def _checked(types: HandlerTypes, every: bool) -> tuple[Parameter, ...] | None:
    """The parameters of a handler, with ``Any`` for those that are not checked; None if there is no check."""
    if every:
        return types.parameters
    if not any(holds(each.type, is_model) for each in types.parameters):
        return None
    return tuple(
        [
            each if holds(each.type, is_model) else Parameter(each.name, Any, each.required, each.variadic)
            for each in types.parameters
        ]
    )


def _validated_connect(handler: Handler, types: HandlerTypes, leading: int, every: bool) -> Handler:
    """The same for a connect handler: its only argument, which it need not take, is ``auth``."""
    parameters = _checked(types, every)
    if not parameters:
        return handler
    auth = parameters[0]
    arguments = Arguments([Parameter(auth.name, auth.type, True, False)])

    def converted(args: tuple[Any, ...]) -> tuple[Any, ...]:
        given = args[leading:]
        if not given or (given[0] is None and not auth.required):
            return args[:leading]
        try:
            return (*args[:leading], *arguments.convert(CONNECT, given))
        except InvalidPayload as error:
            path = error.path.replace("[0]", "", 1)
            raise InvalidPayload(CONNECT, path, error.message) from None

    return _wrapped(handler, converted, lambda result: result)


def _wrapped(
    handler: Handler,
    converted: Callable[[tuple[Any, ...]], tuple[Any, ...]],
    checked: Callable[[Any], Any],
) -> Handler:
    if _is_coroutine(handler):

        @functools.wraps(handler)
        async def call_coroutine(*args: Any) -> Any:
            return checked(await handler(*converted(args)))

        return call_coroutine

    async def checked_later(result: Any) -> Any:
        return checked(await result)

    @functools.wraps(handler)
    def call(*args: Any) -> Any:
        result = handler(*converted(args))
        return checked_later(result) if hasattr(type(result), "__await__") else checked(result)

    return call


def _is_coroutine(handler: Handler) -> bool:
    return inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(
        getattr(handler, "__call__", None)  # noqa: B004 - the method itself is asked about
    )


def _is_answer(kind: Any) -> bool:
    """Whether a handler that returns this is acknowledged with it: not with what it returns to be awaited."""
    kind = typing.get_origin(kind) or kind
    awaitable = isinstance(kind, type) and issubclass(kind, Awaitable)
    return kind not in _NO_ANSWERS and not awaitable


def _check_answer(handler: Handler, answer: Outgoing, result: Any) -> None:
    try:
        answer.check([result])
    except Misfit as misfit:
        path = misfit.path.replace("[0]", "$", 1) or "$"
        text = f"{name_of(handler)}() returned what its annotation does not allow: {misfit.message} at {path}"
        raise TypeError(text) from None
