"""What the views of other hosts have in common: the workers of this host, if there are several."""

from __future__ import annotations

from ..engine.elsewhere import Door, Owner
from .workers import Workers


class BesideWorkers:
    """Passes on to the workers of this host what concerns them.

    Args:
        workers: They, if there are several.
    """

    def __init__(self, workers: Workers | None) -> None:
        self._workers = workers

    def use_door(self, door: Door) -> None:
        """Let workers of this host hand over connections, for ``door`` to serve."""
        if self._workers is not None:
            self._workers.use_door(door)

    def lighter(self) -> Owner | None:
        """The worker of this host that should have a new session, if that is not this one."""
        return self._workers.lighter() if self._workers is not None else None

    def leave(self) -> None:
        """Have the others take what is new, because this process stops."""
        if self._workers is not None:
            self._workers.leave()

    async def release(self) -> None:
        """Have the polls answered that wait here for sessions of others, and hand over idle connections."""
        if self._workers is not None:
            await self._workers.release()
