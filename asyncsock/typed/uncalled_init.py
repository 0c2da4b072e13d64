"""What is lost because msgspec makes objects without a call of `__init__`.

It sets the fields itself, and then calls `__post_init__` and the validators of attrs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from msgspec import inspect

from .pydantic_types import is_pydantic


def loss(info: inspect.Type) -> str | None:
    """Why objects of a type cannot be made of what clients send; None if nothing is lost."""
    if not isinstance(info, inspect.DataclassType):
        return None
    cls = getattr(info.cls, "__origin__", info.cls)
    name = cls.__name__
    if is_pydantic(cls):
        return f"{name} is a dataclass of Pydantic's in another class, and not validated: use a BaseModel"
    for field in _fields(cls):
        if not field.init:
            return f"{name}.{field.name} has init=False, and clients could set it: make it a property"
        if getattr(field, "converter", None) is not None:
            return f"{name}.{field.name} has a converter, which would not be called: convert in the handler"
    return None


def _fields(cls: Any) -> Iterable[Any]:
    return dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else cls.__attrs_attrs__
