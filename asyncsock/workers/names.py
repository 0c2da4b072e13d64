"""Names of processes, of which those that were noted last are remembered."""

from __future__ import annotations

from collections import OrderedDict

MOST = 10_000


class Names:
    """A bounded set of names."""

    def __init__(self) -> None:
        self._until: OrderedDict[str, float] = OrderedDict()

    def add(self, name: str, until: float = float("inf")) -> None:
        """Note a name.

        Args:
            name: The name.
            until: When it is to be forgotten, on some clock.
        """
        self._until[name] = until
        self._until.move_to_end(name)
        if len(self._until) > MOST:
            self._until.popitem(last=False)

    def has(self, name: str, now: float = 0.0) -> bool:
        """Whether a name is noted, at a time."""
        return now < self._until.get(name, float("-inf"))
