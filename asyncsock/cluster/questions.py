"""Questions that this process has asked others, and the answers that have come."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any


class NotAllAnswered(Exception):
    """Some processes have not answered a question in time, or could not.

    Attributes:
        answers: The answers of the others, by process.
        missing: The names of those that have not answered.
    """

    def __init__(self, answers: dict[str, Any], missing: frozenset[str]) -> None:
        super().__init__(f"no answer of {len(missing)} of {len(answers) + len(missing)} processes")
        self.answers = answers
        self.missing = missing


class Question:
    """A question that waits for answers.

    Args:
        names: Who is asked.

    Attributes:
        answers: The answers so far, by process.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._waiting = set(names)
        self._failed: set[str] = set()
        self.answers: dict[str, Any] = {}
        self._settled: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._settle()

    def answered(self, name: str, answer: Any) -> None:
        """Take an answer. A process may have come after the question was asked, and heard it nevertheless."""
        self.answers[name] = answer
        self.lost(name)

    def failed(self, name: str) -> None:
        """Note that a process cannot answer."""
        self._failed.add(name)
        self.lost(name)

    def lost(self, name: str) -> None:
        """Wait no longer for a process."""
        self._waiting.discard(name)
        self._settle()

    def give_up(self) -> None:
        """Wait no longer for anybody."""
        self._waiting.clear()
        self._settle()

    def _settle(self) -> None:
        if not self._waiting and not self._settled.done():
            self._settled.set_result(None)

    async def wait(self, timeout: float | None) -> dict[str, Any]:
        """Wait for the answers.

        Raises:
            NotAllAnswered: Some did not come within so many seconds, or at all.
        """
        await asyncio.wait([self._settled], timeout=timeout)
        missing = frozenset(self._waiting | self._failed)
        if missing:
            raise NotAllAnswered(self.answers, missing)
        return self.answers


class Questions:
    """The questions that wait, by number."""

    def __init__(self) -> None:
        self._last = 0
        self._open: dict[int, Question] = {}

    def add(self, question: Question) -> int:
        """Note a question. Returns its number."""
        self._last += 1
        self._open[self._last] = question
        return self._last

    def remove(self, number: int) -> None:
        """Forget a question."""
        self._open.pop(number, None)

    def find(self, number: int) -> Question | None:
        """The question of that number, if it still waits."""
        return self._open.get(number)

    def lost(self, name: str) -> None:
        """Have no question wait for a process."""
        for question in list(self._open.values()):
            question.lost(name)

    def give_up(self) -> None:
        """Have no question wait."""
        for question in list(self._open.values()):
            question.give_up()
