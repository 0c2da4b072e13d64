# ruff: noqa: UP007, UP045 - applications write Optional and Union, too
"""Types, and what fits them: as JSON of a client in Python, in JSON Schema and in TypeScript."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Generic, Literal, NamedTuple, Optional, TypedDict, TypeVar, Union

import attrs
import pydantic
from msgspec import UNSET, Meta, Struct, UnsetType
from typing_extensions import NotRequired

T = TypeVar("T")
ID = "4c0b6a1e-9a62-4a8a-8d0c-6c0f0f7a3f10"
TIME = "2026-01-02T12:00:00Z"


class Message(Struct, rename="camel"):
    """What somebody says."""

    sent_text: str
    at: int = 0


class Node(Struct):
    value: int
    next: Node | None = None


class Cat(Struct, tag="cat"):
    lives: int


class Dog(Struct, tag="dog"):
    name: str


class Sparse(Struct, omit_defaults=True):
    number: int = 0


class Unset(Struct):
    number: int | UnsetType = UNSET


class Strict(Struct, forbid_unknown_fields=True):
    number: int


class Row(Struct, array_like=True):
    number: int
    name: str = ""


class Page(Struct, Generic[T]):
    items: list[T]


@dataclasses.dataclass
class Point:
    x: float
    y: float = 0.0


@attrs.define
class Size:
    width: int
    height: int = 1


@attrs.define
class Hidden:
    width: int
    _secret: int = 1


class Login(TypedDict):
    token: str
    room: NotRequired[str]


class Place(NamedTuple):
    x: int
    y: int = 0


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Item(pydantic.BaseModel):
    name: str
    count: int = pydantic.Field(1, ge=1, alias="howMany")
    parent: Item | None = None


class Names(pydantic.RootModel[list[str]]):
    pass


class Basket(Struct):
    items: list[Item]


class record(Struct):  # the name of nothing in TypeScript
    string: str


class string(Struct):  # the name of a type there
    kind: str


class Outer:
    class Message(Struct):
        """Another class of this name."""

        number: int


@dataclasses.dataclass
class Case:
    """A type.

    Attributes:
        type: The type.
        received: What clients may send, in TypeScript, as far as it says.
        right: What fits.
        wrong: What does not fit, as TypeScript sees too.
        unseen: What does not fit, which TypeScript cannot see.
        sent: What the server sends, in TypeScript, if that is not the same.
    """

    type: Any
    received: str
    right: list[Any]
    wrong: list[Any]
    unseen: list[Any] = dataclasses.field(default_factory=list)
    sent: str = ""


CASES = {
    "int": Case(int, "number", [0, -3], ["1", None], [1.5]),
    "float": Case(float, "number", [0, 1.5], ["1"]),
    "str": Case(str, "string", ["", "ä"], [1, None]),
    "bool": Case(bool, "boolean", [True, False], [1, "true"]),
    "None": Case(None, "null", [None], [0, ""]),
    "Any": Case(Any, "any", [None, 1, {"a": []}], []),
    "object": Case(object, "any", [None, 1, {"a": []}], []),
    "Optional": Case(Optional[int], "number | null", [1, None], ["1"]),
    "Union": Case(Union[int, str], "number | string", [1, "1"], [None, True]),
    "Literal": Case(Literal["a", "b"], "'a' | 'b'", ["a", "b"], ["c", 1, None]),
    "Literal of numbers": Case(Optional[Literal[1, 2]], "1 | 2 | null", [1, 2, None], [3, "1"]),
    "Annotated": Case(
        Annotated[str, Meta(min_length=2, pattern="^a", description="It begins with a.")],
        "string",
        ["ab"],
        [1],
        ["", "bc"],
    ),
    "Annotated int": Case(Annotated[int, Meta(ge=1, le=5)], "number", [1, 5], ["1"], [0, 6]),
    "pattern of Python": Case(Annotated[str, Meta(pattern=r"\A(?P<first>a)")], "string", ["ab"], [1]),
    "list": Case(list[int], "number[]", [[], [1, 2]], [["1"], 1, {}]),
    "list of unions": Case(list[int | None], "(number | null)[]", [[None, 1]], [["1"]]),
    "bare list": Case(list, "any[]", [[], [1, "2"]], [1, {}]),
    "set": Case(set[str], "string[]", [["a"]], [[1]]),
    "tuple": Case(tuple[int, str], "[number, string]", [[1, "a"]], [[1], ["a", 1], [1, "a", 2]]),
    "empty tuple": Case(tuple[()], "[]", [[]], [[1]]),
    "any tuple": Case(tuple[int, ...], "number[]", [[], [1, 2]], [["a"]]),
    "dict": Case(dict[str, int], "{ [key: string]: number }", [{}, {"a": 1}], [{"a": "1"}, 1, [1]]),
    "bare dict": Case(dict, "{ [key: string]: any }", [{}, {"a": 1}], [1]),
    "dict of literals": Case(
        dict[Literal["a", "b"], int], "{ a?: number; b?: number }", [{}, {"a": 1}], [{"c": 1}]
    ),
    "dict of ints": Case(dict[int, str], "{ [key: string]: string }", [{}, {"1": "a"}], [{"1": 1}]),
    "datetime": Case(datetime.datetime, "string", [TIME], [1]),
    "date": Case(datetime.date, "string", ["2026-01-02"], [True], ["today"]),
    "timedelta": Case(datetime.timedelta, "string", ["P1DT1S"], [True], ["soon"]),
    "UUID": Case(uuid.UUID, "string", [ID], [1], ["no id"]),
    "Decimal": Case(decimal.Decimal, "string", ["1.50"], [True]),
    "Enum": Case(Colour, "'red' | 'blue'", ["red", "blue"], ["green", 1]),
    "IntEnum": Case(Level, "1 | 2", [1, 2], [3, "1"]),
    "Struct": Case(
        Message,
        "{ sentText: string; at?: number }",
        [{"sentText": "hi"}, {"sentText": "hi", "at": 1}],
        [{}, {"sent_text": "hi"}, {"sentText": 1}, None],
        sent="{ sentText: string; at: number }",
    ),
    "another of its name": Case(Outer.Message, "{ number: number }", [{"number": 1}], [{"sentText": "hi"}]),
    "recursive": Case(
        Node,
        "{ value: number; next?: { value: number; next?: any } | null }",
        [{"value": 1}, {"value": 1, "next": {"value": 2, "next": None}}],
        [{"value": 1, "next": {}}, {"value": 1, "next": {"value": "2"}}],
        sent="{ value: number; next: { value: number; next: any } | null }",
    ),
    "tagged": Case(
        Union[Cat, Dog],
        "{ type: 'cat'; lives: number } | { type: 'dog'; name: string }",
        [{"type": "cat", "lives": 9}, {"type": "dog", "name": "Rex"}],
        [{"type": "cat", "name": "Tom"}, {"type": "cow"}, {"lives": 9}],
    ),
    "optional tagged": Case(
        Optional[Cat | Dog],
        "{ type: 'cat'; lives: number } | { type: 'dog'; name: string } | null",
        [None, {"type": "cat", "lives": 9}],
        [{"type": "cow"}],
    ),
    "omit_defaults": Case(Sparse, "{ number?: number }", [{}, {"number": 1}], [{"number": "1"}]),
    "UNSET": Case(Unset, "{ number?: number }", [{}, {"number": 1}], [{"number": None}]),
    "forbid_unknown_fields": Case(
        Strict, "{ number: number }", [{"number": 1}], [{}, {"number": 1, "other": 2}]
    ),
    "array_like": Case(
        Row, "[number: number, name?: string]", [[1], [1, "a"]], [[], [1, 2]], sent="[number, string]"
    ),
    "generic": Case(Page[int], "{ items: number[] }", [{"items": [1]}], [{"items": ["1"]}]),
    "generic of a class": Case(
        Page[Cat],
        "{ items: { type: 'cat'; lives: number }[] }",
        [{"items": [{"type": "cat", "lives": 9}]}],
        [{"items": [1]}],
    ),
    "dataclass": Case(
        Point,
        "{ x: number; y?: number }",
        [{"x": 1}, {"x": 1, "y": 2.5}],
        [{}, {"x": "1"}],
        sent="{ x: number; y: number }",
    ),
    "attrs": Case(
        Size,
        "{ width: number; height?: number }",
        [{"width": 1}],
        [{}, {"width": None}],
        sent="{ width: number; height: number }",
    ),
    "attrs with a private field": Case(
        Hidden, "{ width: number; _secret?: number }", [{"width": 1}], [{}, {"width": 1, "_secret": "2"}]
    ),
    "TypedDict": Case(
        Login,
        "{ token: string; room?: string }",
        [{"token": "t"}, {"token": "t", "room": "r"}],
        [{}, {"token": 1}],
    ),
    "NamedTuple": Case(
        Place, "[x: number, y?: number]", [[1], [1, 2]], [[], ["1"], [1, 2, 3]], sent="[number, number]"
    ),
    "Pydantic": Case(
        Item,
        "{ name: string; howMany?: number; parent?: any }",
        [{"name": "a"}, {"name": "a", "howMany": 2, "parent": {"name": "b"}}],
        [{}, {"name": "a", "parent": {}}],
        [{"name": "a", "howMany": 0}],
        sent="{ name: string; howMany: number; parent: any }",
    ),
    "list of Pydantic": Case(list[Names], "string[][]", [[], [["a"], []]], [["a"], [[1]]]),
    "union with Pydantic": Case(Union[Names, int], "string[] | number", [["a"], 1], [[1], True]),
    "Pydantic in a Struct": Case(
        Basket,
        "{ items: { name: string; howMany?: number; parent?: any }[] }",
        [{"items": [{"name": "a"}]}],
        [{"items": [{}]}],
        sent="{ items: { name: string; howMany: number; parent: any }[] }",
    ),
    "class with a name of TypeScript": Case(string, "{ kind: string }", [{"kind": "a"}], ["a"]),
    "field with a name of TypeScript": Case(record, "{ string: string }", [{"string": "a"}], ["a"]),
}
