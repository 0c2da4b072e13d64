"""The error of an event whose arguments do not fit what its handler takes."""

from __future__ import annotations

from typing import Any

from ..engine.log import printable

CODE = "invalid_payload"
MOST_OF_PATH = 200  # characters
MOST_OF_MESSAGE = 200
MOST_OF_EVENT = 100  # in the text of the error; a client makes up the name for a handler of any event


class InvalidPayload(ValueError):
    """What a client has sent does not fit the annotations of the handler, which is not called.

    An error handler (`SocketIO.on_error`) gets it, and what that returns is the acknowledgement. If it
    returns None, or there is none, the client gets `answer`, and the log a line.

    Args:
        event: The name of the event; ``'connect'`` for the ``auth`` of a connect handler.
        path: Where, such as ``$[0].text``: ``$`` is the list of the arguments, or ``auth``.
        message: What was expected there, and what came.

    Attributes:
        event: The name of the event.
        path: Where in the arguments, at most 200 characters.
        message: What was expected there, and what came, at most 200 characters.
    """

    def __init__(self, event: str, path: str, message: str) -> None:
        self.event = event
        self.path = _cut(path, MOST_OF_PATH)
        self.message = _cut(message, MOST_OF_MESSAGE)
        text = f"event {_cut(event, MOST_OF_EVENT)!r}: {self.message} at {self.path}"
        super().__init__(printable(text))  # applications log it, and what the client has sent is in it

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.event, self.path, self.message)

    @property
    def expected(self) -> str:
        """The same as ``message``."""
        return self.message

    def details(self) -> dict[str, str]:
        """What the client is told: ``code``, ``path`` and ``message``."""
        return {"code": CODE, "path": self.path, "message": self.message}

    def answer(self) -> dict[str, dict[str, str]]:
        """The acknowledgement: ``{"error": {"code": "invalid_payload", "path": ..., "message": ...}}``."""
        return {"error": self.details()}

    def refusal(self) -> dict[str, Any]:
        """With what a connection is refused, as `ConnectionRefusedError` says it."""
        return {"message": "Invalid payload", "data": self.details()}


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
