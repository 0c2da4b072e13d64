"""The data of packets as JSON, with its binary data as attachments beside it."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from math import isfinite
from typing import Any
from uuid import UUID

import orjson

from .base import Body
from .not_encodable import NotEncodable
from .values import AS_TEXT, BINARY, Plain, is_data_class, simpler, without_data_classes

# What orjson would write in a form of its own is passed to `simpler` instead.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS


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
