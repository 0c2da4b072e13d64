"""What handlers return and what an event type sends, compared with their types if that is asked for."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any, Literal, NoReturn, Optional

import msgspec
import pytest
from flask import Flask

from asyncsock import AsyncServer, SocketIO, emit
from asyncsock.engine.awaitables import Sent
from asyncsock.typed.validated_handler import validated
from tests.support.log_records import errors

pydantic = pytest.importorskip("pydantic")


class Receipt(msgspec.Struct):
    id: int
    at: Optional[datetime.date] = None  # noqa: UP045
    file: bytes = b""


@dataclasses.dataclass
class Record:
    id: int


class Model(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    id: int


class Label(str):
    __slots__ = ()


FITTING: list[tuple[Any, Any]] = [
    (int, 1),
    (None, None),
    (Receipt, Receipt(1, datetime.date(2026, 1, 2), b"\0")),
    (Receipt, {"id": 1}),
    (list[Receipt], [Receipt(1)]),
    (Record, Record(1)),
    (Model, Model(id=1)),
    (Optional[Model], None),  # noqa: UP045
    (tuple[int, str], (1, "a")),
    (Literal["a"], "a"),
    (str, Label("a")),
    (bytes, b"\0"),
    (datetime.date, datetime.date(2026, 1, 2)),
    (dict[int, str], {1: "a"}),
    (Any, object()),
    (NoReturn, 1),
    (Sent, 1),
]
# What does not fit, why, and where in it.
WRONG: list[tuple[Any, Any, str, str]] = [
    (int, "1", "Expected `int`, got `str`", ""),
    (None, 1, "Expected `null`, got `int`", ""),
    (int, None, "Expected `int`, got `null`", ""),
    (Receipt, Receipt("1"), "Expected `int`, got `str`", ".id"),  # type: ignore[arg-type]
    (list[Record], [Record(1), Record("1")], "Expected `int`, got `str`", "[1].id"),  # type: ignore[arg-type]
    (Model, {"id": 1.5}, "Input should be a valid integer, got a number with a fractional part", ".id"),
    (tuple[int, str], (1, 2), "Expected `str`, got `int`", "[1]"),
]


def returning(annotation: Any, result: Any) -> Any:
    def handler() -> Any:
        return result

    handler.__annotations__["return"] = annotation
    return handler


@pytest.mark.parametrize(("annotation", "result"), FITTING)
def test_an_answer_that_fits_is_returned_as_it_is(annotation: Any, result: Any) -> None:
    assert validated(returning(annotation, result), "event", validate=True)() is result


@pytest.mark.parametrize(("annotation", "result", "why", "where"), WRONG)
def test_one_that_does_not_is_an_error_of_the_application(
    annotation: Any, result: Any, why: str, where: str
) -> None:
    with pytest.raises(TypeError) as raised:
        validated(returning(annotation, result), "event", validate=True)()
    text = f"handler() returned what its annotation does not allow: {why} at ${where}"
    assert str(raised.value) == f"returning.<locals>.{text}"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_it_goes_the_way_of_any_error_of_a_handler(
    asynchronous: bool, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, validate=True)

    async def coroutine() -> int:
        return "no number"  # type: ignore[return-value]

    def function() -> int:
        return "no number"  # type: ignore[return-value]

    socketio.on_event("event", coroutine if asynchronous else function)
    client = socketio.test_client(app)
    with pytest.raises(TypeError):
        client.emit("event", callback=True)
    assert len(errors(caplog)) == 1
    socketio.on_error_default(lambda error: type(error).__name__)
    assert client.emit("event", callback=True) == "TypeError"


def test_what_a_handler_sends_and_returns_is_no_answer() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, validate=True)

    @socketio.on("event")
    async def event() -> Sent:
        return emit("hi")

    client = socketio.test_client(app)
    assert client.emit("event", callback=True) == []


def test_without_the_option_nobody_looks() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on_event("event", returning(int, "no number"))
    assert socketio.test_client(app).emit("event", callback=True) == "no number"


# What an event type sends


@pytest.mark.parametrize(
    ("annotation", "value"), [row for row in FITTING if row[0] not in (NoReturn, Sent, Any)]
)
def test_an_event_type_sends_what_fits(annotation: Any, value: Any) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, validate=True)
    client = socketio.test_client(app)
    socketio.event_type("event", annotation).emit(value)
    assert len(client.get_received()) == 1


@pytest.mark.parametrize(("annotation", "value", "why", "where"), WRONG)
def test_an_event_type_refuses_what_does_not_at_the_call(
    annotation: Any, value: Any, why: str, where: str
) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, validate=True)
    client = socketio.test_client(app)
    with pytest.raises(TypeError) as raised:
        socketio.event_type("event", annotation).emit(value)
    assert str(raised.value) == f"event 'event': {why} at $[0]{where}"
    assert client.get_received() == []


def test_an_event_type_names_the_argument() -> None:
    server = AsyncServer(validate=True)
    event: Any = server.event_type("moved", int, list[str])
    with pytest.raises(TypeError, match=r"event 'moved': Expected `str`, got `int` at \$\[1\]\[0\]"):
        event.emit(1, [2])


def test_an_event_type_that_was_declared_before_the_application_is_checked_by_its_option() -> None:
    socketio = SocketIO()
    event: Any = socketio.event_type("event", int)
    socketio.init_app(Flask(__name__), validate=True)
    with pytest.raises(TypeError, match="Expected `int`"):
        event.emit("1")


def test_without_the_option_it_sends_what_it_is_given() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    client = socketio.test_client(app)
    event: Any = socketio.event_type("event", int)
    event.emit("1")
    assert client.get_received()[0]["args"] == ["1"]


def test_what_cannot_be_sent_says_so() -> None:
    socketio = SocketIO(Flask(__name__), validate=True)
    event: Any = socketio.event_type("event", list[int])
    with pytest.raises(TypeError, match="of type object"):
        event.emit([object()])
