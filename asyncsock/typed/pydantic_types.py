"""Pydantic's models, where an application uses them. Pydantic is never imported here before that has."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

MOST_ERRORS = 100  # of which Pydantic is asked to tell


class Misfit(ValueError):
    """A value that a model does not take.

    Args:
        path: Where, such as ``.items[0]``.
        message: Why.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message


def is_pydantic(kind: Any) -> bool:
    """Whether a type is a model or a dataclass of Pydantic's."""
    return isinstance(kind, type) and hasattr(kind, "__pydantic_validator__")


class PydanticType:
    """Validates with Pydantic.

    Args:
        kind: A type that has models in it.

    Raises:
        TypeError: Pydantic cannot validate it.
    """

    def __init__(self, kind: Any) -> None:
        pydantic: Any = sys.modules["pydantic"]
        try:
            adapter = pydantic.TypeAdapter(kind)
            if hasattr(adapter, "rebuild"):  # which does not raise it for a name that is missing
                adapter.rebuild(raise_errors=True)
            self._validate = adapter.validate_python
        except Exception as error:  # PydanticSchemaGenerationError, PydanticUserError, NameError
            raise TypeError(str(error).partition("\n")[0]) from None
        self._refused: Any = pydantic.ValidationError

    def convert(self, value: Any) -> Any:
        """Make a value what the type says.

        Raises:
            Misfit: It does not fit.
        """
        try:
            return self._validate(value)
        except self._refused as error:
            raise _misfit(error, value) from None


def _misfit(error: Any, value: Any) -> Misfit:
    count = error.error_count()
    if count > MOST_ERRORS:
        return Misfit("", f"{count} errors")
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    return Misfit(_path(first["loc"], value, first["type"] == "missing"), first["msg"])


def _path(places: Sequence[int | str], value: Any, is_missing: bool) -> str:
    """The place in the value. Pydantic names the members of a union as well, which are no places."""
    path = ""
    for number, place in enumerate(places):
        if isinstance(value, dict):
            is_there = place in value
        else:
            is_there = isinstance(value, (list, tuple)) and place in range(len(value))
        if is_there:
            value = value[place]
        elif not (is_missing and number == len(places) - 1):
            continue
        path += f"[{place}]" if isinstance(place, int) else f".{place}"
    return path
