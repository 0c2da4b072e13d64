"""What the handlers of parity.py answer and emit, by name."""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import Any, NamedTuple

from werkzeug.datastructures import MultiDict


class Point(NamedTuple):
    x: int
    y: int


class Size(IntEnum):
    LARGE = 3


DEEP: Any = "bottom"
for level in range(60):
    DEEP = {"level": level, "in": [DEEP]}

ANSWERS: dict[str, Any] = {
    "none": None,
    "false": False,
    "zero": 0,
    "empty text": "",
    "empty list": [],
    "empty dict": {},
    "empty tuple": (),
    "text": "answer",
    "list": [1, "two"],
    "dict": {"a": [1, {"b": None}]},
    "tuple": (1, "two"),
    "one tuple": (1,),
    "tuple of tuples": ((1, 2), (3,)),
    "tuple with none": (None, 1, None),
    "tuple in a list": [(1, 2)],
    "binary": b"\x00\xff",
    "nested binary": ({"b": [b"1", b"2"]}, b"3"),
}

VALUES: dict[str, tuple[Any, ...]] = {
    "nothing": (),
    "none": (None,),
    "booleans": (True, False),
    "small integers": (0, -1, 2**31, -(2**31)),
    "integers beyond JavaScript's": (2**53 - 1, 2**53 + 1, 2**63 - 1, -(2**63)),
    "integers beyond 64 bits": (2**64, -(2**64) - 1, 10**40),
    "floats": (0.1, -0.0, 1.0, 1e300, 5e-324, 1 / 3),
    "no numbers": (float("nan"), float("inf")),
    "no numbers beside what is rare": ({"a": float("nan"), 1: [float("-inf")]}, 2**64, "\ud800"),
    "named tuples and the like": (Point(1, 2), OrderedDict(b=1), Size.LARGE, MultiDict([("a", 1), ("a", 2)])),
    "not ASCII": ("Žluťoučký kůň", "日本語", "\U0001f600", "\u2028", "\x00\x1f\x7f", "\ufeff"),
    "a lone surrogate": ("\ud800",),
    "escapes": ('"\\/\b\f\n\r\t', "</script>", "\x1e"),
    "keys that are not text": ({2: "int", None: "none", True: "bool", 1.5: "float"},),
    "keys that are not ASCII": ({"é": 1, "": 2, "a b": 3},),
    "tuples and lists": ((1, (2, [3])), [], [[]], {}, {"a": {}}),
    "deep": (DEEP,),
    "long": ("x" * 100_000, list(range(10_000))),
    "binary": (b"\x00\x01\xff", b"2"),
    "empty binary": (b"",),
    "nested binary": ({"a": [b"1", {"b": b"2"}]}, [b"3"], "text"),
    "the same binary twice": ([b"1"] * 2, b"1"),
    "long binary": (bytes(range(256)) * 400,),
    "what looks like a placeholder": ({"_placeholder": False, "num": 0}, "_placeholder"),
}
