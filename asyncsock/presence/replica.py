"""How the processes come to know the same people: no input or output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from .people import OWN, Change, Diffs, People

WAITING = 1000  # changes of a process that are kept while its state is on the way; then it is asked for again


class Outcome(NamedTuple):
    """What a message of another process leads to.

    Attributes:
        diffs: What has changed.
        ask: Whether to ask that process for its state.
        moved: What this process is to tell the others: its clients that are there now are not here any more.
    """

    diffs: Diffs
    ask: bool = False
    moved: Sequence[Change] = ()


class _Other:
    """What is known of another process.

    Attributes:
        number: That of its last change which was made here, too.
        waiting: Its later changes, while one before them is missing.
        parts: The changes of its state that have come so far.
    """

    def __init__(self) -> None:
        self.number = 0
        self.waiting: list[tuple[int, Sequence[Change]]] | None = None
        self.parts: list[Change] = []


class Replica:
    """The people of all processes, as this one has been told.

    Each process numbers its changes and tells them to all others. Who misses one asks for the whole state of
    that process, which has the number of the last change in it.

    Attributes:
        people: The people.
        number: How many changes this process has told.
    """

    def __init__(self) -> None:
        self.people = People()
        self.number = 0
        self._others: dict[str, _Other] = {}

    def number_of(self, owner: str) -> int:
        """The number of the last change of a process that was made here."""
        if owner == OWN:
            return self.number
        other = self._others.get(owner)
        return other.number if other is not None else 0

    def change(self, changes: Iterable[Change]) -> Diffs:
        """Make changes of this process, which are to be told to the others with the new `number`."""
        self.number += 1
        return self.people.update(OWN, changes)

    def told(self, owner: str, number: int, changes: Sequence[Change]) -> Outcome:
        """Make the changes that another process has told.

        Args:
            owner: The process.
            number: That of the changes.
            changes: The changes.
        """
        other = self._others.setdefault(owner, _Other())
        if number <= other.number:
            return Outcome([])
        if other.waiting is None and number == other.number + 1:
            other.number = number
            moved = self._moved(changes)
            return Outcome(self.people.update(owner, changes), moved=moved)
        ask = other.waiting is None or len(other.waiting) >= WAITING
        if other.waiting is None or ask:
            other.waiting = []
        other.waiting.append((number, changes))
        return Outcome([], ask)

    def received(
        self, owner: str, number: int, start: int, changes: Sequence[Change], is_last: bool
    ) -> Outcome:
        """Take a part of the state of another process.

        Args:
            owner: The process.
            number: That of its last change in the state.
            start: How many changes were in the parts before.
            changes: Those of this part.
            is_last: Whether the state is complete with it.
        """
        other = self._others.setdefault(owner, _Other())
        if start == 0:
            other.parts = []
        if start != len(other.parts):
            return Outcome([])  # a part is missing: the state will be asked for again
        other.parts += changes
        if not is_last:
            return Outcome([])
        state, other.parts = other.parts, []
        if number < other.number:
            return Outcome([])
        waiting, other.waiting, other.number = other.waiting or (), None, number
        moved = self._moved(state)
        outcome = Outcome(self.people.replace(owner, state), moved=moved)
        for later in waiting:
            more = self.told(owner, *later)
            diffs, moved = outcome.diffs + more.diffs, [*outcome.moved, *more.moved]
            outcome = Outcome(diffs, outcome.ask or more.ask, moved)
        return outcome

    def forget(self, owner: str) -> Diffs:
        """Remove what another process has, which is not there any more."""
        self._others.pop(owner, None)
        return self.people.replace(owner, ())

    def _moved(self, changes: Iterable[Change]) -> list[Change]:
        """The removals of what changes of another process take from this one."""
        moved = []
        for change in changes:
            entry = self.people.entry(change.place, change.sid)
            if (
                entry is not None
                and entry.owner == OWN
                and change.key is not None
                and change.moves > entry.moves
            ):
                moved.append(Change(change.place, change.sid, None))
        return moved
