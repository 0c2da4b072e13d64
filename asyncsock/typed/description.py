"""What clients and the server of an application say to each other, for documents about it."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Literal, NoReturn, Union

import msgspec

from ..engine.awaitables import Sent
from ..types import Handler
from .annotations import HandlerTypes, handler_types
from .event_type import EventType
from .schemas import Schema, schemas_of
from .validated_handler import validate_option
from .validation import holds, is_model

_ANY_EVENT = "*"
_RESERVED = ("connect", "disconnect")
_UNIONS = (Union, types.UnionType)


@dataclass(frozen=True)
class Argument:
    """An argument of an event or of an acknowledgement.

    Attributes:
        name: What the program calls it.
        schema: Its JSON Schema; an empty one for any value.
        required: Whether it is always there.
        variadic: Whether it stands for any number of arguments. Such a one is the last.
    """

    name: str
    schema: Schema
    required: bool = True
    variadic: bool = False


Arguments = tuple[Argument, ...]


@dataclass(frozen=True)
class Event:
    """An event that clients or the server send.

    Attributes:
        name: Its name.
        arguments: What is sent with it.
        answers: What it is acknowledged with, in one way or another: none for what the server sends, None if
            that is not known.
        refusals: What it is acknowledged with instead when there was an error.
        text: The docstring of its handler.
    """

    name: str
    arguments: Arguments
    answers: tuple[Arguments, ...] | None = ()
    refusals: tuple[Arguments, ...] = ()
    text: str = ""


@dataclass(frozen=True)
class NamespaceDescription:
    """What is said in a namespace.

    Attributes:
        name: Its name; ``'*'`` for those that have no handlers of their own.
        received: The events that clients send, in the order of their registration.
        sent: The events that the server sends, in the order of their declaration.
        auth: The schema of what clients connect with; None if that is not known.
        any_event: Whether there is a handler of events of any name.
        text: The docstring of its class.
    """

    name: str
    received: tuple[Event, ...]
    sent: tuple[Event, ...]
    auth: Schema | None
    any_event: bool
    text: str


@dataclass(frozen=True)
class Description:
    """An application.

    Attributes:
        namespaces: ``'/'``, and the others in the order of their registration.
        components: The schemas of the classes, by their names.
    """

    namespaces: tuple[NamespaceDescription, ...]
    components: dict[str, Schema]


class InvalidPayloadDetails(msgspec.Struct):
    """What does not fit: the place in the list of the arguments, and why."""

    code: Literal["invalid_payload"]
    path: str
    message: str


class InvalidPayload(msgspec.Struct):
    """The acknowledgement of an event whose arguments do not fit."""

    error: InvalidPayloadDetails


def describe(
    handlers: Iterable[tuple[str, Handler, str]],
    owners: Iterable[Any] = (),
    event_types: Iterable[EventType[Any]] = (),
    error_handler: Callable[[str], Handler | None] = lambda namespace: None,
    validations: Iterable[bool | None] = (),
    validate: bool = False,
    reserved: Collection[str] = (),
) -> Description:
    """Describe an application by the annotations of its handlers and what it declares to send.

    Args:
        handlers: The name of an event, its handler and the namespace. Of two for one event, the last counts.
        owners: Class-based namespaces, whose methods count where there is no handler.
        event_types: What the server sends.
        error_handler: The handler of errors in a namespace, if it has one. What that is annotated to return
            refuses an event.
        validations: Whether the arguments of each handler are checked; None for the default.
        validate: The default: all of them, or those that are classes for data.
        reserved: Names that no component may have.
    """
    registered: dict[str, _Registered] = {}
    for (name, handler, namespace), own in zip_longest(handlers, validations):
        checks = own if own is not None else validate or None
        registered.setdefault(namespace, _Registered()).handlers[name] = handler, checks
    for owner in owners:
        of_owner = registered.setdefault(owner.namespace, _Registered())
        checks = validate_option(owner, validate or None)
        of_owner.owner = owner
        of_owner.handlers = {**{name: (each, checks) for name, each in _methods(owner)}, **of_owner.handlers}
    for event_type in event_types:
        registered.setdefault(event_type.namespace, _Registered()).sent[event_type.name] = event_type
    places = _Places()
    names = sorted(registered, key=lambda name: name != "/")
    namespaces = [_describe(name, registered[name], error_handler(name), places) for name in names]
    return Description(tuple(namespaces), places.fill(reserved))


class _Registered:
    """What is registered for a namespace, by the names of events."""

    def __init__(self) -> None:
        self.handlers: dict[str, tuple[Handler, bool | None]] = {}  # and whether arguments are checked
        self.owner: Any = None
        self.sent: dict[str, EventType[Any]] = {}


class _Places:
    """The places for schemas, which are filled at once: the names of components depend on all of them."""

    def __init__(self) -> None:
        self._received: list[tuple[Any, Schema]] = []
        self._sent: list[tuple[Any, Schema]] = []

    def received(self, known: Any) -> Schema:
        """The place for the schema of a type that clients send."""
        self._received.append((known, {}))
        return self._received[-1][1]

    def sent(self, known: Any) -> Schema:
        """The place for the schema of a type that the server sends."""
        self._sent.append((known, {}))
        return self._sent[-1][1]

    def fill(self, reserved: Collection[str]) -> dict[str, Schema]:
        """Fill the places, and return the components."""
        received, sent, components = schemas_of(
            [known for known, _ in self._received], [known for known, _ in self._sent], reserved
        )
        places = [place for _, place in (*self._received, *self._sent)]
        for place, schema in zip(places, [*received, *sent], strict=True):
            place.update(schema)
        return components


def _describe(
    name: str, registered: _Registered, error_handler: Handler | None, places: _Places
) -> NamespaceDescription:
    owner = registered.owner
    error_handler = error_handler or getattr(owner, "error", None)
    auth, received = None, []
    for event, (handler, checks) in registered.handlers.items():
        found = handler_types(handler)
        if event == "connect" and found.parameters and found.parameters[0].type is not Any:
            auth = places.received(found.parameters[0].type)
        if event in (*_RESERVED, _ANY_EVENT):
            continue
        arguments = tuple(
            Argument(each.name, places.received(each.type), each.required, each.variadic)
            for each in found.parameters
        )
        answers = _answers(found.answer, places)
        refusals = _refusals(error_handler, _is_checked(found, checks), places)
        received.append(Event(event, arguments, answers, refusals, _text(handler)))
    sent = [
        Event(event_type.name, _positional(event_type.types, places))
        for event_type in registered.sent.values()
    ]
    text = inspect.cleandoc(type(owner).__doc__ or "") if owner is not None else ""
    any_event = _ANY_EVENT in registered.handlers
    return NamespaceDescription(name, tuple(received), tuple(sent), auth, any_event, text)


def _is_checked(found: HandlerTypes, checks: bool | None) -> bool:
    """Whether arguments that do not fit are refused, as `validated_handler.validated` does."""
    return checks is True or (checks is None and any(holds(each.type, is_model) for each in found.parameters))


def _refusals(error_handler: Handler | None, is_checked: bool, places: _Places) -> tuple[Arguments, ...]:
    """What an event may be acknowledged with when there was an error."""
    of_checks = ((Argument("answer", places.sent(InvalidPayload)),),) if is_checked else ()
    if error_handler is None:
        return of_checks
    returned = _answers(handler_types(error_handler).answer, places)
    if returned is None:
        return ()  # it may be anything
    return (*filter(None, returned), *(of_checks if () in returned else ()))


def _methods(owner: Any) -> Iterator[tuple[str, Handler]]:
    """The handlers of a class-based namespace and their events, in the order of their definition."""
    names = [name for cls in reversed(type(owner).__mro__) for name in vars(cls) if name.startswith("on_")]
    for name in dict.fromkeys(names):
        if callable(method := getattr(owner, name)):
            yield name.removeprefix("on_"), method


def _text(handler: Handler) -> str:
    return inspect.getdoc(handler) or "" if inspect.isroutine(handler) else ""


def _answers(known: Any, places: _Places) -> tuple[Arguments, ...] | None:
    """The ways to acknowledge an event with a result of a type; None if they are not known.

    None is no argument, and a tuple stands for several.
    """
    answers: list[Arguments] = []
    values = []
    for member in typing.get_args(known) if typing.get_origin(known) in _UNIONS else (known,):
        origin = typing.get_origin(member) or member
        if origin in (Any, tuple) and member is origin:
            return None
        if member in (type(None), NoReturn) or _is(origin, Sent):
            answers.append(())
        elif _is(origin, Awaitable):  # which is awaited for the result
            return _answers((typing.get_args(member) or (Any,))[-1], places)
        elif origin is tuple:
            answers.append(_positional(typing.get_args(member), places))
        elif _is(member, tuple):
            fields = typing.get_type_hints(member, include_extras=True)
            answers.append(tuple(Argument(name, places.sent(fields[name])) for name in fields))
        else:
            values.append(member)
    if values:
        # One alone may be what no type is, such as a text or a list.
        value = values[0] if len(values) == 1 else Union[tuple(values)]  # noqa: UP007 - there is no other way
        answers.insert(0, (Argument("answer", places.sent(value)),))
    return tuple(answers)


def _is(known: Any, base: type) -> bool:
    return isinstance(known, type) and issubclass(known, base)


def _positional(known: tuple[Any, ...], places: _Places) -> Arguments:
    """Arguments that the server sends, of the types of a tuple."""
    if len(known) == 2 and known[1] is Ellipsis:
        return (Argument("arguments", places.sent(known[0]), required=False, variadic=True),)
    names = ["data"] if len(known) == 1 else [f"data{number}" for number in range(1, len(known) + 1)]
    return tuple(Argument(name, places.sent(each)) for name, each in zip(names, known, strict=True))
