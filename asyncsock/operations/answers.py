"""What is raised where answers are missing."""

from __future__ import annotations

from typing import Any

from socketio.exceptions import TimeoutError as SocketIOTimeoutError


class AnswersMissing(SocketIOTimeoutError):
    """Not all of those who were asked have answered in time.

    Attributes:
        answers: The answers that have come.
        missing: How many have not. A process that has not said how many clients it has asked counts as one.
    """

    def __init__(self, answers: list[Any], missing: int) -> None:
        super().__init__(f"{missing} of {missing + len(answers)} answers are missing")
        self.answers = answers
        self.missing = missing
