"""Pydantic's models are validated by Pydantic, and it is imported by applications only."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Optional, Union

import msgspec
import pytest

from asyncsock import InvalidPayload
from asyncsock.typed.validated_handler import validated

pydantic = pytest.importorskip("pydantic")


class Item(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    name: str
    count: int = pydantic.Field(1, ge=1, alias="Count")


class Order(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    items: list[Item]
    note: Optional[Union[int, bool]] = None  # noqa: UP007,UP045


@pydantic.dataclasses.dataclass
class Record:
    number: int


class Struct(msgspec.Struct):
    item: Item


def called_with(annotation: Any, argument: Any) -> Any:
    def handler(argument: Any) -> Any:
        return argument

    handler.__annotations__["argument"] = annotation
    return validated(handler, "event")(argument)


def test_a_model_arrives_as_one_as_pydantic_converts_it() -> None:
    order = called_with(Order, {"items": [{"name": "a", "Count": "2"}]})
    assert order == Order(items=[Item(name="a", Count=2)])
    assert called_with(list[Item], [{"name": "a"}]) == [Item(name="a")]
    assert called_with(Optional[Item], None) is None  # noqa: UP045
    assert called_with(Record, {"number": 1}) == Record(1)
    assert called_with(Struct, {"item": {"name": "a"}}) == Struct(Item(name="a"))


@pytest.mark.parametrize(
    ("annotation", "sent", "path", "message"),
    [
        (Item, {"name": 1}, "$[0].name", "Input should be a valid string"),
        (Item, {}, "$[0].name", "Field required"),
        (Item, [], "$[0]", "Input should be a valid dictionary or instance of Item"),
        (Order, {"items": [{"name": "a"}, {}]}, "$[0].items[1].name", "Field required"),
        (Order, {"items": [], "note": "x"}, "$[0].note", "Input should be a valid integer"),
        (
            list[Item],
            [{"name": "a", "Count": 0}],
            "$[0][0].Count",
            "Input should be greater than or equal to 1",
        ),
        (Struct, {"item": {}}, "$[0].item", "Field required at .name"),
    ],
)
def test_what_does_not_fit_has_the_same_form_of_path(
    annotation: Any, sent: Any, path: str, message: str
) -> None:
    with pytest.raises(InvalidPayload) as raised:
        called_with(annotation, sent)
    assert raised.value.path == path
    assert raised.value.message.startswith(message)


def test_very_many_errors_are_only_counted() -> None:
    with pytest.raises(InvalidPayload) as raised:
        called_with(list[Item], [1] * 10_000)
    assert raised.value.details() == {"code": "invalid_payload", "path": "$[0]", "message": "10000 errors"}


def test_what_pydantic_does_not_know_is_an_error_when_the_handler_is_registered() -> None:
    with pytest.raises(TypeError, match="cannot be validated"):
        called_with(Union[Item, Struct], {})  # noqa: UP007


class Unfinished(pydantic.BaseModel):  # type: ignore[name-defined,misc]
    missing: Missing  # type: ignore[name-defined] # noqa: F821


class Holder(msgspec.Struct):
    inside: Unfinished


@pytest.mark.parametrize("annotation", [Unfinished, list[Unfinished], Holder])
def test_a_model_that_names_what_is_missing_is_an_error_when_the_handler_is_registered(
    annotation: Any,
) -> None:
    with pytest.raises(TypeError, match="cannot be validated: .*name 'Missing' is not defined"):
        called_with(annotation, {})


def test_pydantic_is_not_imported_by_the_package() -> None:
    program = "import asyncsock, sys; sys.exit('pydantic' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
