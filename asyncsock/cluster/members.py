"""Which other processes are there: those that have given a sign of life, and have not left."""

from __future__ import annotations

from ..workers.names import Names

LOOK = 1.0  # seconds between two looks at the others
SIGN_OF_LIFE = 5.0  # seconds after which a process gives one
SILENCE = 10.0  # seconds without any after which a process counts as gone
MOST = 1000  # processes


class Member:
    """Another process.

    Attributes:
        looks: How many looks there were since it gave a sign of life.
        listener: The name of its listener, where publishers know that.
    """

    __slots__ = ("listener", "looks")

    def __init__(self) -> None:
        self.looks = 0
        self.listener = ""


class Members:
    """The other processes by name.

    Times are counted in looks, so that an event loop that was busy takes nobody for gone.
    """

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._left = Names()
        self.names: frozenset[str] = frozenset()

    def heard(self, name: str) -> bool:
        """Note a sign of life. Returns whether the process is new.

        Raises:
            ValueError: There are too many processes.
        """
        member = self._members.get(name)
        if member is not None:
            member.looks = 0
            return False
        if len(self._members) >= MOST:
            raise ValueError(f"a message of one process more than {MOST}")
        self._members[name] = Member()
        self.names = frozenset(self._members)
        return True

    def listens_as(self, name: str, listener: str) -> None:
        """Note how the listener of a process is called."""
        self._members[name].listener = listener

    def of_listener(self, listener: str) -> str | None:
        """The process that has a listener of that name, if one has."""
        for name, member in self._members.items():
            if member.listener == listener:
                return name
        return None

    def lost(self, name: str) -> bool:
        """Forget a process. Returns whether it was there."""
        if self._members.pop(name, None) is None:
            return False
        self.names = frozenset(self._members)
        return True

    def left(self, name: str) -> bool:
        """Forget a process that has said goodbye: it will not be back. Returns whether it was there."""
        self._left.add(name)
        return self.lost(name)

    def has_left(self, name: str) -> bool:
        """Whether a process has said goodbye."""
        return self._left.has(name)

    def look(self) -> list[str]:
        """Called every `LOOK` seconds. Returns the processes that have been silent for too long."""
        silent = []
        for name, member in self._members.items():
            member.looks += 1
            if member.looks * LOOK >= SILENCE:
                silent.append(name)
        return silent

    def forgive(self) -> None:
        """Count the silence of all from now on: what they said could not be heard."""
        for member in self._members.values():
            member.looks = 0

    def clear(self) -> None:
        """Forget all processes."""
        self._members.clear()
        self.names = frozenset()
