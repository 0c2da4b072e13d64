"""A dataclass that a handler gets has its default values in it, so that they are sent on."""

from __future__ import annotations

import dataclasses
from typing import Any

import attrs
import msgspec
import pytest

from asyncsock.typed.annotations import Parameter
from asyncsock.typed.validation import Arguments


@dataclasses.dataclass
class Point:
    x: int
    y: int = 2
    tags: list[str] = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Frozen:
    point: Point
    label: str = "none"


@dataclasses.dataclass
class Child(Point):
    z: int = 3


@dataclasses.dataclass(frozen=True)
class Key:
    name: str
    number: int = 1


class Shape(msgspec.Struct):
    points: dict[str, list[Point]]


@attrs.define
class Line:
    begin: Point
    end: Point | None = None


WHOLE = {"x": 1, "y": 2, "tags": []}


@pytest.mark.parametrize(
    ("kind", "sent", "whole"),
    [
        (Point, {"x": 1}, WHOLE),
        (Point, {"x": 1, "y": 5}, {**WHOLE, "y": 5}),
        (Child, {"x": 1}, {**WHOLE, "z": 3}),
        (Frozen, {"point": {"x": 1}}, {"point": WHOLE, "label": "none"}),
        (Shape, {"points": {"a": [{"x": 1}]}}, {"points": {"a": [WHOLE]}}),
        (Line, {"begin": {"x": 1}}, {"begin": WHOLE, "end": None}),
        (tuple[Point, int], [{"x": 1}, 1], [WHOLE, 1]),
        (set[Key], [{"name": "a"}], [{"name": "a", "number": 1}]),
    ],
)
def test_what_a_handler_gets_is_sent_on_with_its_default_values(kind: Any, sent: Any, whole: Any) -> None:
    [value] = Arguments([Parameter("data", kind, True, False)]).convert("event", [sent])
    assert msgspec.json.decode(msgspec.json.encode(value)) == whole
