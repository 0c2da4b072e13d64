"""What arrives in a handler of what a client sends, by the annotation."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import sys
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypedDict, TypeVar, Union

import attrs
import msgspec
import pytest

from asyncsock import InvalidPayload
from asyncsock.typed.validated_handler import validated

if sys.version_info >= (3, 12):
    from typing import TypeAliasType
else:
    from typing_extensions import TypeAliasType

T = TypeVar("T")


class Struct(msgspec.Struct):
    text: str
    times: int = 1


class Tree(msgspec.Struct):
    inside: list[Tree] = []


class Renamed(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    first_name: str


class Photo(msgspec.Struct):
    data: bytes


class Page(msgspec.Struct, Generic[T]):
    items: list[T]


class Left(msgspec.Struct, tag=True):
    x: int


class Right(msgspec.Struct, tag=True):
    x: int


@dataclasses.dataclass
class Record:
    text: str

    def __post_init__(self) -> None:
        if self.text == "bad":
            raise ValueError("bad text")


@attrs.define
class Attrs:
    text: str
    side: str = attrs.field(default="left", validator=attrs.validators.in_(["left", "right"]))


class Even(msgspec.Struct):
    number: int

    def __post_init__(self) -> None:
        if self.number % 2:
            raise msgspec.ValidationError("an odd number")


class Typed(TypedDict, total=False):
    text: str


class Point(NamedTuple):
    x: int
    y: int


class Color(enum.Enum):
    RED = "red"


UserId = NewType("UserId", int)
Named = NewType("Named", Struct)
Alias = TypeAliasType("Alias", Optional[Struct])  # noqa: UP045
Recursive = TypeAliasType("Recursive", "int | list[Recursive]")
AN_ID = uuid.UUID("12345678123456781234567812345678")
NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)
DEEP = {"inside": [{"inside": [{"inside": 1}]}]}


class Refused(NamedTuple):
    """Where something does not fit, and why."""

    path: str
    message: str


# What is checked always: annotation, what is sent, what arrives.
ALWAYS: list[tuple[Any, Any, Any]] = [
    (Struct, {"text": "a"}, Struct("a")),
    (Struct, {"text": "a", "times": 2, "more": None}, Struct("a", 2)),
    (Struct, {"text": 1}, Refused("$[0].text", "Expected `str`, got `int`")),
    (Struct, {}, Refused("$[0]", "Object missing required field `text`")),
    (Struct, None, Refused("$[0]", "Expected `object`, got `null`")),
    (Struct, [], Refused("$[0]", "Expected `object`, got `array`")),
    (Optional[Struct], None, None),  # noqa: UP045
    (Optional[Struct], {"text": "a"}, Struct("a")),  # noqa: UP045
    (list[Struct], [{"text": "a"}], [Struct("a")]),
    (list[Struct], [{"text": "a"}, {"text": 1}], Refused("$[0][1].text", "Expected `str`, got `int`")),
    (dict[str, Struct], {"k": {"text": 1}}, Refused("$[0][...].text", "Expected `str`, got `int`")),
    (Tree, DEEP, Refused("$[0].inside[0].inside[0].inside", "Expected `array`, got `int`")),
    (Renamed, {"firstName": "a"}, Renamed("a")),
    (Renamed, {"first_name": "a"}, Refused("$[0]", "Object contains unknown field `first_name`")),
    (Photo, {"data": b"\0"}, Photo(b"\0")),
    (Photo, {"data": "AA=="}, Refused("$[0].data", "Expected `bytes`, got `str`")),
    (Page[int], {"items": [1]}, Page([1])),
    (Page[int], {"items": ["a"]}, Refused("$[0].items[0]", "Expected `int`, got `str`")),
    (Union[Left, Right], {"type": "Right", "x": 1}, Right(1)),  # noqa: UP007
    (Union[Left, Right], {"type": "Up", "x": 1}, Refused("$[0].type", "Invalid value 'Up'")),  # noqa: UP007
    (Record, {"text": "a"}, Record("a")),
    (Record, {"text": 1}, Refused("$[0].text", "Expected `str`, got `int`")),
    (Record, {"text": "bad"}, Refused("$[0]", "bad text")),
    (Attrs, {"text": "a"}, Attrs("a")),
    (Attrs, {"text": 1}, Refused("$[0].text", "Expected `str`, got `int`")),
    (
        Attrs,
        {"text": "a", "side": "up"},
        Refused("$[0]", "'side' must be in ['left', 'right'] (got 'up')"),
    ),
    (Even, {"number": 1}, Refused("$", "an odd number")),
    (Named, {"text": "a"}, Struct("a")),
    (list[Named], [{"text": 1}], Refused("$[0][0].text", "Expected `str`, got `int`")),
    (Alias, None, None),
    (Alias, {"text": "a"}, Struct("a")),
    (Alias, {"text": 1}, Refused("$[0].text", "Expected `str`, got `int`")),
]
if sys.version_info >= (3, 12):  # before that, msgspec does not know aliases
    ALWAYS.append((list[Alias], [{"text": 1}], Refused("$[0][0].text", "Expected `str`, got `int`")))
# What is checked with validate=True.
ON_DEMAND: list[tuple[Any, Any, Any]] = [
    (Any, {"a": [object]}, {"a": [object]}),
    (object, {"a": 1}, {"a": 1}),
    (int, 1, 1),
    (int, 2**70, 2**70),
    (int, True, Refused("$[0]", "Expected `int`, got `bool`")),
    (int, 1.5, Refused("$[0]", "Expected `int`, got `float`")),
    (int, "1", Refused("$[0]", "Expected `int`, got `str`")),
    (float, 1, 1.0),
    (bool, 1, Refused("$[0]", "Expected `bool`, got `int`")),
    (str, "a", "a"),
    (str, 1, Refused("$[0]", "Expected `str`, got `int`")),
    (bytes, b"\0", b"\0"),
    (bytes, "AA==", Refused("$[0]", "Expected `bytes`, got `str`")),
    (bytearray, b"\0", bytearray(b"\0")),
    (None, None, None),
    (None, 1, Refused("$[0]", "Expected `null`, got `int`")),
    (list[str], ["a"], ["a"]),
    (list[str], ["a", 1], Refused("$[0][1]", "Expected `str`, got `int`")),
    (tuple[int, str], [1, "a"], (1, "a")),
    (set[int], [1, 1], {1}),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (dict[int, int], {"1": 1}, {1: 1}),
    (dict[int, int], {"a": 1}, Refused("$[0]", "Expected `int`, got `str` for a key")),
    (Literal["a", "b"], "b", "b"),
    (Literal["a", "b"], "c", Refused("$[0]", "Invalid enum value 'c'")),
    (Color, "red", Color.RED),
    (Color, "blue", Refused("$[0]", "Invalid enum value 'blue'")),
    (Union[int, str, None], "a", "a"),  # noqa: UP007
    (Union[int, str, None], [], Refused("$[0]", "Expected `int | str | null`, got `array`")),  # noqa: UP007
    (Annotated[int, msgspec.Meta(ge=1)], 1, 1),
    (Annotated[int, msgspec.Meta(ge=1)], 0, Refused("$[0]", "Expected `int` >= 1")),
    (Annotated[str, msgspec.Meta(max_length=2)], "abc", Refused("$[0]", "Expected `str` of length <= 2")),
    (
        Annotated[str, msgspec.Meta(max_length=2, pattern="^a")],
        "bcd",
        Refused("$[0]", "Expected `str` of length <= 2"),
    ),
    (
        Annotated[float, msgspec.Meta(ge=0)],
        float("nan"),  # from msgpack
        Refused("$[0]", "Expected `float` >= 0.0"),
    ),
    (Typed, {"text": "a"}, {"text": "a"}),
    (Typed, {"text": 1}, Refused("$[0].text", "Expected `str`, got `int`")),
    (Point, [1, 2], Point(1, 2)),
    (UserId, 1, 1),
    (datetime.datetime, "2026-01-02T12:00:00Z", NOON),
    (datetime.datetime, NOON, NOON),  # from msgpack
    (datetime.datetime, 1, Refused("$[0]", "Expected `datetime`, got `int`")),
    (datetime.date, "2026-01-02", NOON.date()),
    (datetime.timedelta, "P1D", datetime.timedelta(1)),
    (uuid.UUID, str(AN_ID), AN_ID),
    (uuid.UUID, "1", Refused("$[0]", "Invalid UUID")),
    (decimal.Decimal, "1.50", decimal.Decimal("1.50")),
    (decimal.Decimal, 1, decimal.Decimal(1)),
    (str, "\ud83d", "\ud83d"),
    (uuid.UUID, "\ud83d", Refused("$", "Expected text, got half of a surrogate pair")),
]


def called_with(annotation: Any, argument: Any, validate: bool | None) -> Any:
    """What arrives in a handler whose parameter has the annotation."""

    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = annotation
    return validated(handler, "event", validate=validate)(argument)


def check(annotation: Any, sent: Any, expected: Any, validate: bool | None) -> None:
    if isinstance(expected, Refused):
        with pytest.raises(InvalidPayload) as raised:
            called_with(annotation, sent, validate)
        assert (raised.value.path, raised.value.message) == expected
        assert raised.value.event == "event"
    else:
        arrived = called_with(annotation, sent, validate)
        assert (type(arrived), arrived) == (type(expected), expected)


@pytest.mark.parametrize(("annotation", "sent", "expected"), ALWAYS)
@pytest.mark.parametrize("validate", [None, True])
def test_a_class_for_data_is_always_checked(
    annotation: Any, sent: Any, expected: Any, validate: bool | None
) -> None:
    check(annotation, sent, expected, validate)


@pytest.mark.parametrize(("annotation", "sent", "expected"), ON_DEMAND)
def test_any_annotation_is_checked_if_that_is_asked_for(annotation: Any, sent: Any, expected: Any) -> None:
    check(annotation, sent, expected, True)


@pytest.mark.parametrize(("annotation", "sent"), [row[:2] for row in ON_DEMAND])
def test_otherwise_it_is_not_and_the_handler_is_registered_as_it_is(annotation: Any, sent: Any) -> None:
    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = annotation
    assert validated(handler, "event") is handler


def test_an_alias_that_stands_for_itself_and_no_class_for_data_is_not_checked() -> None:
    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = Recursive
    assert validated(handler, "event") is handler


@pytest.mark.parametrize("annotation", [Struct, int, list[str], Record])
def test_validate_false_switches_it_off(annotation: Any) -> None:
    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = annotation
    assert validated(handler, "event", validate=False) is handler


def test_an_integer_that_no_float_is_near_is_refused() -> None:
    with pytest.raises(InvalidPayload, match="Number out of range"):
        called_with(float, 10**400, True)


# How many


def none() -> tuple[Any, ...]:
    return ()


def one(a: int) -> tuple[Any, ...]:
    return (a,)


def some(a: int, b: Struct | None = None, c: str = "c") -> tuple[Any, ...]:
    return a, b, c


def several(*data: int) -> tuple[Any, ...]:
    return data


def both(a: str, b: int = 5, *data: Struct) -> tuple[Any, ...]:
    return (a, b, *data)


@pytest.mark.parametrize(
    ("handler", "arguments", "expected"),
    [
        (none, (), ()),
        (none, (1,), Refused("$", "Expected 0 arguments, got 1")),
        (one, (1,), (1,)),
        (one, (), Refused("$", "Expected 1 argument, got 0")),
        (one, (1, 2), Refused("$", "Expected 1 argument, got 2")),
        (some, (1,), (1, None, "c")),
        (some, (1, {"text": "a"}), (1, Struct("a"), "c")),
        (some, (1, {"text": "a"}, 3), Refused("$[2]", "Expected `str`, got `int`")),
        (some, (), Refused("$", "Expected 1 to 3 arguments, got 0")),
        (several, (), ()),
        (several, (1, 2, 3), (1, 2, 3)),
        (several, (1, 2, "a"), Refused("$[2]", "Expected `int`, got `str`")),
        (both, ("a",), ("a", 5)),
        (both, ("a", 1, {"text": "b"}), ("a", 1, Struct("b"))),
        (both, ("a", 1, {"text": "b"}, {"text": 1}), Refused("$[3].text", "Expected `str`, got `int`")),
        (both, (), Refused("$", "Expected at least 1 argument, got 0")),
    ],
)
def test_a_handler_gets_as_many_arguments_as_it_takes(handler: Any, arguments: Any, expected: Any) -> None:
    checked = validated(handler, "event", validate=True)
    if isinstance(expected, Refused):
        with pytest.raises(InvalidPayload) as raised:
            checked(*arguments)
        assert (raised.value.path, raised.value.message) == expected
    else:
        assert checked(*arguments) == expected


def test_arguments_without_a_class_for_data_are_left_as_they_are_beside_one_that_has_it() -> None:
    def handler(message: Struct, number: int, plain, more=None):  # type: ignore[no-untyped-def]
        return message, number, plain, more

    assert validated(handler, "event")({"text": "a"}, "not a number", [1]) == (
        Struct("a"),
        "not a number",
        [1],
        None,
    )


# What cannot be checked


class Own:
    pass


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Own, "Own is not a type that data can be compared with"),
        (list[Own], "Own is not a type"),
        (Union[str, bytes], "more than one str-like type"),  # noqa: UP007
        (Union[Struct, Renamed], "must be tagged"),  # noqa: UP007
    ],
)
def test_what_nothing_can_be_compared_with_is_an_error_when_the_handler_is_registered(
    annotation: Any, why: str
) -> None:
    with pytest.raises(TypeError, match=rf"handler\(\) cannot be validated: .*{why}.*validate=False"):
        called_with(annotation, None, True)


def test_an_error_of_a_class_itself_is_an_error_of_the_application() -> None:
    class Broken(msgspec.Struct):
        a: int

        def __post_init__(self) -> None:
            raise KeyError("mine")

    with pytest.raises(KeyError):
        called_with(Broken, {"a": 1}, None)


# What a client makes the server say


def test_what_a_client_sends_makes_no_long_message_and_no_other_path() -> None:
    forged = "x` - at `$.forged"
    with pytest.raises(InvalidPayload) as raised:
        called_with(Renamed, {forged: 1}, None)
    assert raised.value.path == "$[0]"
    with pytest.raises(InvalidPayload) as raised:
        called_with(Renamed, {"x" * 10_000: 1}, None)
    assert len(raised.value.message) == 200
    assert len(str(raised.value)) < 500


def test_what_a_client_sends_does_not_break_a_line_that_has_the_error() -> None:
    with pytest.raises(InvalidPayload) as raised:
        called_with(Renamed, {"\nERROR \x1b[31m\u2028": 1}, None)
    assert str(raised.value).isprintable()
    assert str(InvalidPayload("e", "$[0].\n", "\r")).isprintable()


def test_a_long_path_and_a_long_name_of_an_event_are_cut() -> None:
    deep: Any = 1
    for _ in range(150):
        deep = {"inside": [deep]}
    with pytest.raises(InvalidPayload) as raised:
        called_with(Tree, deep, None)
    assert len(raised.value.path) == 200
    assert raised.value.path.startswith("$[0].inside[0].inside[0]")
    assert len(str(InvalidPayload("e" * 10_000, "$", ""))) < 200
