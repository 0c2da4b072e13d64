"""Events that the server sends, with the types of what it sends with them."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar, overload

from ..engine.awaitables import Sent
from .pydantic_types import Misfit
from .validation import Outgoing

Types = TypeVar("Types")
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")


class Emits(Protocol):
    """What an event type sends with: a `SocketIO` object or a server."""

    @property
    def validate(self) -> bool:
        """Whether what is emitted is compared with the types."""

    def emit(self, event: str, data: Any, /, **options: Any) -> Sent:
        """Emit an event; a tuple stands for several arguments."""


class EventType(Generic[Types]):
    """An event that the server sends, made by `SocketIO.event_type` or `AsyncServer.event_type`.

    Attributes:
        name: The name of the event.
        types: The types of its arguments.
        namespace: The namespace in which it is sent.
    """

    def __init__(self, owner: Emits, name: str, types: tuple[Any, ...], namespace: str) -> None:
        self._owner = owner
        self.name = name
        self.types = types
        self.namespace = namespace
        self._outgoing: Outgoing | None = None  # until something is compared with the types

    def __repr__(self) -> str:
        names = ", ".join([getattr(kind, "__name__", None) or repr(kind) for kind in self.types])
        return f"<EventType {self.name!r} ({names}) in {self.namespace!r}>"

    @overload
    def emit(self: EventType[tuple[()]], /, *, to: Any = None, **options: Any) -> Sent: ...

    @overload
    def emit(self: EventType[tuple[A]], first: A, /, *, to: Any = None, **options: Any) -> Sent: ...

    @overload
    def emit(
        self: EventType[tuple[A, B]], first: A, second: B, /, *, to: Any = None, **options: Any
    ) -> Sent: ...

    @overload
    def emit(
        self: EventType[tuple[A, B, C]],
        first: A,
        second: B,
        third: C,
        /,
        *,
        to: Any = None,
        **options: Any,
    ) -> Sent: ...

    @overload
    def emit(
        self: EventType[tuple[A, B, C, D]],
        first: A,
        second: B,
        third: C,
        fourth: D,
        /,
        *,
        to: Any = None,
        **options: Any,
    ) -> Sent: ...

    def emit(self, /, *arguments: Any, **options: Any) -> Sent:
        """Emit the event from anywhere: a handler, a view, a thread, a coroutine.

        Args:
            *arguments: What to send, of the types of the event.
            **options: Those of `SocketIO.emit` or `AsyncServer.emit`, such as ``to`` (a sid, a room, or a
                list of rooms; everybody in the namespace by default), ``skip_sid`` and ``callback``.

        Returns:
            Something to await, or to drop: the event is on its way already.

        Raises:
            TypeError: These are not as many arguments as the event has types, or they cannot be encoded; with
                the option ``validate``, also if they are not of these types.

        Example:
            Chat = socketio.event_type("chat", ChatMessage)
            await Chat.emit(ChatMessage("hi"), to="lobby")
        """
        if len(arguments) != len(self.types):
            count = f"{len(self.types)} argument{'s' if len(self.types) != 1 else ''}"
            raise TypeError(f"event {self.name!r} takes {count}, not {len(arguments)}")
        if self._owner.validate:
            self._check(arguments)
        return self._owner.emit(self.name, arguments, namespace=self.namespace, **options)

    def _check(self, arguments: tuple[Any, ...]) -> None:
        if self._outgoing is None:
            self._outgoing = Outgoing(self.types)
        try:
            self._outgoing.check(arguments)
        except Misfit as misfit:
            raise TypeError(f"event {self.name!r}: {misfit.message} at ${misfit.path}") from None


class DeclaresEvents:
    """The method of `SocketIO` and of `AsyncServer` that says what they send.

    Attributes:
        event_types: What was declared, in order.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.event_types: list[EventType[Any]] = []

    @overload
    def event_type(self, name: str, /, *, namespace: str | None = None) -> EventType[tuple[()]]: ...

    @overload
    def event_type(
        self, name: str, first: type[A], /, *, namespace: str | None = None
    ) -> EventType[tuple[A]]: ...

    @overload
    def event_type(
        self, name: str, first: type[A], second: type[B], /, *, namespace: str | None = None
    ) -> EventType[tuple[A, B]]: ...

    @overload
    def event_type(
        self, name: str, first: type[A], second: type[B], third: type[C], /, *, namespace: str | None = None
    ) -> EventType[tuple[A, B, C]]: ...

    @overload
    def event_type(
        self,
        name: str,
        first: type[A],
        second: type[B],
        third: type[C],
        fourth: type[D],
        /,
        *,
        namespace: str | None = None,
    ) -> EventType[tuple[A, B, C, D]]: ...

    @overload
    def event_type(self, name: str, /, *types: Any, namespace: str | None = None) -> EventType[Any]: ...

    def event_type(self, name: str, /, *types: Any, namespace: str | None = None) -> EventType[Any]:
        """Declare an event that the server sends.

        Type checkers compare what is emitted with the types, if these are classes, or such as ``list[str]``,
        and not more than four. About others, such as ``Literal["a", "b"]``, mypy knows nothing.

        Args:
            name: The name of the event.
            *types: The types of its arguments.
            namespace: ``'/'`` by default.

        Example:
            Chat = socketio.event_type("chat", ChatMessage)
            await Chat.emit(ChatMessage("hi"), to="lobby")
        """
        declared: EventType[Any] = EventType(self, name, types, namespace or "/")  # type: ignore[arg-type]
        self.event_types.append(declared)
        return declared
