"""The table of docs/reference/data.md: what is sent as what, and what raises, on every way that data take."""

from __future__ import annotations

import asyncio
import collections
import dataclasses
import datetime
import decimal
import enum
import json
import logging
import math
import re
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import attrs
import msgspec
import numpy
import pydantic
import pytest
from flask import Flask
from markupsafe import Markup
from werkzeug.datastructures import MultiDict

from asyncsock import AsyncServer, Namespace, SocketIO, emit
from asyncsock.codec.base import put_back
from asyncsock.queues import wire
from asyncsock.queues.manager import QueueManager
from tests.support.server_process import ROOT


class Point(NamedTuple):
    x: int
    y: int


class Color(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    LARGE = 3


class Mood(str, enum.Enum):
    GOOD = "good"


@dataclasses.dataclass
class Record:
    a: int = 1


class Model(pydantic.BaseModel):
    a: int = 1


class Struct(msgspec.Struct):
    a: int = 1


@attrs.define
class Attrs:
    a: int = 1


class Whole(msgspec.Struct, omit_defaults=True):
    """A struct with fields of every kind."""

    day: datetime.date | None
    colors: list[Any]
    records: dict[uuid.UUID, Record] = {}
    file: bytes | None = None
    numbers: set[int] = set()
    model: Any = None


class WholeModel(pydantic.BaseModel):
    """The same for Pydantic, which leaves out what was not set."""

    day: datetime.date
    file: bytes | None = None
    numbers: set[int] | None = None
    url: pydantic.HttpUrl | None = pydantic.Field(None, serialization_alias="URL")

    @pydantic.model_serializer(mode="wrap")
    def without_none(self, serialize: Any) -> dict[str, Any]:
        return {name: value for name, value in serialize(self).items() if value is not None}


def itself() -> list[Any]:
    value: list[Any] = []
    value.append(value)
    return value


def not_awaited() -> Any:
    coroutine = asyncio.sleep(0)
    coroutine.close()
    return coroutine


UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 2, 12, 0, 0, 123456, UTC)
AN_ID = uuid.UUID("12345678123456781234567812345678")


class Refused:
    """What a value is sent as that is not sent: the type and the remedy that the error names."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return f"TypeError: {self.text}"


# By the name of the row: values with what arrives of them in JSON, and in msgpack if that is something else.
ROWS: dict[str, list[tuple[Any, ...]]] = {
    "`None`, `bool`, `int`, `float`, `str`, `list`, `dict`": [
        ([None, True, 2**53, -0.5, "ž", [], {}, {"a": [1]}],) * 2,
    ],
    "tuple, named tuple": [((1, (2,)), [1, [2]]), (Point(1, 2), [1, 2])],
    "subclass of `str`, `int`, `float`, `list` or `dict`": [
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.defaultdict(list, a=[1]), {"a": [1]}),
        (MultiDict([("a", "first"), ("a", "second")]), {"a": "first"}),
        (Markup("<b>"), "<b>"),
        (numpy.float64(0.1), 0.1),
        (numpy.str_("s"), "s"),
    ],
    "key that is an `int`, a `float`, a `bool` or None": [
        ({1: 1, 1.5: 2, None: 3, "b": {True: 4}}, {"1": 1, "1.5": 2, "null": 3, "b": {"true": 4}}),
    ],
    "key of another type": [
        ({(1, 2): 3}, Refused("is under a key of type tuple")),
        ({Color.RED: 3}, Refused("is under a key of type Color")),
        ({b"a": 3}, Refused("is under a key of type bytes")),
    ],
    "NaN and infinity": [
        (math.nan, None, math.nan),
        (numpy.float64("nan"), None, math.nan),
        ({1: [math.inf, -math.inf]}, {"1": [None, None]}, {"1": [math.inf, -math.inf]}),
    ],
    "integer of more than 64 bits": [(2**64, 2**64, Refused("is an integer of more than 64 bits"))],
    "half of a surrogate pair": [("a\ud83d", "a\ud83d", "a\ufffd")],
    "member of an `Enum`, `IntEnum` or `StrEnum`": [(Color.RED, "red"), (Size.LARGE, 3), (Mood.GOOD, "good")],
    "`UUID`": [(AN_ID, str(AN_ID))],
    "`bytes`, `bytearray`, `memoryview`": [
        (b"\0", b"\0"),
        (bytearray(b"\0"), b"\0"),
        (memoryview(b"0123")[::2], b"02"),
    ],
    "`datetime` with a time zone": [
        (NOON, "2026-01-02T12:00:00.123456Z", NOON.replace(microsecond=123000)),
    ],
    "`datetime` without a time zone": [(NOON.replace(tzinfo=None), "2026-01-02T12:00:00.123456")],
    "`date`, `time`, `timedelta`": [
        (NOON.date(), "2026-01-02"),
        (NOON.time(), "12:00:00.123456"),
        (datetime.timedelta(1, 1), "P1DT1S"),
    ],
    "`Decimal`": [(decimal.Decimal("1.50"), "1.50")],
    "dataclass, attrs class, Pydantic model, msgspec struct": [
        (Record(), {"a": 1}),
        (Attrs(), {"a": 1}),
        (Model(), {"a": 1}),
        (Struct(), {"a": 1}),
        ([Struct(), {"b": Record()}], [{"a": 1}, {"b": {"a": 1}}]),
        (
            Whole(NOON.date(), [Color.RED], {AN_ID: Record()}, b"\0", {1}, Model()),
            {
                "day": "2026-01-02",
                "colors": ["red"],
                "records": {str(AN_ID): {"a": 1}},
                "file": b"\0",
                "numbers": [1],
                "model": {"a": 1},
            },
        ),
        (
            WholeModel(day=NOON.date(), file=b"\0", numbers={1}),
            {"day": "2026-01-02", "file": b"\0", "numbers": [1]},
        ),
        (WholeModel(day=NOON.date(), url="http://a.b/"), {"day": "2026-01-02", "URL": "http://a.b/"}),
        (Whole(None, [object()]), Refused("has a value in it that is of type object")),
    ],
    "set, generator": [
        ({1}, Refused("of type set,.*: send a list")),
        (frozenset(), Refused("of type frozenset,.*: send a list")),
        ((number for number in [1]), Refused("of type generator,.*: send a list")),
    ],
    "numpy array, numpy scalar but `float64`": [
        (numpy.arange(2), Refused("of type ndarray,.*: send its tolist")),
        (numpy.int64(1), Refused("of type int64,.*: send its tolist")),
        (numpy.float32(1), Refused("of type float32,.*: send its tolist")),
        (numpy.bool_(True), Refused("of type bool,.*: send its tolist")),
    ],
    "coroutine that was not awaited": [(not_awaited(), Refused("of type coroutine,.*: await it first"))],
    "object of a class of your own": [(object(), Refused("of type object,.*: convert it first"))],
    "list or dictionary that contains itself": [(itself(), Refused("contains itself"))],
}
VALUES = [(value, expected[0], expected[-1]) for row in ROWS.values() for value, *expected in row]


def name(value: Any) -> str:
    """The value in the name of a test, which has to be the same in all processes that share the tests."""
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def test_each_row_of_the_document_is_tried_here() -> None:
    table = re.findall(
        r"^\| (.*?) \| .* \| .* \|$", (ROOT / "docs" / "reference" / "data.md").read_text(), re.MULTILINE
    )
    assert [row for row in table if row != "Value"] == list(ROWS)


class Application:
    """A Flask application with handlers that send a value, and a client of it."""

    def __init__(self, serializer: str) -> None:
        self.value: Any = None
        self.raised: Exception | None = None
        app = Flask(__name__)
        self.socketio = SocketIO(app, serializer=serializer)

        async def emit_in_coroutine() -> None:
            with self.keeping_errors():
                emit("data", self.value)

        def emit_in_function() -> None:
            with self.keeping_errors():
                emit("data", self.value)

        async def answer_of_coroutine() -> Any:
            return self.value

        def answer_of_function() -> Any:
            return self.value

        for handler in (emit_in_coroutine, emit_in_function, answer_of_coroutine, answer_of_function):
            self.socketio.on_event(handler.__name__, handler)
        self.client = self.socketio.test_client(app)

    @contextmanager
    def keeping_errors(self) -> Iterator[None]:
        self.raised = None
        try:
            yield
        except TypeError as error:
            self.raised = error

    def received(self) -> Any:
        if self.raised is not None:
            raise self.raised
        ((packet),) = self.client.get_received()
        return packet["args"]


@pytest.fixture(scope="module")
def json_application() -> Application:
    return Application("default")


@pytest.fixture(scope="module")
def msgpack_application() -> Application:
    return Application("msgpack")


def handled(application: Application, name: str, data: Any) -> Any:
    application.value = data
    application.client.emit(name)
    return application.received()


def answered(application: Application, name: str, data: Any) -> Any:
    application.value = data
    answer = application.client.emit(name, callback=True)
    return answer if isinstance(data, tuple) else [answer]


def from_a_thread(application: Application, data: Any) -> Any:
    application.raised = None
    application.socketio.emit("data", data)
    return application.received()


def through_a_queue(application: Application, data: Any) -> Any:
    """What a process sends its clients of a message from another one."""
    manager = QueueManager("none://", lambda: pytest.fail("nothing is published"))
    manager.set_server(application.socketio.server)
    event = manager.encode("data", data)
    fields = wire.emit_fields(event.name, event.arguments, "/", None, None, None)
    arguments = wire.event_arguments(wire.decode(wire.encode(fields, "0" * 32, 1)))
    packets = application.socketio.server.codec.assemble(2, "/", manager._body("data", arguments))
    codec = application.socketio.server.codec
    incoming = codec.decode(packets[0].data if packets[0].binary else packets[0].text[1:])
    put_back([packet.data for packet in packets[1:]], incoming.places)
    return incoming.data[1:]


WAYS: dict[str, Callable[[Application, Any], Any]] = {
    "emit in a coroutine": lambda application, data: handled(application, "emit_in_coroutine", data),
    "emit in a function": lambda application, data: handled(application, "emit_in_function", data),
    "emit in a thread": from_a_thread,
    "answer of a coroutine": lambda application, data: answered(application, "answer_of_coroutine", data),
    "answer of a function": lambda application, data: answered(application, "answer_of_function", data),
    "queue": through_a_queue,
}


def check(application: Application, way: str, value: Any, expected: Any) -> None:
    """Send a value in a dictionary, and beside binary data."""
    for data, path, place in (
        ({"value": value}, r'data\["value"\]', 0),
        ((b"beside", {"value": value}), r'data\[1\]\["value"\]', 1),
    ):
        if isinstance(expected, Refused):
            place_of = path if expected.text != "contains itself" else "data"
            with pytest.raises(
                TypeError, match=f'^(event "data"|.* cannot be sent): {place_of}.* {expected.text}'
            ):
                WAYS[way](application, data)
        else:
            assert repr(WAYS[way](application, data)[place]["value"]) == repr(expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "expected"), [(value, in_json) for value, in_json, _ in VALUES], ids=name)
def test_a_value_is_sent_in_json_as_the_document_says(
    json_application: Application, way: str, value: Any, expected: Any
) -> None:
    check(json_application, way, value, expected)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(("value", "expected"), [(value, packed) for value, _, packed in VALUES], ids=name)
def test_a_value_is_sent_in_msgpack_as_the_document_says(
    msgpack_application: Application, way: str, value: Any, expected: Any
) -> None:
    if way == "queue" and value is NOON:
        expected = "2026-01-02T12:00:00.123456Z"
    elif way == "queue" and isinstance(value, (float, dict)) and re.search("nan|inf", repr(value)):
        expected = json.loads(json.dumps(value), parse_constant=lambda _: None)
    check(msgpack_application, way, value, expected)


async def test_call_raises_at_the_call_too() -> None:
    server = AsyncServer()
    with pytest.raises(TypeError, match=r'event "ask": data\["a"\] is of type set'):
        await server.call("ask", {"a": {1}}, to="nobody")


# Acknowledgements


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The errors that were logged, each with its traceback if it has one."""
    formatter = logging.Formatter()

    def logged() -> list[str]:
        return [formatter.format(record) for record in caplog.records if record.levelno >= logging.ERROR]

    return logged


SOME = {1}


class Chat(Namespace):
    async def on_bad(self) -> Any:
        return {"at": SOME}

    def on_worse(self) -> Any:
        return 1, {"at": [SOME]}


WHY = "is of type set, which is not JSON serializable: send a list of it"


@pytest.mark.parametrize(
    ("application", "event", "handler", "place"),
    [
        ("functions", "bad", "tests.test_data.make_functions.<locals>.bad", 'data["at"]'),
        ("functions", "worse", "tests.test_data.make_functions.<locals>.worse", 'data[1]["at"][0]'),
        ("functions", "unheard of", "tests.test_data.make_functions.<locals>.any_event", 'data["at"]'),
        ("namespace", "bad", "tests.test_data.Chat.on_bad", 'data["at"]'),
        ("namespace", "worse", "tests.test_data.Chat.on_worse", 'data[1]["at"][0]'),
    ],
)
def test_an_acknowledgement_that_cannot_be_sent_is_one_log_line(
    lines: Callable[[], list[str]], application: str, event: str, handler: str, place: str
) -> None:
    app = Flask(__name__)
    socketio = make_functions(app) if application == "functions" else SocketIO(app)
    if application == "namespace":
        socketio.on_namespace(Chat("/"))
    told: list[Any] = []
    socketio.on_error_default(told.append)
    client = socketio.test_client(app)
    with pytest.raises(TypeError):
        client.emit(event, callback=True)
    assert lines() == [f"the result of {handler} for event {event!r} cannot be sent: {place} {WHY}"]
    assert told == []  # as in Flask-SocketIO, where the handler has ended well


def make_functions(app: Flask) -> SocketIO:
    socketio = SocketIO(app)

    @socketio.on("bad")
    async def bad() -> Any:
        return {"at": SOME}

    @socketio.on("worse")
    def worse() -> Any:
        return 1, {"at": [SOME]}

    @socketio.on("*")
    def any_event(event: str) -> Any:
        return {"at": SOME}

    return socketio


def test_what_a_json_module_of_ones_own_refuses_is_one_log_line_too(lines: Callable[[], list[str]]) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, json=json)
    socketio.on_event("bad", lambda: NOON)
    with pytest.raises(TypeError):
        socketio.test_client(app).emit("bad", callback=True)
    (line,) = lines()
    assert re.fullmatch(
        r"the result of .*<lambda> for event 'bad' cannot be sent: TypeError: .*datetime.*", line
    )
