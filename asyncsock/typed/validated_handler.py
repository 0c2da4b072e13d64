"""Handlers that are called only with what they take."""

from __future__ import annotations

import functools
import inspect
import typing
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from typing import Any

from ..types import Handler
from .annotations import HandlerTypes, Parameter, handler_types, name_of, place_of
from .invalid_payload import InvalidPayload
from .pydantic_types import Misfit
from .validation import Arguments, Outgoing, Unchecked, holds, is_model

CONNECT, DISCONNECT = "connect", "disconnect"
_warned: dict[Any, Any] = {}  # so that the same is not said again
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
    for why in types.unresolved:
        text = f"{why}. What clients send there is not checked; validate=False says that this is meant"
        warnings.warn_explicit(text, UserWarning, *place_of(handler), registry=_warned)
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
        return (*args[:leading], *convert(name, args[leading:]))

    return _wrapped(handler, converted if leading else functools.partial(convert, event), answer)


def of_same_kind(handler: Handler, function: Handler) -> Handler:
    """What `validated` has returned as a coroutine function, if the handler is one: for callers that ask."""
    if function is handler or not inspect.iscoroutinefunction(handler):
        return function

    @functools.wraps(function)
    async def call(*args: Any) -> Any:
        return await function(*args)

    return call


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
        return (*args[:leading], *_converted_auth(arguments, given[0]))

    return _wrapped(handler, converted, None)


def _converted_auth(arguments: Arguments, auth: Any) -> tuple[Any, ...]:
    try:
        return arguments.convert(CONNECT, (auth,))
    except InvalidPayload as error:
        refused = error
    if auth is None:  # which is also what python-socketio makes of an empty object
        with suppress(InvalidPayload):
            return arguments.convert(CONNECT, ({},))
    raise InvalidPayload(CONNECT, refused.path.replace("[0]", "", 1), refused.message)


def _wrapped(
    handler: Handler, converted: Callable[[tuple[Any, ...]], tuple[Any, ...]], answer: Outgoing | None
) -> Handler:
    """A function around a handler. It is no coroutine function: it returns what a coroutine handler makes."""

    @functools.wraps(handler)
    def call(*args: Any) -> Any:
        return handler(*converted(args))

    if answer is None:
        return call

    async def checked_later(awaitable: Awaitable[Any]) -> Any:
        result = await awaitable
        _check_answer(handler, answer, result)
        return result

    @functools.wraps(handler)
    def call_and_check(*args: Any) -> Any:
        result = handler(*converted(args))
        if hasattr(type(result), "__await__"):
            return checked_later(result)
        _check_answer(handler, answer, result)
        return result

    return call_and_check


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
