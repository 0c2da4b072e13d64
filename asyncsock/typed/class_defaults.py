"""Default values of dataclasses that msgspec makes.

It leaves them in the class, where `dataclasses` would put them into the object. When it makes data of such an
object, it leaves them out: what a handler gets and sends on would lack them.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from msgspec import inspect


def leaves_defaults(info: inspect.Type) -> bool:
    """Whether msgspec leaves a default value out of the objects of a type."""
    if not isinstance(info, inspect.DataclassType):
        return False
    cls = getattr(info.cls, "__origin__", info.cls)
    return dataclasses.is_dataclass(cls) and cls.__dictoffset__ != 0 and bool(_defaults(cls))


def put_defaults(value: Any) -> None:
    """Put the default values into all dataclasses in a value that msgspec has made."""
    waiting = [value]
    while waiting:
        value = waiting.pop()
        kind = type(value)
        if isinstance(value, (list, tuple, set, frozenset)):
            waiting += value
        elif isinstance(value, dict):
            waiting += value.values()
        elif hasattr(kind, "__struct_fields__"):
            waiting += [getattr(value, name) for name in kind.__struct_fields__]
        elif hasattr(kind, "__attrs_attrs__"):
            waiting += [getattr(value, field.name) for field in kind.__attrs_attrs__]
        elif dataclasses.is_dataclass(kind):
            if kind.__dictoffset__:
                vars(value).update({**_defaults(kind), **vars(value)})
            waiting += [getattr(value, field.name, None) for field in dataclasses.fields(kind)]


def _defaults(cls: Any) -> dict[str, Any]:
    fields = [field for field in dataclasses.fields(cls) if field.init]
    return {field.name: field.default for field in fields if field.default is not dataclasses.MISSING}
