"""The error for a value that cannot be sent, and what is told of errors of encoders."""

from __future__ import annotations

import json as stdlib_json
from typing import Any

LINE = 300  # characters of an error of the user's JSON module

# What to do with a value that cannot be sent, by an attribute of its type.
_REMEDIES = {
    "__await__": "await it first",
    "tolist": "send its tolist()",
    "__iter__": "send a list of it",
}


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


def _key(at: Any) -> str:
    """An index or a key as Python writes it, cut to fit in a line."""
    text = repr(at).replace("\n", " ") if not isinstance(at, str) else stdlib_json.dumps(str.__str__(at))
    return text if len(text) <= 100 else f"{text[:97]}..."
