# ruff: noqa: UP045 - X | None is for types that are known
"""Whatever the type, its schema accepts what a handler gets, and what the server sends of it."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import json
import uuid
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Optional

import msgspec
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from asyncsock.codec.json_data import encode_json
from asyncsock.typed.annotations import Parameter
from asyncsock.typed.schemas import schemas_of
from asyncsock.typed.validation import Arguments
from tests.support.node_tools import run_node


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


Values = st.SearchStrategy[Any]
Kind = tuple[Any, Values]  # a type, and what a client may send of it

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=1), inner, max_size=2),
    max_leaves=5,
)
SIMPLE: list[Kind] = [
    (int, st.integers(-(2**53), 2**53)),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 9)),
    (str, st.text(max_size=3)),
    (bool, st.booleans()),
    (None, st.none()),
    (Any, JSON),
    (list, st.lists(JSON, max_size=2)),
    (dict, st.dictionaries(st.text(max_size=2), JSON, max_size=2)),
    (Literal["a", "b"], st.sampled_from("ab")),
    (Colour, st.sampled_from(["red", "blue"])),
    (dict[int, str], st.dictionaries(st.integers(-9, 9).map(str), st.text(max_size=2), max_size=2)),
    (datetime.date, st.dates().map(str)),
    (
        datetime.datetime,
        st.datetimes(timezones=st.just(datetime.timezone.utc)).map(datetime.datetime.isoformat),
    ),
    (decimal.Decimal, st.decimals(allow_nan=False, allow_infinity=False, places=2).map(str)),
    (uuid.UUID, st.uuids().map(str)),
]


def list_of(inner: Kind) -> Kind:
    return list[inner[0]], st.lists(inner[1], max_size=3)  # type: ignore[name-defined]


def dictionary_of(inner: Kind) -> Kind:
    return dict[str, inner[0]], st.dictionaries(st.text(max_size=2), inner[1], max_size=3)  # type: ignore[name-defined]


def optional(inner: Kind) -> Kind:
    return Optional[inner[0]], st.none() | inner[1]  # type: ignore[return-value]


def pair_of(one: Kind, other: Kind) -> Kind:
    return tuple[one[0], other[0]], st.tuples(one[1], other[1]).map(list)  # type: ignore[name-defined]


def dataclass_of(one: Kind, other: Kind) -> Kind:
    fields = [("a", one[0]), ("b", Optional[other[0]], None)]
    made = dataclasses.make_dataclass("Made", fields)
    return made, st.fixed_dictionaries({"a": one[1]}, optional={"b": st.none() | other[1]})


def named_tuple_of(one: Kind, other: Kind) -> Kind:
    return NamedTuple("Made", [("a", one[0]), ("b", other[0])]), pair_of(one, other)[1]


def struct_of(one: Kind, other: Kind, array_like: bool, omit_defaults: bool, tag: bool) -> Kind:
    fields = [("a", one[0]), ("b", Optional[other[0]], None)]
    made = msgspec.defstruct("Made", fields, array_like=array_like, omit_defaults=omit_defaults, tag=tag)
    tags = {"type": st.just("Made")} if tag else {}
    if array_like:
        short = st.tuples(*tags.values(), one[1]).map(list)
        return made, short | st.tuples(*tags.values(), one[1], st.none() | other[1]).map(list)
    return made, st.fixed_dictionaries({**tags, "a": one[1]}, optional={"b": st.none() | other[1]})


def renamed(one: Kind) -> Kind:
    made = msgspec.defstruct("Made", [("some_value", one[0])], rename="camel", forbid_unknown_fields=True)
    return made, st.fixed_dictionaries({"someValue": one[1]})


def combined(inner: st.SearchStrategy[Kind]) -> st.SearchStrategy[Kind]:
    of_one: list[Callable[..., Kind]] = [list_of, dictionary_of, optional, renamed]
    of_two: list[Callable[..., Kind]] = [pair_of, dataclass_of, named_tuple_of]
    flags = (st.booleans(), st.booleans(), st.booleans())
    return st.one_of(
        *(st.builds(make, inner) for make in of_one),
        *(st.builds(make, inner, inner) for make in of_two),
        st.builds(struct_of, inner, inner, *flags),
    )


KINDS = st.recursive(st.sampled_from(SIMPLE), combined, max_leaves=6)


def handled(kind: Any, value: Any) -> Any:
    """What a handler gets."""
    return Arguments([Parameter("data", kind, True, False)]).convert("event", [value])[0]


@settings(max_examples=5, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_schema_accepts_what_a_handler_gets_and_what_is_sent_of_it(data: st.DataObject) -> None:
    kinds = data.draw(st.lists(KINDS, min_size=20, max_size=20))
    types = [kind for kind, _ in kinds]
    values = [data.draw(st.lists(values, min_size=3, max_size=3)) for _, values in kinds]
    sent = [
        [json.loads(encode_json([handled(kind, value)]).data)[0] for value in each]
        for kind, each in zip(types, values, strict=True)
    ]
    of_received, of_sent, components = schemas_of(types, types)
    schemas, examples = [*of_received, *of_sent], [*values, *sent]
    accepted = run_node(
        "json_schema.mjs",
        {"components": {"schemas": components}, "cases": list(zip(schemas, examples, strict=True))},
    )
    for schema, tried, verdicts in zip(schemas, examples, accepted, strict=True):
        assert all(verdicts), (schema, tried, components)
