"""Who is online: what handlers say of their clients, and who is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any

from ..cluster import Cluster
from ..codec.base import Body, Codec
from ..codec.json_codec import JSONCodec
from ..codec.not_encodable import NotEncodable
from ..engine.awaitables import SENT, Sent
from ..managers import AnyRooms
from .awaited import Awaited
from .messages import Asked, Part, Told, Written, is_room, parts, read, write
from .people import OWN, Change, Diffs, Meta, Metas, Place
from .replica import Outcome, Replica

STATE_EVENT, DIFF_EVENT = "presence_state", "presence_diff"
MOST_DEPARTED = 1000  # processes that have stopped, and whose people are still shown
TOLD, PART, ASKED = "presence.told", "presence.part", "presence.asked"


class Presence:
    """Keeps who is in which room, and shows it to those who are in it.

    Args:
        rooms: The clients and rooms of this process. Others can be set while there are no clients.
        cluster: The other processes.
        codec: Encodes what clients are sent.
        json: The JSON module with which processes tell each other what is shown of somebody.
        leave_after: Seconds for which a client that has disconnected is still shown, as it may come back.

    Attributes:
        hold: Seconds for which the clients of a process that has stopped in order are still shown.
    """

    def __init__(
        self, rooms: AnyRooms, cluster: Cluster, codec: Codec, json: Any, leave_after: float
    ) -> None:
        self.rooms = rooms
        self.hold = leave_after
        self._cluster = cluster
        self._client_codec = codec
        self._codec = codec if isinstance(codec, JSONCodec) else JSONCodec(json)
        self._replica = Replica()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_stopping = False
        self._parked: set[str] = set()  # sids whose connection is lost, and may be restored
        self._awaited = Awaited(leave_after, self._remove)
        self._departed: dict[str, float] = {}  # when the people leave of processes that have stopped in order
        cluster.on(TOLD, Told, self._told)
        cluster.on(PART, Part, self._received)
        cluster.on(ASKED, Asked, lambda sender, _: self._tell_all_to(sender))
        cluster.on_joined.append(self._joined)
        cluster.on_left.append(self._process_left)

    def start(self) -> None:
        """Begin with nobody, on the running event loop."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop or self._is_stopping:
            self._loop = loop
            self._replica = Replica()
            self._parked.clear()
            self._awaited.clear()
            self._departed.clear()
        self._is_stopping = False

    def stop(self) -> None:
        """Have nobody leave any more: when this process says goodbye, the others know that all have left."""
        self._is_stopping = True

    # What handlers do

    def track(self, sid: str, key: str, meta: Any, room: Any, namespace: str) -> Sent:
        """Say who a client is, in a room that it enters if it is not in it.

        Raises:
            ValueError: This process has no such client, or it may not enter the room.
            TypeError: The key is no text, the room neither text nor a number, or the meta cannot be encoded.
        """
        place = namespace, room
        encoded = self._checked(key, meta, room)
        if not self.rooms.has(sid, namespace):
            raise ValueError("sid is not connected to requested namespace in this process")
        if room is not None:
            self.rooms.enter_room(sid, namespace, room)
        self.rooms.on_leave = self._left
        old = self._replica.people.entry(place, sid)
        moves = 0 if old is None else old.moves if old.owner == OWN else old.moves + 1
        change = Change(place, sid, key, encoded, moves)
        sent = self._change([change, *self._returned([change])], skip_sid=sid)
        self._show(place, sid)
        return sent

    def _checked(self, key: str, meta: Any, room: Any) -> Meta:
        if not isinstance(key, str):
            raise TypeError(f"key={key!r:.100}: a key is text, as the names in JSON are: pass str() of it")
        if not is_room(room):
            raise TypeError(
                f"room={room!r:.100}: nobody can be tracked in a room that is neither text nor a number"
            )
        try:
            body = self._codec.encode(meta)
            value = self._codec.load(body)
            self._client_codec.encode([value, b""])  # nobody can keep what others show from being sent
        except NotEncodable as error:
            raise TypeError(f"the meta of {key!r:.100}: {error}") from None
        return Meta(bytes(body.data), tuple(body.attachments), value)

    def untrack(self, sid: str, room: Any, namespace: str) -> Sent:
        """Take back what `track` has said of a client in a room, in which it stays."""
        entry = self._replica.people.entry((namespace, room), sid)
        if entry is None or entry.owner != OWN:
            return SENT
        return self._change([Change((namespace, room), sid, None)])

    def there(self, room: Any, namespace: str) -> dict[str, list[Any]]:
        """Who is in a room: what is shown of each key.

        Raises:
            RuntimeError: This process only writes to a message queue.
        """
        queue = self._cluster.queue
        if queue is not None and queue.write_only:
            raise RuntimeError(
                "this process only writes to the message queue, and does not know who is there"
            )
        load = self._codec.load  # a copy, which the caller may change
        there = self._replica.people.there((namespace, room))
        return {
            key: [load(Body(meta.text, meta.attachments)) for meta in metas] for key, metas in there.items()
        }

    # Clients that leave

    def _left(self, sid: str, namespace: str, room: Any) -> None:
        """Note that a client has left a room; None: all of them, and the server."""
        if room is not None:
            if sid not in self._awaited:  # python-socketio's managers name its rooms after all
                self.untrack(sid, room, namespace)
        elif sid not in self._parked:
            self.gone(sid)

    def parked(self, sid: str) -> None:
        """Note that the connection of a client is lost, and may be restored: it is still shown."""
        if self._replica.people.of_client(OWN, sid):
            self._parked.add(sid)

    def restored(self, sid: str) -> None:
        """Note that a parked client has come back to this process."""
        self._parked.discard(sid)

    def gone(self, sid: str) -> None:
        """Note that a client has gone. It is shown for a while longer, as the same person may come back."""
        was_parked = sid in self._parked
        self._parked.discard(sid)
        entries = self._replica.people.of_client(OWN, sid)
        if self._is_stopping or not entries or self.rooms.has(sid, entries[0].place[0]):
            return  # in the last case it is back: this was said late, by the process that it came from
        shown = [(change.place, change.key) for change in entries if change.key is not None]
        if was_parked or not self._awaited.add(sid, shown):
            self._remove(sid)

    def _remove(self, sid: str) -> None:
        """Have a client leave all places."""
        if changes := self._replica.people.of_client(OWN, sid):
            self._change([change._replace(key=None) for change in changes])

    def _returned(self, changes: Iterable[Change]) -> list[Change]:
        """The removals of those who were awaited as somebody who is there again."""
        return [
            Change(change.place, sid, None)
            for change in changes
            if change.key is not None
            for sid in self._awaited.back(change.place, change.key)
        ]

    # Clients that move between processes

    def entries_of(self, sid: str) -> list[Written]:
        """What this process has of a client, for `take_over` in another one."""
        return [write(change) for change in self._replica.people.of_client(OWN, sid)]

    def check(self, sid: str, entries: Iterable[Written]) -> list[Change]:
        """What the entries of a client mean.

        Raises:
            ValueError: They are malformed, or not this client's.
        """
        changes = [read(entry, self._codec) for entry in entries]
        if any(change.sid != sid or change.key is None for change in changes):
            raise ValueError("entries of another client")
        return changes

    def take_over(self, sid: str, entries: Iterable[Written]) -> None:
        """Note that a client of another process has been restored in this one, and show it who is there.

        Raises:
            ValueError: The entries are malformed, or not this client's.
        """
        changes = [each for each in self.check(sid, entries) if self._is_in(sid, each.place)]
        if changes:
            self.rooms.on_leave = self._left
            self._change([change._replace(moves=change.moves + 1) for change in changes], skip_sid=sid)
        for change in changes:
            self._show(change.place, sid)

    def _is_in(self, sid: str, place: Place) -> bool:
        namespace, room = place
        return self.rooms.has(sid, namespace) and (
            room is None or room in self.rooms.get_rooms(sid, namespace)
        )

    # Other processes

    def _change(self, changes: Sequence[Change], skip_sid: str | None = None) -> Sent:
        number = self._replica.number + 1
        sent = self._cluster.tell(TOLD, Told(number, [write(change) for change in changes]))
        self._emit(self._replica.change(changes), skip_sid)
        return sent

    def _told(self, sender: str, told: Told) -> None:
        if sender in self._cluster.members():
            changes = [read(written, self._codec) for written in told.changes]
            self._act(sender, self._replica.told(sender, told.number, changes), changes)

    def _received(self, sender: str, part: Part) -> None:
        members = self._cluster.members()
        owner = part.of or sender
        if sender not in members or (part.of and (owner in members or owner == self._cluster.name)):
            return
        if part.of and owner not in self._departed:
            if len(self._departed) >= MOST_DEPARTED:
                raise ValueError(f"more than {MOST_DEPARTED} processes that have stopped")
            self._depart(owner, part.seconds)
        changes = [read(written, self._codec) for written in part.changes]
        outcome = self._replica.received(owner, part.number, part.start, changes, part.is_last)
        self._act(owner, outcome, changes)

    def _act(self, owner: str, outcome: Outcome, changes: Iterable[Change]) -> None:
        self._emit(outcome.diffs)
        for moved in outcome.moved:
            self._parked.discard(moved.sid)
            self._awaited.discard(moved.sid)
        if removals := [*outcome.moved, *self._returned(changes)]:
            self._change(removals)
        if outcome.ask:
            self._cluster.tell(ASKED, Asked(), owner)

    def _tell_all_to(self, name: str, owner: str = OWN, seconds: float = 0) -> None:
        number = self._replica.number_of(owner)
        for part in parts(number, self._replica.people.of(owner), owner, seconds):
            self._cluster.tell(PART, part, name)

    def _joined(self, name: str) -> None:
        if self._replica.number:
            self._tell_all_to(name)
        others = self._cluster.members() - {name}
        if self._departed and self._cluster.name == min(others | {self._cluster.name}):
            now = asyncio.get_running_loop().time()  # one of those who know it is enough
            for owner, until in self._departed.items():
                self._tell_all_to(name, owner, until - now)

    def _process_left(self, name: str, in_order: bool) -> None:
        if in_order and self.hold and self._replica.people.of(name):
            self._depart(name, self.hold)
        else:
            self._emit(self._replica.forget(name))

    def _depart(self, name: str, seconds: float) -> None:
        """Have the people of a process that has stopped leave after a while."""
        loop, seconds = asyncio.get_running_loop(), min(seconds, self.hold)
        self._departed[name] = loop.time() + seconds
        loop.call_later(seconds, self._departed_for_good, self._replica, name)

    def _departed_for_good(self, replica: Replica, name: str) -> None:
        if replica is self._replica:
            del self._departed[name]
            self._emit(replica.forget(name))

    # What clients see

    def _show(self, place: Place, sid: str) -> None:
        namespace, room = place
        state = _values(self._replica.people.there(place))
        self.rooms.emit(STATE_EVENT, (state, room), namespace, sid, ignore_queue=True)

    def _emit(self, diffs: Diffs, skip_sid: str | None = None) -> None:
        for (namespace, room), (joins, leaves) in diffs:
            diff = {"joins": _values(joins), "leaves": _values(leaves)}
            self.rooms.emit(DIFF_EVENT, (diff, room), namespace, room, skip_sid, ignore_queue=True)


def _values(metas: Metas) -> dict[str, list[Any]]:
    return {key: [meta.value for meta in its] for key, its in metas.items()}
