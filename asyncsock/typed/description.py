"""What clients and the server of an application say to each other, for documents about it."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Any, NoReturn, Union

from ..engine.awaitables import Sent
from ..types import Handler
from .annotations import handler_types
from .event_type import EventType
from .schemas import Schema, schemas_of

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


def describe(
    handlers: Iterable[tuple[str, Handler, str]],
    owners: Iterable[Any] = (),
    event_types: Iterable[EventType[Any]] = (),
    error_handler: Callable[[str], Handler | None] = lambda namespace: None,
    reserved: Collection[str] = (),
) -> Description:
    """Describe an application by the annotations of its handlers and what it declares to send.

    Args:
        handlers: The name of an event, its handler and the namespace. Of two for one event, the last counts.
        owners: Class-based namespaces, whose methods count where there is no handler.
        event_types: What the server sends.
        error_handler: The handler of errors in a namespace, if it has one. What that is annotated to return
            refuses an event.
        reserved: Names that no component may have.
    """
    registered: dict[str, _Registered] = {}
    for name, handler, namespace in handlers:
        registered.setdefault(namespace, _Registered()).handlers[name] = handler
    for owner in owners:
        registered.setdefault(owner.namespace, _Registered()).owner = owner
    for event_type in event_types:
        registered.setdefault(event_type.namespace, _Registered()).sent[event_type.name] = event_type
    places = _Places()
    names = sorted(registered, key=lambda name: name != "/")
    namespaces = [_describe(name, registered[name], error_handler(name), places) for name in names]
    return Description(tuple(namespaces), places.fill(reserved))


class _Registered:
    """What is registered for a namespace, by the names of events."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
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
    handlers = {**_methods(owner), **registered.handlers}
    error_handler = error_handler or getattr(owner, "error", None)
    refusals: tuple[Arguments, ...] = ()
    if error_handler is not None:
        refusals = _answers(handler_types(error_handler).answer, places) or ()
    auth, received = None, []
    for event, handler in handlers.items():
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
        received.append(Event(event, arguments, answers, refusals, _text(handler)))
    sent = [
        Event(event_type.name, _positional(event_type.types, places))
        for event_type in registered.sent.values()
    ]
    text = inspect.cleandoc(type(owner).__doc__ or "") if owner is not None else ""
    return NamespaceDescription(name, tuple(received), tuple(sent), auth, _ANY_EVENT in handlers, text)


def _methods(owner: Any) -> dict[str, Handler]:
    """The handlers of a class-based namespace by their events, in the order of their definition."""
    names = [name for cls in reversed(type(owner).__mro__) for name in vars(cls) if name.startswith("on_")]
    methods = {name.removeprefix("on_"): getattr(owner, name) for name in names}
    return {name: method for name, method in methods.items() if callable(method)}


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
        answers.insert(0, (Argument("answer", places.sent(Union[tuple(values)])),))  # noqa: UP007 - there is no other way
    return tuple(answers)


def _is(known: Any, base: type) -> bool:
    return isinstance(known, type) and issubclass(known, base)


def _positional(known: tuple[Any, ...], places: _Places) -> Arguments:
    """Arguments that the server sends, of the types of a tuple."""
    if len(known) == 2 and known[1] is Ellipsis:
        return (Argument("arguments", places.sent(known[0]), required=False, variadic=True),)
    names = ["data"] if len(known) == 1 else [f"data{number}" for number in range(1, len(known) + 1)]
    return tuple(Argument(name, places.sent(each)) for name, each in zip(names, known, strict=True))
