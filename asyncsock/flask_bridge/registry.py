"""What is registered with a `SocketIO` object: handlers of events and errors, and class-based namespaces."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, overload

from ..typed.event_type import DeclaresEvents
from ..types import H, Handler
from .errors import ErrorHandlers
from .namespace import Namespace


class Registry(DeclaresEvents, ABC):
    """The decorators of `SocketIO`, and what they have registered so far."""

    def __init__(self) -> None:
        super().__init__()
        self.handlers: list[tuple[str, Handler, str]] = []
        self.validations: list[bool | None] = []  # the option ``validate`` of each of them
        self.namespace_handlers: list[Namespace] = []
        self.server_side_handlers: list[tuple[str, Handler, str]] = []
        self.errors = ErrorHandlers()

    @abstractmethod
    def _added(self, message: str, handler: Handler, namespace: str, validate: bool | None) -> None:
        """Called with each new handler."""

    @abstractmethod
    def _added_server_side(self, event: str, handler: Handler, namespace: str) -> None:
        """Called with each new handler of an event of other servers."""

    @abstractmethod
    def _added_namespace(self, namespace_handler: Namespace) -> None:
        """Called with each new class-based namespace."""

    @property
    def exception_handlers(self) -> dict[str, Handler]:
        """What `on_error` has registered, by namespace."""
        return self.errors.by_namespace

    @property
    def default_exception_handler(self) -> Handler | None:
        """What `on_error_default` has registered."""
        return self.errors.default

    def on(
        self, message: str, namespace: str | None = None, validate: bool | None = None
    ) -> Callable[[H], H]:
        """Decorate the handler of an event, a coroutine function or a function.

        Args:
            message: The name of the event; ``'*'`` for events without a handler of their own.
            namespace: ``'/'`` by default; ``'*'`` for namespaces without handlers of their own.
            validate: Whether its annotations are checked, and not only those with a class for data; by
                default that is the option of this name of `SocketIO`. False: none of them.

        Raises:
            TypeError: Nothing can be compared with an annotation that is to be checked.
        """

        def register(handler: H) -> H:
            self.handlers.append((message, handler, namespace or "/"))
            self.validations.append(validate)
            self._added(message, handler, namespace or "/", validate)
            return handler

        return register

    def on_event(
        self, message: str, handler: Handler, namespace: str | None = None, validate: bool | None = None
    ) -> None:
        """Register the handler of an event: `on` without the decorator."""
        self.on(message, namespace, validate)(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, namespace: str | None = None, validate: bool | None = None) -> Callable[[H], H]: ...

    def event(self, *args: Any, **kwargs: Any) -> Any:
        """Decorate the handler of the event that has the function's name.

        Used as ``@socketio.event`` or ``@socketio.event(namespace="/chat")``.
        """
        if len(args) == 1 and not kwargs and callable(args[0]):
            return self.on(args[0].__name__)(args[0])
        return lambda handler: self.on(handler.__name__, *args, **kwargs)(handler)

    def on_server_side(self, event: str, namespace: str | None = None) -> Callable[[H], H]:
        """Decorate the handler of an event that other processes send with `SocketIO.server_side_emit`.

        A coroutine function runs on the event loop, a function in a thread, both in an application context.

        Args:
            event: The name of the event.
            namespace: ``'/'`` by default.
        """

        def register(handler: H) -> H:
            self.server_side_handlers.append((event, handler, namespace or "/"))
            self._added_server_side(event, handler, namespace or "/")
            return handler

        return register

    def on_error(self, namespace: str | None = None) -> Callable[[H], H]:
        """Decorate the function that gets the exceptions of a namespace's handlers. Its result is the ack."""

        def register(handler: H) -> H:
            self.errors.by_namespace[namespace or "/"] = _callable(handler)
            return handler

        return register

    def on_error_default(self, handler: H) -> H:
        """Decorate the function that gets the exceptions of namespaces without an error handler."""
        self.errors.default = _callable(handler)
        return handler

    def on_namespace(self, namespace_handler: Namespace) -> None:
        """Register a class-based namespace; a handler registered with `on` goes before its methods.

        Raises:
            ValueError: It is not an instance of `Namespace`.
        """
        if not isinstance(namespace_handler, Namespace):
            raise ValueError("Not a namespace instance.")
        self.namespace_handlers.append(namespace_handler)
        self._added_namespace(namespace_handler)


def _callable(handler: Handler) -> Handler:
    if not callable(handler):
        raise ValueError("exception_handler must be callable")
    return handler
