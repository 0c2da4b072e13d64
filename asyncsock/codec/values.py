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
from functools import cache, lru_cache, partial
from math import isfinite
from typing import Any
from uuid import UUID

import msgspec
import orjson

# What orjson would write in a form of its own is passed to `simpler` instead.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
LINE = 300  # characters of an error of the user's JSON module
BINARY = (bytes, bytearray, memoryview)
AS_TEXT = (Decimal, date, time, timedelta)  # also a datetime, which is a date
KEPT = (*BINARY, datetime, date, time, timedelta, Decimal)  # by `without_data_classes`
DATA_CLASSES = ("__struct_fields__", "__dataclass_fields__", "__attrs_attrs__", "__pydantic_serializer__")

# What to do with a value that cannot be sent, by an attribute of its type.
_REMEDIES = {
    "__await__": "await it first",
    "tolist": "send its tolist()",
    "__iter__": "send a list of it",
}


class Body(msgspec.Struct, gc=False):
    """Encoded data, and the binary attachments that were taken out of it."""

    data: Any
    attachments: Sequence[bytes] = ()


class NotEncodable(TypeError):
    """A value that cannot be sent. Its text says which, as ``data[0]["user"]``, and why."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why
        self._path: list[Any] = []  # the innermost index or key first

    @classmethod
    def of_type(cls, kind: type, form: str) -> NotEncodable:
        remedy = next((text for name, text in _REMEDIES.items() if hasattr(kind, name)), "convert it first")
        return cls(f"is of type {kind.__name__}, which is not {form} serializable: {remedy}")

    def within(self, at: Any) -> None:
        """Add the index or the key of the value in its container to the path."""
        self._path.append(at)

    def from_data(self, data: Any, arguments_at: int) -> NotEncodable:
        """Make the path begin at the data that was given, not at the array that was encoded.

        Args:
            data: The data that was given, in which a tuple stands for several arguments.
            arguments_at: The index of the first argument in the array.
        """
        if self._path:
            first = self._path.pop() - arguments_at
            if isinstance(data, tuple):
                self._path.append(first)
        return self

    def at_call(self, event: str, data: Any, arguments_at: int) -> TypeError:
        """The error for the caller of emit(): a plain `TypeError`, as json raises."""
        return TypeError(f"event {_key(event)}: {self.from_data(data, arguments_at)}")

    def __str__(self) -> str:
        path = "".join([f"[{_key(at)}]" for at in reversed(self._path)])
        return f"data{path} {self.why}"


def describe_failure(error: Exception) -> str:
    """Why something could not be encoded, in one line."""
    if isinstance(error, NotEncodable):
        return str(error)
    return f"{type(error).__name__}: {error}".partition("\n")[0][:LINE]


def encode_json(data: Any) -> Body:
    """Encode data as JSON, with its binary data as attachments.

    Raises:
        NotEncodable: It has a value that cannot be sent.
    """
    try:
        return Body(orjson.dumps(data, simpler_but_binary, OPTIONS))
    except TypeError:
        return encode_json_slowly(data)


def simpler_but_binary(value: Any) -> Any:
    """`simpler` for orjson, unless there is binary data, which has to be taken out."""
    if _is_only_data_class(type(value)):  # type: ignore[arg-type]
        return without_data_classes(value)
    if isinstance(value, BINARY):
        raise TypeError
    return simpler(value, "JSON")


@lru_cache
def _is_only_data_class(kind: type) -> bool:
    """Whether `simpler` takes values of a type for those of a data class, found out once for each type."""
    others = (Enum, str, int, float, list, tuple, dict, UUID, *AS_TEXT)
    return is_data_class(kind) and not issubclass(kind, others)


def encode_json_slowly(data: Any) -> Body:
    """`encode_json` for data that orjson does not take as it is."""
    attachments: list[bytes] = []

    def simplify(value: Any) -> Any:
        return _detach(value, attachments) if isinstance(value, BINARY) else simpler(value, "JSON")

    try:
        encoded = orjson.dumps(data, simplify, OPTIONS)
        if not attachments or encoded.count(b'"_placeholder":true') == len(attachments):
            return Body(encoded, attachments)
    except TypeError:
        pass
    return _encode_with_the_standard_library(data)


def _encode_with_the_standard_library(data: Any) -> Body:
    """For what orjson does not take: integers of over 64 bits, lone surrogates, keys that are not text."""
    plain = _PlainJSON()
    value = plain.whole(data)
    if plain.attachments and plain.has_lookalike:
        plain = _PlainJSON(refuse_lookalikes=True)
        value = plain.whole(data)
    try:
        return Body(stdlib_json.dumps(value, separators=(",", ":")).encode(), plain.attachments)
    except ValueError as error:  # an integer of thousands of digits
        raise NotEncodable(f"cannot be encoded: {error}") from None


def encode_json_with(json: Any) -> Callable[[Any], Body]:
    """A function like `encode_json` that lets the user's module encode all but binary data."""

    def encode(data: Any) -> Body:
        attachments: list[bytes] = []
        try:
            text = json.dumps(_without_binary(data, attachments), separators=(",", ":"))
        except TypeError:  # the module may not know data classes
            attachments.clear()
            plain = _without_binary(data, attachments, data_classes=True)
            text = json.dumps(plain, separators=(",", ":"))
        encoded = text.encode() if isinstance(text, str) else text
        if not encoded.isascii():
            encoded.decode()  # raises for what is not UTF-8: clients close the connection that brings it
        return Body(encoded, attachments)

    return encode


class JSONModule:
    """`encode_json` as a JSON module, for python-socketio's own packets."""

    loads = staticmethod(stdlib_json.loads)

    @staticmethod
    def dumps(data: Any, **options: Any) -> str:
        encoded: bytes = encode_json(data).data
        return encoded.decode()


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
        # In the mode for JSON, Pydantic makes text of binary data, and also of types that it alone knows.
        return plain if _has_binary(plain) else serializer.to_python(value, mode="json", by_alias=True)
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


class _PlainJSON(Plain):
    """Takes binary data out into `attachments`."""

    def __init__(self, refuse_lookalikes: bool = False) -> None:
        super().__init__("JSON")
        self.attachments: list[bytes] = []
        self.has_lookalike = False
        self._refuse_lookalikes = refuse_lookalikes

    def number(self, value: float) -> Any:
        return value if isfinite(value) else None

    def binary(self, value: Any) -> Any:
        return _detach(value, self.attachments)

    def object(self, value: dict[Any, Any]) -> dict[str, Any]:
        if value.get("_placeholder") is True:
            self.has_lookalike = True
            if self._refuse_lookalikes:
                raise NotEncodable("looks like the placeholder of binary data, beside binary data") from None
        return super().object(value)


def _detach(value: Any, attachments: list[bytes]) -> dict[str, Any]:
    attachments.append(bytes(value))
    return {"_placeholder": True, "num": len(attachments) - 1}


def _without_binary(data: Any, attachments: list[bytes], data_classes: bool = False) -> Any:
    """The data with placeholders for binary values, and without data classes if these are to be converted.

    Parts without any are returned as they are.
    """
    if data_classes and is_data_class(type(data)):
        data = without_data_classes(data)
        return _without_binary(data, attachments)
    if isinstance(data, BINARY):
        return _detach(data, attachments)
    before = len(attachments)
    if isinstance(data, (list, tuple)):
        items = [_without_binary(item, attachments, data_classes) for item in data]
        return items if data_classes or len(attachments) > before else data
    if isinstance(data, dict):
        values = {key: _without_binary(value, attachments, data_classes) for key, value in data.items()}
        return values if data_classes or len(attachments) > before else data
    return data


def _key(at: Any) -> str:
    """An index or a key as Python writes it, cut to fit in a line."""
    text = repr(at).replace("\n", " ") if not isinstance(at, str) else stdlib_json.dumps(str.__str__(at))
    return text if len(text) <= 100 else f"{text[:97]}..."
