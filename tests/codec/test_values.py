"""What Python's values are sent as: orjson and the standard library say the same, on every way."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import math
from typing import Any, NamedTuple

import msgspec
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.codec.base import Body
from asyncsock.codec.json_codec import JSONCodec
from asyncsock.codec.json_data import _encode_with_the_standard_library, encode_json, encode_json_with
from asyncsock.codec.not_encodable import NotEncodable

codec = JSONCodec()


class Text(str):
    pass


class Whole(int):
    pass


class Real(float):
    """As numpy.float64 is: a float that orjson does not take."""


class Items(list):  # type: ignore[type-arg]
    pass


class Several(tuple):  # type: ignore[type-arg]
    pass


class FirstOnly(dict):  # type: ignore[type-arg]
    """As werkzeug's MultiDict is: its items are not those that it keeps."""

    def items(self) -> Any:
        return [(key, [value]) for key, value in super().items()]


class Point(NamedTuple):
    x: Any
    y: Any


class Number(enum.IntEnum):
    ONE = 1


class Word(str, enum.Enum):
    YES = "yes"


class Flag(enum.IntFlag):
    A = 1
    B = 2


class Plain(enum.Enum):
    WORD = "w"
    NOTHING = None
    NAN = math.nan
    PAIR = (1, Number.ONE)
    BINARY = b"binary"


numbers = st.integers() | st.floats() | st.integers(2**63, 2**70) | st.integers().map(Whole)
text = st.text() | st.text(st.characters(categories=["Cs"]), max_size=2) | st.text().map(Text)
scalars = st.one_of(
    [
        st.none() | st.booleans() | numbers | text | st.floats().map(Real),
        st.sampled_from([*Number, *Word, *Flag, Flag.A | Flag.B, *Plain]),
        st.uuids() | st.binary() | st.binary().map(bytearray) | st.binary().map(memoryview),
        st.sampled_from([object(), 1j, {1}, frozenset(), range(3), json]),
    ]
)
keys = (
    st.text() | text | st.none() | st.booleans() | numbers | st.sampled_from([*Number, *Word, *Plain, (1,)])
)


def containers(inner: Any) -> Any:
    lists, dicts = st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=3)
    return st.one_of(
        [
            lists | lists.map(tuple) | lists.map(Items) | lists.map(Several) | st.builds(Point, inner, inner),
            dicts | dicts.map(collections.OrderedDict) | dicts.map(FirstOnly),
            dicts.map(lambda made: collections.defaultdict(list, made)),
            st.dictionaries(keys, inner, max_size=3),
        ]
    )


values = st.recursive(scalars, containers, max_leaves=12)


def decoded(encode: Any, data: Any) -> Any:
    """What a client reads of encoded data and its attachments, or that it cannot be encoded."""
    try:
        body: Body = encode(data)
    except NotEncodable as error:
        return str(error)
    return json.loads(body.data, parse_constant=not_json), list(body.attachments)


def not_json(constant: str) -> Any:
    pytest.fail(f"{constant} is not JSON")


@given(values)
def test_both_encoders_write_the_same_and_refuse_the_same(data: Any) -> None:
    standard = decoded(_encode_with_the_standard_library, data)
    assert decoded(encode_json, data) == standard


@given(values, st.sampled_from([2**64, "\ud83d", {1: 2}, (), Real(0.5), b"\0", collections.OrderedDict(a=1)]))
def test_what_is_beside_a_value_does_not_change_how_it_is_sent(data: Any, neighbour: Any) -> None:
    alone, beside = decoded(encode_json, [data]), decoded(encode_json, [data, neighbour])
    if isinstance(alone, str):
        assert beside == alone
    else:
        assert beside[0][0] == alone[0][0]
        assert beside[1][: len(alone[1])] == alone[1]


@given(values)
def test_what_the_standard_library_writes_is_written_alike_but_for_nan(data: Any) -> None:
    try:
        text = json.dumps(data)
    except (TypeError, ValueError):
        return
    assert decoded(encode_json, data) == (json.loads(text, parse_constant=lambda _: None), [])


@given(values)
def test_an_acknowledgement_is_encoded_as_an_event_is(data: Any) -> None:
    def acknowledge(value: Any) -> Body:
        first, *attachments = codec.acknowledge("/", 7, (value,))
        start = first.text.index("[")
        return Body(first.text[start:].encode(), [packet.data for packet in attachments])

    assert decoded(acknowledge, data) == decoded(lambda value: encode_json([value]), data)


@pytest.mark.parametrize(
    "unusual",
    ["plain", 2**64, "\ud83d", {1: 2}, {None: 1}, {1: b"x"}, Point(1, 2), Real(1.0), b"x", Items(), Word.YES],
)  # fmt: skip
def test_nan_and_infinity_are_null_beside_whatever_goes_another_way(unusual: Any) -> None:
    data = [math.nan, {"a": -math.inf, "b": Real("nan")}, Plain.NAN, unusual]
    for body in (encode_json(data), encode_json(tuple(data))):
        assert json.loads(body.data, parse_constant=not_json)[:3] == [None, {"a": None, "b": None}, None]


def test_what_a_client_makes_a_server_relay_is_json() -> None:
    _, data = codec.decode('2["chat",{"a":1e999,"b":-1e999,"text":"\\ud83d"}]').data
    assert codec.encode(["chat", data]).data == b'["chat",{"a":null,"b":null,"text":"\\ud83d"}]'


def test_a_dictionary_that_contains_itself_is_refused() -> None:
    data: dict[str, Any] = {}
    data["self"] = data
    with pytest.raises(NotEncodable, match="nested too deeply, or contains itself"):
        encode_json(data)


def test_an_integer_with_too_many_digits_for_python_is_refused() -> None:
    for data in (10**5000, {10**5000: 1}):
        with pytest.raises(NotEncodable, match="cannot be encoded"):
            encode_json([data])


def test_a_placeholder_lookalike_is_sent_as_data_unless_there_is_binary_data_beside_it() -> None:
    lookalike = {"_placeholder": True, "num": 5}
    for beside in (1, 2**64):
        body = encode_json([lookalike, beside])
        assert json.loads(body.data) == [lookalike, beside]
        assert not body.attachments
        with pytest.raises(NotEncodable, match=r"data\[1\]\[\"a\"\] looks like the placeholder"):
            encode_json([b"x", {"a": lookalike}, beside])
    assert encode_json([b"x", {"_placeholder": 1}, '"_placeholder":true']).attachments == [b"x"]


def test_a_json_module_of_the_users_gets_what_has_no_binary_data_in_it_as_it_is() -> None:
    class Module:
        @staticmethod
        def dumps(data: Any, **options: Any) -> str:
            return repr(data)

    assert encode_json_with(Module)([Point(1, 2), math.nan]).data == b"[Point(x=1, y=2), nan]"
    body = encode_json_with(Module)([Point(1, 2), {"a": (b"x",)}])
    assert body.data == b"[Point(x=1, y=2), {'a': [{'_placeholder': True, 'num': 0}]}]"


class Parcel(msgspec.Struct):
    at: datetime.datetime
    photo: bytes
    inside: Any = None


@dataclasses.dataclass
class Label:
    text: str


NOON = datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.timezone.utc)


def test_a_json_module_that_does_not_know_data_classes_gets_dictionaries() -> None:
    data = [Parcel(NOON, b"x", Label("a")), Label("b")]
    body = encode_json_with(Flask("app").json)(data)
    assert json.loads(body.data) == [
        {
            "at": "Fri, 02 Jan 2026 12:00:00 GMT",  # in the form of the module
            "photo": {"_placeholder": True, "num": 0},
            "inside": {"text": "a"},
        },
        {"text": "b"},
    ]
    assert body.attachments == [b"x"]


def test_a_json_module_that_knows_data_classes_decides_about_them() -> None:
    class Module:
        @staticmethod
        def dumps(data: Any, **options: Any) -> str:
            return json.dumps(data, default=lambda label: f"<{label.text}>", **options)

    assert encode_json_with(Module)([Label("a")]).data == b'["<a>"]'


def test_what_a_json_module_refuses_without_data_classes_too_is_its_error() -> None:
    with pytest.raises(TypeError, match="datetime is not JSON serializable"):
        encode_json_with(json)([Parcel(NOON, b"x")])


def test_a_data_class_that_contains_itself_is_refused() -> None:
    parcel = Parcel(NOON, b"x")
    parcel.inside = {"again": [parcel]}
    with pytest.raises(NotEncodable, match="nested too deeply, or contains itself"):
        encode_json([parcel])


def test_subclasses_of_dates_are_sent_as_dates() -> None:
    class Moment(datetime.datetime):
        pass

    class Duration(datetime.timedelta):
        pass

    moment = Moment(2026, 1, 2, 12, tzinfo=datetime.timezone(datetime.timedelta(hours=2)))
    assert encode_json([moment, Duration(1)]).data == b'["2026-01-02T12:00:00+02:00","P1D"]'
