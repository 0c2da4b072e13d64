"""Classes whose `__init__` would keep something from clients are refused, as it is not called."""

from __future__ import annotations

import dataclasses
from typing import Any, TypedDict

import attrs
import msgspec
import pydantic
import pytest

from asyncsock.codec.json_data import encode_json
from asyncsock.typed.event_type import EventType
from asyncsock.typed.schemas import schemas_of
from asyncsock.typed.validated_handler import validated


@dataclasses.dataclass
class Account:
    name: str
    is_admin: bool = dataclasses.field(init=False, default=False)


@attrs.define
class AttrsAccount:
    name: str
    is_admin: bool = attrs.field(init=False, default=False)


@attrs.define
class Address:
    mail: str = attrs.field(converter=str.lower)


@pydantic.dataclasses.dataclass
class Age:
    years: int = pydantic.Field(ge=0)


class Person(msgspec.Struct):
    ages: list[Age]


class PersonDict(TypedDict):
    age: Age


def handler_of(annotation: Any) -> Any:
    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = annotation
    return handler


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (Account, "Account.is_admin has init=False, and clients could set it: make it a property"),
        (list[AttrsAccount], "AttrsAccount.is_admin has init=False"),
        (Address, "Address.mail has a converter, which would not be called: convert in the handler"),
        (Person, "Age is a dataclass of Pydantic's in another class, and not validated"),
        (PersonDict, "Age is a dataclass of Pydantic's in another class"),
    ],
)
def test_a_handler_that_takes_such_a_class_is_an_error_when_it_is_registered(
    annotation: Any, why: str
) -> None:
    with pytest.raises(TypeError, match=why):
        validated(handler_of(annotation), "event", validate=True)


class Server:
    validate = True

    def emit(self, event: str, data: Any, /, **options: Any) -> Any:
        return data


@pytest.mark.parametrize("sent", [Account("a"), AttrsAccount("a"), Address("A"), Person([Age(1)])])
def test_the_server_sends_objects_of_them(sent: Any) -> None:
    event: EventType[Any] = EventType(Server(), "event", (type(sent),), "/")
    assert event.emit(sent) == (sent,)


def test_the_schema_of_what_is_sent_does_not_require_what_stays_in_the_class() -> None:
    _, _, components = schemas_of([], [Account])
    assert components["Account"]["required"] == ["name"]
    assert encode_json([Account("a")]).data == b'[{"name":"a"}]'


def test_pydantic_validates_its_dataclass_where_it_is_asked() -> None:
    with pytest.raises(ValueError, match="greater than or equal to 0"):
        validated(handler_of(list[Age]), "event")([{"years": -1}])
