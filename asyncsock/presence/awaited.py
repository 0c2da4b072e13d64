"""Clients that have disconnected and are still shown, because the same person may come back."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..engine.deadlines import Deadlines
from .people import Place

MOST = 10_000  # clients; more of them are not awaited

Shown = tuple[Place, str]  # where, and as whom


class Awaited:
    """The clients that are awaited.

    Args:
        delay: Seconds for which each is awaited.
        expire: Called with the sid of one that has not come back.
    """

    def __init__(self, delay: float, expire: Callable[[str], None]) -> None:
        self._expire = expire
        self._deadlines: Deadlines[str] = Deadlines(delay, lambda sid, _: self._expired(sid))
        self._shown: dict[str, list[Shown]] = {}
        self._sids: dict[Shown, dict[str, None]] = {}

    def __contains__(self, sid: str) -> bool:
        return sid in self._shown

    def clear(self) -> None:
        """Await nobody, because the event loop has ended."""
        self._deadlines.clear()
        self._shown.clear()
        self._sids.clear()

    def add(self, sid: str, shown: Iterable[Shown]) -> bool:
        """Await a client; return whether it is, as only so many are."""
        if not self._deadlines.delay or len(self._shown) >= MOST:
            return False
        self._deadlines.add(sid)
        self._shown[sid] = list(shown)
        for each in self._shown[sid]:
            self._sids.setdefault(each, {})[sid] = None
        return True

    def back(self, place: Place, key: str) -> list[str]:
        """Note that somebody is in a place. Returns the sids that need not be shown there any longer."""
        if not self._sids:
            return []
        sids = list(self._sids.pop((place, key), ()))
        for sid in sids:
            self._shown[sid].remove((place, key))
            if not self._shown[sid]:
                self.discard(sid)
        return sids

    def discard(self, sid: str) -> None:
        """Await a client no longer."""
        self._deadlines.discard(sid)
        for shown in self._shown.pop(sid, ()):
            self._sids[shown].pop(sid)
            if not self._sids[shown]:
                del self._sids[shown]

    def _expired(self, sid: str) -> None:
        self.discard(sid)
        self._expire(sid)
