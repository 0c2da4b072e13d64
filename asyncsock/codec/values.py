"""What Python's values are sent as, in JSON or msgpack: the table is in docs/reference/data.md.

The rule: what the standard library's ``json`` writes is sent in the same form, except for NaN and infinity,
which are not JSON and are sent as null. Enum members are sent as their value, dates, decimals and UUIDs as
text, and data classes as objects, in the form in which msgspec reads them. Anything else raises
`NotEncodable`.
"""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Callable, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache, partial
from typing import Any
from uuid import UUID

import msgspec

from .not_encodable import NotEncodable

BINARY = (bytes, bytearray, memoryview)
AS_TEXT = (Decimal, date, time, timedelta)  # also a datetime, which is a date
KEPT = (*BINARY, datetime, date, time, timedelta, Decimal)  # by `without_data_classes`
DATA_CLASSES = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__pydantic_serializer__")


def simpler(value: Any, form: str) -> Any:
    """A value as the plain type that its own type is derived from or stands for.

    Raises:
        NotEncodable: There is no such type.
    """
    kind = type(value)  # not isinstance(), which believes __class__, as of Flask's proxies; json does not
    if issubclass(kind, Enum):
        return value.value
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, int):
        return int.__int__(value)
    if issubclass(kind, float):
        return float.__float__(value)
    if issubclass(kind, (list, tuple)):
        return list(value)
    if issubclass(kind, dict):
        return dict(value.items())
    if issubclass(kind, UUID):
        return str(value)
    if issubclass(kind, AS_TEXT):
        return _text(value)
    if is_data_class(kind):
        return without_data_classes(value, form)
    raise NotEncodable.of_type(kind, form) from None


def _text(value: Any) -> str:
    """The text of a decimal, a date, a time, both, or a duration (ISO 8601)."""
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, timedelta):
        duration: str = msgspec.to_builtins(timedelta(value.days, value.seconds, value.microseconds))
        return duration
    text: str = value.isoformat()
    return f"{text[:-6]}Z" if text.endswith("+00:00") else text


def is_data_class(kind: type) -> bool:
    """Whether a type is a msgspec struct, a dataclass, an attrs class or a Pydantic model."""
    return any(hasattr(kind, name) for name in DATA_CLASSES)


def without_data_classes(value: Any, form: str = "JSON") -> Any:
    """A value with dictionaries, or arrays, in place of instances of data classes.

    Binary data, dates and decimals stay as they are.

    Args:
        form: The encoding, as errors name it.

    Raises:
        NotEncodable: There is a value in it that cannot be sent.
    """
    serializer = getattr(type(value), "__pydantic_serializer__", None)
    if serializer is not None:
        plain = serializer.to_python(value, by_alias=True)
        if not _has_binary(plain):
            # In the mode for JSON, Pydantic also makes text of types that it alone knows.
            return serializer.to_python(value, mode="json", by_alias=True)
        value = plain  # with what may stand in a field only, such as sets
    try:
        return msgspec.to_builtins(value, builtin_types=KEPT, str_keys=True, enc_hook=_hook(form))
    except NotEncodable:
        raise
    except TypeError as error:  # such as for a key
        raise NotEncodable(f"cannot be encoded: {error}") from None


@cache
def _hook(form: str) -> Callable[[Any], Any]:
    return partial(_simpler_inside, form=form)


def _simpler_inside(value: Any, form: str) -> Any:
    try:
        return simpler(value, form)
    except NotEncodable as error:
        raise NotEncodable(f"has a value in it that {error.why}") from None


def _has_binary(plain: Any) -> bool:
    if isinstance(plain, dict):
        return any(_has_binary(value) for value in plain.values())
    if isinstance(plain, (list, tuple, set, frozenset)):
        return any(_has_binary(value) for value in plain)
    return isinstance(plain, BINARY)


class Plain:
    """Converts data to the types that encoders take as they are, with text for keys.

    Args:
        form: The encoding, as errors name it.
    """

    def __init__(self, form: str) -> None:
        self._form = form

    def whole(self, data: Any) -> Any:
        """The plain form of data.

        Raises:
            NotEncodable: It has a value without a plain form.
        """
        try:
            return self.plain(data)
        except RecursionError:
            raise NotEncodable("is nested too deeply, or contains itself") from None
        except ValueError as error:  # a memoryview that was released, or an integer of thousands of digits
            raise NotEncodable(f"cannot be encoded: {error}") from None

    def plain(self, value: Any) -> Any:
        kind = type(value)
        if kind is str or kind is bool or value is None:
            return value
        if kind is int:
            return self.integer(value)
        if kind is float:
            return self.number(value)
        if kind is list or kind is tuple:
            return self._list(value)
        if kind is dict:
            return self.object(value)
        if issubclass(kind, BINARY):
            return self.binary(value)
        return self.other(value)

    def _list(self, value: Sequence[Any]) -> list[Any]:
        result: list[Any] = []
        try:
            for item in value:
                result.append(item if type(item) is str else self.plain(item))
        except NotEncodable as error:
            error.within(len(result))
            raise
        return result

    def object(self, value: dict[Any, Any]) -> dict[str, Any]:
        result = {}
        key = None
        try:
            for key, item in value.items():
                text = key if type(key) is str else self._text(key)
                result[text] = item if type(item) is str else self.plain(item)
        except NotEncodable as error:
            error.within(key)
            raise
        return result

    def _text(self, key: Any) -> str:
        kind = type(key)
        if kind is int:
            return int.__repr__(key)
        if issubclass(kind, str):
            return str.__str__(key)
        if key is None or kind is bool or issubclass(kind, (int, float)):
            return stdlib_json.dumps(key)  # json has the same texts for keys
        raise NotEncodable(f"is under a key of type {kind.__name__}: keys are text or numbers") from None

    def integer(self, value: int) -> Any:
        return value

    def number(self, value: float) -> Any:
        return value

    def binary(self, value: Any) -> Any:
        return bytes(value)

    def other(self, value: Any) -> Any:
        return self.plain(simpler(value, self._form))
