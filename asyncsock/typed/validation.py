"""Compares values with types, and converts what clients send to what handlers take."""

from __future__ import annotations

import re
import typing
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from typing import Any

import msgspec
from msgspec import convert, inspect
from msgspec.structs import astuple

from ..codec.values import BINARY, is_data_class, without_data_classes
from .annotations import Parameter
from .class_defaults import leaves_defaults, put_defaults
from .invalid_payload import InvalidPayload
from .pydantic_types import Misfit, PydanticType, is_pydantic
from .uncalled_init import loss

# Besides `msgspec.ValidationError`: for half of a surrogate pair, for data that nests a recursive type, and
# for an integer of hundreds of digits in place of a float, for which msgspec 0.19 raises a SystemError.
REFUSALS = (msgspec.ValidationError, UnicodeError, RecursionError, OverflowError, SystemError)
_BINARY_TYPES = (inspect.BytesType, inspect.ByteArrayType, inspect.MemoryViewType)
_INDEX = re.compile(r"\$\[(\d+)\]")


class Unchecked(TypeError):
    """A type with which nothing can be compared."""


def holds(kind: Any, is_wanted: Callable[[Any], bool]) -> bool:
    """Whether a type is of some sort, has one of that sort in brackets, or is a name for such a type."""
    seen: dict[int, Any] = {}  # an alias may stand for a type that has it in brackets
    waiting = [kind]
    while waiting:
        part = waiting.pop()
        if is_wanted(part):
            return True
        if id(part) not in seen:
            seen[id(part)] = part
            waiting += [*typing.get_args(part), *_meant(part)]
    return False


def _meant(kind: Any) -> list[Any]:
    """What a `NewType`, or an alias that a ``type`` statement makes, stands for."""
    names = ("__supertype__", "__value__")
    kind = typing.get_origin(kind) or kind  # of an alias with parameters
    return [] if isinstance(kind, type) else [getattr(kind, each) for each in names if hasattr(kind, each)]


def is_model(kind: Any) -> bool:
    """Whether a type is a msgspec struct, a dataclass, an attrs class or a Pydantic model."""
    kind = typing.get_origin(kind) or kind
    return isinstance(kind, type) and is_data_class(kind)


class Values:
    """The types of several values in a row.

    Args:
        kinds: The types.
        received: Whether the values come from clients, and are made objects for the application.

    Raises:
        Unchecked: One of them is a type that nothing can be compared with, or of which no object can be made.
    """

    def __init__(self, kinds: Sequence[Any], received: bool = True) -> None:
        self._received = received
        self._with_pydantic: list[tuple[int, PydanticType]] = []
        self._leaves_defaults = False
        self._options: dict[str, Any] = {}  # each of them takes time in `convert`
        fields = [(f"value{at}", self._kind(at, kind)) for at, kind in enumerate(kinds)]
        struct: Any = msgspec.defstruct("Values", fields, array_like=True)
        self._convert = partial(convert, type=struct, **self._options)
        # What makes a struct of all values, where nothing is left to do after that.
        self.at_once = None if self._with_pydantic or self._leaves_defaults else self._convert

    def _kind(self, at: int, kind: Any) -> Any:
        if holds(kind, is_pydantic):
            self._with_pydantic.append((at, _checkable(PydanticType, kind)))
            return Any
        try:
            info = inspect.type_info(kind)
        except Exception:  # of msgspec 0.19 also for Literal["a", 1], which it takes
            self._prepare_for_any(kind)
            return kind
        for part in _parts(info):
            self._prepare_for(kind, part)
        return kind

    def _prepare_for_any(self, kind: Any) -> None:
        try:
            msgspec.json.Decoder(kind)
        except Exception as error:  # TypeError, or NameError for a field of a struct
            raise Unchecked(f"{kind!r}: {error}") from None
        self._options |= {"builtin_types": BINARY, "str_keys": True}

    def _prepare_for(self, kind: Any, part: Any) -> None:
        """Choose the options for what is in a type."""
        if self._received and (why := loss(part)):
            raise Unchecked(f"{kind!r}: {why}")
        if isinstance(part, inspect.CustomType) and part.cls is not object:
            if not is_pydantic(part.cls):
                raise Unchecked(f"{kind!r}: {part.cls.__name__} is not a type that data can be compared with")
            _checkable(_pydantic_type, part.cls)
            self._options["dec_hook"] = _decode_pydantic
        elif isinstance(part, _BINARY_TYPES):  # which are bytes, and no text in base64
            self._options["builtin_types"] = BINARY
        elif isinstance(part, inspect.DictType):  # whose keys are text in JSON, also those of dict[int, str]
            self._options["str_keys"] = True
        elif leaves_defaults(part):
            self._leaves_defaults = True

    def convert(self, values: Sequence[Any]) -> tuple[Any, ...]:
        """Make as many values as there are types what these say.

        Raises:
            Misfit: One of them does not fit. Its path begins with the index: ``[0].text``.
        """
        try:
            converted = astuple(self._convert(values))
        except REFUSALS as error:
            raise _misfit(error) from None
        if self._leaves_defaults:
            put_defaults(converted)
        if not self._with_pydantic:
            return converted
        result = list(converted)
        for at, kind in self._with_pydantic:
            try:
                result[at] = kind.convert(result[at])
            except Misfit as misfit:
                raise Misfit(f"[{at}]{misfit.path}", misfit.message) from None
        return tuple(result)


def _misfit(error: Exception) -> Misfit:
    if isinstance(error, UnicodeError):
        return Misfit("", "Expected text, got half of a surrogate pair")
    if isinstance(error, RecursionError):
        return Misfit("", "Data nested too deeply")
    if isinstance(error, (OverflowError, SystemError)):
        return Misfit("", "Number out of range")
    # What a client has sent can be in the message; the path comes last, and has nothing of it.
    message, found, path = str(error).rpartition(" - at `")
    if not found:  # a class of the application has raised it
        return Misfit("", str(error))
    if error.__cause__ is not None and len(error.__cause__.args) > 1:  # of attrs, with the field and more
        message = str(error.__cause__.args[0])
    path = path.rpartition("`")[0]
    if path.startswith("key` in `"):
        return Misfit(path.removeprefix("key` in `$"), f"{message} for a key")
    return Misfit(path.removeprefix("$"), message)


def _parts(info: Any) -> Iterator[Any]:
    """A type, and the types in it."""
    seen: set[int] = set()
    waiting: list[Any] = [info]
    while waiting:
        part = waiting.pop()
        if isinstance(part, (list, tuple)):
            waiting += part
        elif isinstance(part, (inspect.Type, inspect.Field)) and id(part) not in seen:
            seen.add(id(part))
            waiting += [getattr(part, name) for name in part.__struct_fields__]
            yield part


_pydantic_type = cache(PydanticType)


def _checkable(make: Callable[[Any], PydanticType], kind: Any) -> PydanticType:
    try:
        return make(kind)
    except TypeError as error:
        raise Unchecked(f"{kind!r}: {error}") from None


def _decode_pydantic(kind: type, value: Any) -> Any:
    """Convert a model of Pydantic's that is a field of another class."""
    try:
        return _pydantic_type(kind).convert(value)
    except Misfit as misfit:
        raise ValueError(f"{misfit.message}{misfit.path and f' at {misfit.path}'}") from None


class Arguments:
    """What a handler takes of a client.

    Args:
        parameters: Its parameters.

    Raises:
        Unchecked: One of them is of a type that nothing can be compared with.
    """

    def __init__(self, parameters: Sequence[Parameter]) -> None:
        fixed = [each for each in parameters if not each.variadic]
        rest = [each for each in parameters if each.variadic]
        self._least = len([each for each in fixed if each.required])
        self._most = len(fixed)
        # By how many arguments there are: some may be left out.
        kinds = [each.type for each in fixed]
        self._values = {count: Values(kinds[:count]) for count in range(self._least, self._most + 1)}
        self._quick = {count: values.at_once for count, values in self._values.items()}
        self._rest = Values([list[each.type] for each in rest]) if rest else None  # type: ignore[name-defined]

    def convert(self, event: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        """Make the arguments of an event what the handler takes.

        Raises:
            InvalidPayload: They do not fit.
        """
        quick = self._quick.get(len(arguments))
        if quick is None:
            return self._convert_slowly(event, arguments)
        try:  # `Values.convert`, without the call
            return astuple(quick(arguments))
        except REFUSALS as error:
            misfit = _misfit(error)
            raise InvalidPayload(event, f"${misfit.path}", misfit.message) from None

    def _convert_slowly(self, event: str, arguments: Sequence[Any]) -> tuple[Any, ...]:
        try:
            values = self._values.get(len(arguments))
            if values is not None:
                return values.convert(arguments)
            if self._rest is None or len(arguments) < self._least:
                raise Misfit("", self._wrong_count(len(arguments)))
            first = self._values[self._most].convert(arguments[: self._most])
            return (*first, *self._convert_rest(self._rest, arguments[self._most :]))
        except Misfit as misfit:
            raise InvalidPayload(event, f"${misfit.path}", misfit.message) from None

    def _convert_rest(self, rest: Values, arguments: Sequence[Any]) -> Sequence[Any]:
        try:
            converted: Sequence[Any] = rest.convert([arguments])[0]
            return converted
        except Misfit as misfit:
            # Its path is that in a list of one list.
            path = _INDEX.sub(self._shift, "$" + misfit.path.removeprefix("[0]"), count=1)
            raise Misfit(path.removeprefix("$"), misfit.message) from None

    def _shift(self, index: re.Match[str]) -> str:
        return f"$[{int(index[1]) + self._most}]"

    def _wrong_count(self, count: int) -> str:
        if self._rest is not None:
            expected = f"at least {self._least}"
        elif self._least == self._most:
            expected = str(self._most)
        else:
            expected = f"{self._least} to {self._most}"
        word = "argument" if expected in ("1", "at least 1") else "arguments"
        return f"Expected {expected} {word}, got {count}"


class Outgoing:
    """The types of what is sent.

    Args:
        kinds: The types, in their order.

    Raises:
        Unchecked: One of them is a type that nothing can be compared with.
    """

    def __init__(self, kinds: Sequence[Any]) -> None:
        self._pydantic = [holds(kind, is_pydantic) for kind in kinds]
        self._values = Values(kinds, received=False)

    def check(self, values: Sequence[Any]) -> None:
        """Compare values with the types; what counts is what is sent of them.

        Raises:
            Misfit: One of them does not fit. Its path begins with the index.
            TypeError: One of them cannot be sent.
        """
        self._values.convert(
            [
                value if own else without_data_classes(value)
                for value, own in zip(values, self._pydantic, strict=True)
            ]
        )
