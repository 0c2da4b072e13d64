"""How often things happened, by names that may come from clients."""

from __future__ import annotations

MOST_NAMES = 200
LONGEST_NAME = 100  # characters
OTHER = "other"


class Tally(dict[str, int]):
    """Counts by name: of at most `MOST_NAMES` names, and of all others together under ``other``."""

    __slots__ = ()

    def add(self, name: str, number: int = 1) -> None:
        """Count something once, or so many times."""
        if name not in self:
            name = bounded_name(name, len(self))
        self[name] = self.get(name, 0) + number

    @property
    def total(self) -> int:
        """How often anything happened."""
        return sum(self.values())


def bounded_name(name: str, taken: int) -> str:
    """The name under which to count something new, where so many names are taken."""
    if taken >= MOST_NAMES or len(name) > LONGEST_NAME:
        return OTHER
    try:
        name.encode()
    except UnicodeEncodeError:  # it has half a surrogate pair
        return OTHER
    return name
