"""Who is in which room, and who comes and goes with a change: no input or output."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, TypeVar

Place = tuple[str, Any]  # a namespace and a room of it; room None has everybody in the namespace
A = TypeVar("A")
B = TypeVar("B")

OWN = ""  # the owner of what this process has tracked


class Meta:
    """What is shown of somebody. Two that are encoded alike are the same.

    Args:
        text: It, encoded.
        attachments: Its binary data.
        value: It, decoded, to be sent and never to be changed or given out.
    """

    __slots__ = ("attachments", "text", "value")

    def __init__(self, text: bytes, attachments: tuple[bytes, ...] = (), value: Any = None) -> None:
        self.text = text
        self.attachments = attachments
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Meta):
            return NotImplemented
        return self.text == other.text and self.attachments == other.attachments

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Meta({self.text!r}, {self.attachments!r})"


NOTHING = Meta(b"")


class Entry(NamedTuple):
    """That a client is in a place.

    Attributes:
        owner: The name of the process that has the client.
        key: Who the client is.
        meta: What is shown of it there.
        moves: How often the client has come from one process to another since it was tracked.
    """

    owner: str
    key: str
    meta: Meta
    moves: int


class Change(NamedTuple):
    """That a client is somebody in a place from now on, or with key None nobody."""

    place: Place
    sid: str
    key: str | None
    meta: Meta = NOTHING
    moves: int = 0


Metas = dict[str, list[Meta]]  # of each key


class Diff(NamedTuple):
    """What a change means for those who look at a place.

    A key that is in both has other metas than before. Whoever deletes the keys of ``leaves`` and then sets
    those of ``joins`` has the new state.

    Attributes:
        joins: The metas of each key that has come or changed.
        leaves: The metas that each key had which has gone or changed.
    """

    joins: Metas
    leaves: Metas


Diffs = list[tuple[Place, Diff]]


class People:
    """The entries of all processes, at most one for each client and place.

    A key is in a place while an entry has it. Its metas are those of its entries, each once. What a change
    costs depends on the entries that it changes, and not on how many there are in the place.
    """

    def __init__(self) -> None:
        self._entries: dict[str, dict[Place, Entry]] = {}  # by sid
        self._owned: dict[str, dict[str, int]] = {}  # by owner, how many entries a client has
        self._places: dict[Place, dict[str, dict[Meta, int]]] = {}  # how many entries have a key and a meta

    def there(self, place: Place) -> Metas:
        """Who is in a place: each key with its metas."""
        return {key: list(metas) for key, metas in self._places.get(place, {}).items()}

    def entry(self, place: Place, sid: str) -> Entry | None:
        """The entry of a client in a place."""
        return self._entries.get(sid, {}).get(place)

    def of(self, owner: str) -> list[Change]:
        """The changes that give the entries of a process."""
        return [change for sid in self._owned.get(owner, ()) for change in self.of_client(owner, sid)]

    def of_client(self, owner: str, sid: str) -> list[Change]:
        """The changes that give a client the entries that a process has of it."""
        return [
            Change(place, sid, entry.key, entry.meta, entry.moves)
            for place, entry in self._entries.get(sid, {}).items()
            if entry.owner == owner
        ]

    def update(self, owner: str, changes: Iterable[Change]) -> Diffs:
        """Make changes that a process has told.

        The entry of a client that has moved to this process is now this one's. Otherwise a process does not
        change the entries of another one.

        Returns:
            What has changed in each place, if anything has.
        """
        before: dict[tuple[Place, str], list[Meta]] = {}
        for place, sid, key, meta, moves in changes:
            old = self.entry(place, sid)
            new = Entry(owner, key, meta, moves) if key is not None else None
            if old == new or (old is not None and old.owner != owner and (new is None or moves <= old.moves)):
                continue
            for entry in filter(None, (old, new)):
                before.setdefault((place, entry.key), self._metas(place, entry.key))
            self._put(place, sid, old, new)
        return self._compared(before)

    def replace(self, owner: str, changes: Iterable[Change]) -> Diffs:
        """Have no other entries of a process than those of its changes."""
        changes = list(changes)
        kept = {(change.place, change.sid) for change in changes}
        old = [each for each in self.of(owner) if (each.place, each.sid) not in kept]
        return self.update(owner, [*(each._replace(key=None) for each in old), *changes])

    def _metas(self, place: Place, key: str) -> list[Meta]:
        return list(self._places.get(place, {}).get(key, ()))

    def _compared(self, before: dict[tuple[Place, str], list[Meta]]) -> Diffs:
        diffs: dict[Place, Diff] = {}
        for (place, key), old in before.items():
            new = self._metas(place, key)
            if new != old:
                diff = diffs.setdefault(place, Diff({}, {}))
                if old:
                    diff.leaves[key] = old
                if new:
                    diff.joins[key] = new
        return list(diffs.items())

    def _put(self, place: Place, sid: str, old: Entry | None, new: Entry | None) -> None:
        """Put an entry in the place of another."""
        entries = self._entries.setdefault(sid, {})
        if old is not None:
            _count(self._owned, old.owner, sid, -1)
        if new is not None:
            _count(self._owned, new.owner, sid, 1)
            entries[place] = new
        else:
            del entries[place]
            if not entries:
                del self._entries[sid]
        if old is not None and new is not None and (old.key, old.meta) == (new.key, new.meta):
            return  # it only has another owner: nobody comes or goes, and the order stays
        people = self._places.setdefault(place, {})
        if new is not None:
            _count(people, new.key, new.meta, 1)
        if old is not None:
            _count(people, old.key, old.meta, -1)
        if not people:
            del self._places[place]


def _count(counts: dict[A, dict[B, int]], name: A, item: B, by: int) -> None:
    """Change how many of an item there are under a name. What there is none of is not kept."""
    items = counts.setdefault(name, {})
    items[item] = items.get(item, 0) + by
    if not items[item]:
        del items[item]
    if not items:
        del counts[name]
