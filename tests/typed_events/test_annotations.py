"""What a handler takes and returns is read from its annotations, whatever kind of callable it is."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional

import msgspec
import pytest
from typing_extensions import TypeAliasType

from asyncsock import Namespace
from asyncsock.typed.annotations import HandlerTypes, Parameter, UnknownAnnotation, handler_types

if TYPE_CHECKING:
    from decimal import Decimal


class Message(msgspec.Struct):
    text: str


Answer = TypeAliasType("Answer", Optional[Message])  # noqa: UP045
MESSAGE = HandlerTypes((Parameter("message", Message, True, False),), int)


async def coroutine(message: Message) -> int:
    return 1


def function(message: Message) -> int:
    return 1


class Chat(Namespace):
    Text = str

    async def on_chat(self, message: Message) -> int:
        return 1

    def on_text(self, text: Text) -> Text:
        return text


class Callee:
    def __call__(self, message: Message) -> int:
        return 1


def logged(handler: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(handler)
    def wrapper(*args: Any) -> Any:
        return handler(*args)

    return wrapper


def with_prefix(prefix: bytes, message: Message) -> int:
    return 1


@pytest.mark.parametrize(
    "handler",
    [
        coroutine,
        function,
        Chat("/").on_chat,
        Callee(),
        logged(coroutine),
        logged(logged(Chat("/").on_chat)),
        functools.partial(with_prefix, b""),
        logged(functools.partial(with_prefix, b"")),
    ],
    ids=[
        "coroutine",
        "function",
        "method",
        "object",
        "wrapped",
        "wrapped twice",
        "partial",
        "wrapped partial",
    ],
)
def test_every_kind_of_handler_tells_its_types(handler: Callable[..., Any]) -> None:
    assert handler_types(handler, strict=True) == MESSAGE


def test_the_parameters_that_do_not_come_from_the_client_are_left_out() -> None:
    def handler(event: str, sid: str, message: Message) -> int:
        return 1

    assert handler_types(handler, 2) == MESSAGE


def test_a_variadic_parameter_stays_however_many_are_left_out() -> None:
    def handler(*data: str) -> None: ...

    types = HandlerTypes((Parameter("data", str, False, True),), type(None))
    assert handler_types(handler) == handler_types(handler, 2) == types


def test_a_parameter_with_a_default_is_not_required_and_keyword_ones_are_left_out() -> None:
    def handler(text: str = None, *, times: int = 1, **more: Any) -> None:  # type: ignore[assignment] # noqa: RUF013
        ...

    assert handler_types(handler).parameters == (Parameter("text", str, False, False),)


def test_without_annotations_everything_may_come() -> None:
    def handler(text, times=1): ...  # type: ignore[no-untyped-def]

    text, times = handler_types(handler).parameters
    assert (text.type, times.type, handler_types(handler).answer) == (Any, Any, Any)


def test_a_callable_without_a_signature_takes_anything() -> None:
    assert handler_types(dict).parameters[0].variadic


def test_what_stands_in_brackets_is_kept_and_resolved() -> None:
    def handler(a: Annotated[int, msgspec.Meta(ge=1)], b: Optional["Message"], c: Literal["x"]) -> None: ...  # noqa: UP037,UP045

    a, b, c = handler_types(handler, strict=True).parameters
    assert a.type == Annotated[int, msgspec.Meta(ge=1)]
    assert b.type == Optional[Message]  # noqa: UP045
    assert c.type == Literal["x"]


def test_names_of_the_class_and_of_an_enclosing_function_are_found() -> None:
    class Local(msgspec.Struct):
        text: str

    def handler(message: Local) -> Local:
        return Local(message.text)

    assert handler_types(handler, strict=True).answer is Local
    assert handler_types(Chat("/").on_text, strict=True).answer is str


def test_a_name_that_is_there_for_type_checkers_only_is_an_error_only_if_it_matters() -> None:
    def handler(price: Decimal, text: str) -> Decimal:
        return price

    types = handler_types(handler)
    price, text = types.parameters
    assert (price.type, text.type) == (Any, str)
    assert ["'Decimal' of 'price'" in why for why in types.unresolved] == [True]
    with pytest.raises(UnknownAnnotation) as raised:
        handler_types(handler, strict=True)
    message = str(raised.value)
    assert "handler(): the annotation 'Decimal' of 'price' is not resolved: name 'Decimal'" in message
    assert "TYPE_CHECKING" in message


def test_an_alias_is_what_it_stands_for() -> None:
    def handler() -> Answer: ...

    assert handler_types(handler, strict=True).answer == Optional[Message]  # noqa: UP045
