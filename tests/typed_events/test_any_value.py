"""Whatever a client sends is converted as msgspec does it, or refused, and the server goes on."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid
from typing import Annotated, Any, Literal, Optional, TypedDict, Union

import msgspec
import pytest
from flask import Flask
from hypothesis import given
from hypothesis import strategies as st

from asyncsock import InvalidPayload, SocketIO, SocketIOTestClient
from asyncsock.codec.values import BINARY
from asyncsock.typed.validated_handler import validated


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Node(msgspec.Struct):
    text: str
    inside: list[Node] = []
    number: Optional[float] = None  # noqa: UP045


class Closed(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    is_open: bool
    at: Union[datetime.datetime, int, None] = None  # noqa: UP007


class Typed(TypedDict, total=False):
    text: str
    colors: list[Color]


TYPES: list[Any] = [
    Node,
    Closed,
    Optional[Node],  # noqa: UP045
    list[Closed],
    dict[str, Node],
    dict[int, Color],
    Typed,
    int,
    float,
    str,
    bytes,
    Color,
    Literal["a", 1],
    Annotated[str, msgspec.Meta(max_length=3, pattern="a")],
    tuple[int, str],
    set[str],
    datetime.timedelta,
    uuid.UUID,
    decimal.Decimal,
]
NAMES = st.sampled_from(["text", "inside", "number", "isOpen", "at", "colors"])
TEXTS = st.text(st.characters(exclude_categories=[])) | st.sampled_from(
    ["red", "a", "2026-01-02T12:00:00Z", "P1D", "12345678123456781234567812345678", "1.5", "\ud83d"]
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4)
)


@given(st.sampled_from(TYPES), VALUES)
def test_any_value_is_converted_as_msgspec_does_it_or_refused(kind: Any, value: Any) -> None:
    def handler(value: Any) -> Any:
        return value

    handler.__annotations__["value"] = kind
    checked = validated(handler, "event", validate=True)
    why, expected = by_msgspec(kind, value)
    if why is None:
        arrived = checked(value)
        assert (type(arrived), arrived) == (type(expected), expected)
        return
    with pytest.raises(InvalidPayload) as raised:
        checked(value)
    assert raised.value.path.startswith("$")
    assert raised.value.message.removesuffix(" for a key")[:197] in why
    assert len(str(raised.value)) < 600


def by_msgspec(kind: Any, value: Any) -> tuple[str | None, Any]:
    """Why a value does not fit, if it does not, and what comes of it otherwise."""
    try:
        return None, msgspec.convert((value,), tuple[kind], str_keys=True, builtin_types=BINARY)[0]
    except msgspec.ValidationError as error:
        return str(error), None
    except UnicodeError:
        return "Expected text, got half of a surrogate pair", None


@pytest.fixture(scope="module", params=["default", "msgpack"])
def client(request: pytest.FixtureRequest) -> SocketIOTestClient:
    """A client of a server with a handler for each type, in turn a coroutine and a function."""
    app = Flask(__name__)
    socketio = SocketIO(app, validate=True, serializer=request.param)
    for number, kind in enumerate(TYPES):
        socketio.on_event(f"event {number}", make_handler(kind, number % 2 == 0))
    return socketio.test_client(app)


def make_handler(kind: Any, is_coroutine: bool) -> Any:
    async def coroutine(value: Any) -> Any:
        return {"took": True}

    def function(value: Any) -> Any:
        return {"took": True}

    handler = coroutine if is_coroutine else function
    handler.__annotations__["value"] = kind
    return handler


def without_what_msgpack_does_not_have(value: Any) -> Any:
    """Integers of up to 64 bits, and text without halves of surrogate pairs."""
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return 0
    if isinstance(value, list):
        return [without_what_msgpack_does_not_have(item) for item in value]
    if isinstance(value, dict):
        return {key: without_what_msgpack_does_not_have(item) for key, item in value.items()}
    return value


@given(number=st.integers(0, len(TYPES) - 1), value=VALUES, more=st.lists(LEAVES, max_size=1))
def test_the_client_gets_an_answer_or_what_was_wrong_and_the_server_goes_on(
    client: SocketIOTestClient, number: int, value: Any, more: list[Any]
) -> None:
    value, more = without_what_msgpack_does_not_have([value, more])
    answer = client.emit(f"event {number}", value, *more, callback=True)
    if "took" not in answer:
        assert answer["error"].keys() == {"code", "path", "message"}
        assert answer["error"]["code"] == "invalid_payload"
        assert answer["error"]["path"].startswith("$")
    assert client.emit(f"event {TYPES.index(str)}", "good", callback=True) == {"took": True}
