"""Clients that may come back: who they are, and what they have missed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from math import inf
from typing import Any, Protocol

from ..codec.base import Body, Codec
from ..connection import Client, Connection, State
from ..engine.core import Core
from ..engine.deadlines import Deadlines
from ..engine.packet import Packet
from ..engine.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE
from ..engine.session import Session
from .clients import Claim, Parked, Recoverable, Span, key_of, make_pid
from .log import EventLog, rooms_in
from .options import RecoveryOptions
from .waiting_rooms import WaitingRooms

PROBE_TIME = 1.0  # seconds that a client has to show that it is still connected when somebody has its pid
PARTING_TIME = 5.0  # seconds that the disconnect handler of a client has before it can come back
LOOK_AGAIN = 0.01  # seconds
MOST_SEARCHES = 3  # for one claim: others may claim the same client meanwhile, and get it first


class Elsewhere(Protocol):
    """The clients of other processes."""

    async def search(self, key: bytes, offset: str | None) -> bool:
        """Have the client whose private id has a digest parked here, if another process has it.

        Returns:
            Whether it has come. It may have gone on meanwhile.
        """

    def taken(self, key: bytes) -> None:
        """Have the others forget a client that has come back here."""


class Watcher(Protocol):
    """What is told of clients that lose their connection and come back."""

    def parked(self, sid: str) -> None:
        """A client has lost its connection, and may come back."""

    def restored(self, sid: str) -> None:
        """It has come back."""

    def gone(self, sid: str) -> None:
        """It will not come back."""


class Recovery:
    """The clients of one process that may come back, and the log of what they may have missed.

    Args:
        options: The bounds.
        core: What the sessions share.
        codec: Encodes the packets.
        keep: Returns what is to be kept of a connection besides what is known here.

    Attributes:
        log: The events.
        waiting_rooms: The rooms of clients that have lost their connections.
        elsewhere: Where to look for clients of other processes, if there may be any.
        watcher: What is told of clients that lose their connection.
    """

    elsewhere: Elsewhere | None = None
    watcher: Watcher

    def __init__(
        self, options: RecoveryOptions, core: Core, codec: Codec, keep: Callable[[Connection], Any]
    ) -> None:
        self._core = core
        self._keep = keep
        self._max_bytes = options.max_bytes
        terms = core.terms
        # An event can be missed that was sent before the loss of the connection was noticed.
        unnoticed = terms.ping_interval + terms.ping_timeout
        self.log = EventLog(codec, options.max_disconnection_duration + unnoticed, options.max_bytes)
        self._known: dict[bytes, Client | Parked] = {}
        self.waiting_rooms = WaitingRooms(self.log)
        self._deadlines: Deadlines[Parked] = Deadlines(options.max_disconnection_duration, self._expire)

    @property
    def duration(self) -> float:
        """Seconds for which a client that lost its connection can come back."""
        return self._deadlines.delay

    def clear(self) -> None:
        """Forget all clients, because their event loop has ended."""
        self._known.clear()
        self.waiting_rooms.clear()
        self._deadlines.clear()

    # Connected clients

    def begin(self, client: Client) -> None:
        """Note a new client."""
        client.recovery = Recoverable(self.log.number)

    def begin_with(self, client: Client, claim: Claim) -> None:
        """Note the offset that a new client had before: it keeps that until it gets an event."""
        client.recovery.base = claim.offset

    def released(self, client: Client) -> None:
        """Note that a client gets its events from now on."""
        client.recovery.released_at = _now()

    def welcome(self, client: Client) -> str:
        """The private id to tell a client that is let in."""
        state: Recoverable = client.recovery
        pid, state.pid = state.pid or make_pid(), None
        if state.key is None:
            state.key = key_of(pid)
        self._known[state.key] = client
        return pid

    def has_recovered(self, client: Client | None) -> bool:
        """Whether a client is one that has come back."""
        return client is not None and client.recovery.recovered

    def entered(self, client: Client, room: Hashable) -> None:
        """Note that a client has come to a room that it was not in."""
        client.rooms[room] = self.log.number

    def leaves(self, client: Client, room: Hashable) -> None:
        """Note that a client is about to leave a room that it is in."""
        joined = client.rooms[room]
        if self.log.has_since(joined, client.namespace, room):
            client.recovery.leave(room, joined, self.log.number, self.log.first)

    def part(self, connection: Connection, reason: str) -> None:
        """Note that the session of clients has ended."""
        if reason == SERVER_DISCONNECT and not self._core.closing:
            return
        for client in connection.clients.values():
            state: Recoverable | None = client.recovery
            if state is not None and state.key is not None and client.state is not State.GONE:
                state.may_return = True
                confirmed_at = connection.session.confirmed_at
                if confirmed_at > state.released_at:
                    state.after = max(state.after, self.log.number_before(confirmed_at))

    def refuse(self, client: Client) -> None:
        """Note that a client may not come back, because its connect handler has refused it."""
        client.recovery.may_return = False

    def removed(self, client: Client) -> None:
        """Park a client that has been removed from its rooms, or forget it."""
        state: Recoverable = client.recovery
        if state.key is None or self._known.get(state.key) is not client:
            return
        if not state.may_return:
            del self._known[state.key]
            return
        sessions = client.connection.session.user_session
        user_session = sessions.get(client.namespace) if isinstance(sessions, dict) else None
        kept = self._keep(client.connection)
        self.watcher.parked(client.sid)
        self.park(Parked(client.sid, client.namespace, client.rooms, state, user_session, kept))

    # Those that have lost their connections

    def park(self, parked: Parked, seconds: float | None = None) -> None:
        """Keep a client that may come back.

        Args:
            parked: The client.
            seconds: For how long; ``max_disconnection_duration`` by default.
        """
        assert parked.state.key is not None
        parked.until = _now() + (self.duration if seconds is None else min(seconds, self.duration))
        self._known[parked.state.key] = parked
        self._deadlines.add(parked)
        self.waiting_rooms.add(parked)
        self.log.shrink()
        while self.log.reserved > self._max_bytes:
            self._give_up(self._deadlines.first())

    def adopt(self, parked: Parked, seconds: float) -> None:
        """Keep a client of another process, which needs what is sent here from now on.

        Args:
            parked: The client.
            seconds: For how long.
        """
        number = self.log.number
        parked.state.start = parked.state.after = number
        parked.rooms = dict.fromkeys(parked.rooms, number)
        self.park(parked, seconds)

    async def fetch(self, key: bytes, offset: str | None) -> Parked | None:
        """The same as `parked_for`, once the client is parked, if its connection is lost."""
        await self._until_lost(key)
        return self.parked_for(key, offset)

    def is_connected(self, key: bytes) -> bool:
        """Whether a client whose private id has a digest is connected, as far as is known."""
        return isinstance(self._known.get(key), Client)

    def parked_as(self, key: bytes) -> Parked | None:
        """The client whose private id has a digest, if it is parked."""
        known = self._known.get(key)
        return known if isinstance(known, Parked) else None

    def parked_for(self, key: bytes, offset: str | None) -> Parked | None:
        """The same if it can come back with an offset.

        If it cannot, it has been elsewhere since, and this is what it was before.
        """
        parked = self.parked_as(key)
        return parked if parked is not None and self._after(parked, offset) is not None else None

    def parked(self) -> list[Parked]:
        """All clients that may come back."""
        return [known for known in self._known.values() if isinstance(known, Parked)]

    def span_of(self, parked: Parked) -> Span:
        """What this process has kept for a client."""
        log = self.log
        after = max(parked.state.after, log.first - 1)
        events = log.missed(parked.sid, parked.namespace, parked.stays(), after)
        return Span(log.epoch, after, log.number, [(event.number, event.body) for event in events])

    def forget(self, parked: Parked) -> None:
        """Keep a client no more."""
        assert parked.state.key is not None
        self._known.pop(parked.state.key, None)
        self._deadlines.discard(parked)
        self.waiting_rooms.remove(parked)

    def send_away(self, sid: str, namespace: str) -> None:
        """Forget a client that has lost its connection, if one with this sid has."""
        for parked in self._parked_in(namespace, sid):
            if parked.sid == sid:
                self._give_up(parked)

    def take_out(self, namespace: str, room: Hashable, sid: str | None = None) -> list[str]:
        """Have clients that have lost their connections leave a room: all, or the one with a sid.

        Returns:
            The sids of those who were in it.
        """
        parked = [each for each in self._parked_in(namespace, room) if room in each.rooms]
        leaving = [each for each in parked if sid in (None, each.sid)]
        for each in leaving:
            self.waiting_rooms.remove(each)
            each.state.leave(room, each.rooms.pop(room), self.log.number, self.log.first)
            self.waiting_rooms.add(each)
        return [each.sid for each in leaving]

    def _parked_in(self, namespace: str, room: Hashable) -> list[Parked]:
        """The clients of a namespace that may come back, if any of them is in a room."""
        if (namespace, room) not in self.waiting_rooms.counts:
            return []
        return [each for each in self.parked() if each.namespace == namespace]

    def _expire(self, parked: Parked, _deadline: float) -> None:
        self._give_up(parked)

    def _give_up(self, parked: Parked) -> None:
        """Forget a client that will not come back."""
        self.forget(parked)
        self.watcher.gone(parked.sid)

    def sids_in(self, namespace: str, room: Any) -> list[str]:
        """The sids of those parked who are in a room or in several; None is everybody's."""
        rooms = rooms_in(room)
        parked = [each for each in self.parked() if each.namespace == namespace]
        return [each.sid for each in parked if any(name in each.places for name in rooms)]

    # Coming back

    async def seek(self, claim: Claim, session: Session) -> None:
        """Have the client that a claim is about parked here, if it can come back on a session."""
        key, offset = claim.key, claim.offset
        for _ in range(MOST_SEARCHES):
            await self._until_lost(key, session)
            if self.is_connected(key) or self.parked_for(key, offset) is not None:
                return
            if self.elsewhere is None or self._core.closing or not await self.elsewhere.search(key, offset):
                return

    async def _until_lost(self, key: bytes, session: Session | None = None) -> None:
        """Wait until a client is not connected, unless its connection is alive, or that of a session."""
        while isinstance(client := self._known.get(key), Client):
            if client.connection.session is session:
                return
            await self._part_with(client)
            if self._known.get(key) is client:
                return

    async def _part_with(self, client: Client) -> None:
        """Wait until a client is parked, unless its connection is alive."""
        session, loop = client.connection.session, asyncio.get_running_loop()
        if session.is_open:
            await self._probe(session)
            if session.is_open:
                return
        end = loop.time() + PARTING_TIME
        key = client.recovery.key
        while self._known.get(key) is client and loop.time() < end:  # noqa: ASYNC110 - seldom, and short
            await asyncio.sleep(LOOK_AGAIN)

    async def _probe(self, session: Session) -> None:
        """Ask for a sign of life of a session, and end it without one."""
        loop = asyncio.get_running_loop()
        session.heard = False
        session.ping()
        end = loop.time() + PROBE_TIME
        while session.is_open and not session.heard:
            if loop.time() >= end:
                session.cut(TRANSPORT_CLOSE)
                return
            await asyncio.sleep(LOOK_AGAIN)

    def _after(self, parked: Parked, offset: str | None) -> int | None:
        """The number of the last event that a client needs not; None if not all later ones are kept."""
        state = parked.state
        number = state.after
        if parked.spans:
            if parked.missed_elsewhere(offset) is None:
                return None
        elif offset is not None and offset != state.base:
            stated = self.log.number_of(offset)
            if stated is None:
                return None
            number = max(number, stated)
        return number if number >= self.log.first - 1 else None

    def take(self, claim: Claim, namespace: str) -> tuple[Parked, list[Packet]] | None:
        """Hand out the client that a claim is about, with the packets that it has missed.

        Returns:
            None if no such client is parked here, or it cannot come back to this namespace.
        """
        key = claim.key
        parked = self._known.get(key)
        if not isinstance(parked, Parked) or parked.namespace != namespace or parked.until < _now():
            return None
        after = self._after(parked, claim.offset)
        if after is None:
            return None
        self.forget(parked)
        if parked.is_copy and self.elsewhere is not None:
            self.elsewhere.taken(key)
            parked.is_copy = False
        events = self.log.missed(parked.sid, parked.namespace, parked.stays(), after)
        if parked.spans:
            elsewhere = parked.missed_elsewhere(claim.offset) or []
            packets = self._send_again(parked, [*elsewhere, *[event.body for event in events]])
        else:
            packets = [packet for event in events for packet in self.log.packets_of(event)]
            parked.state.after = after
        state = parked.state
        state.base, state.pid = claim.offset, claim.pid
        state.may_return, state.recovered = False, True
        state.released_at = inf
        return parked, packets

    def _send_again(self, parked: Parked, bodies: list[Body]) -> list[Packet]:
        """The packets of events for a client that has not been here yet, with offsets of this log."""
        number = self.log.number
        parked.state.start = parked.state.after = number
        parked.rooms = dict.fromkeys(parked.rooms, number)
        parked.spans = []
        packets: list[Packet] = []
        for body in bodies:
            packets += self.log.add(parked.namespace, parked.sid, None, body)
        return packets

    def restored(self, client: Client) -> None:
        """Note that a client that was taken is connecting again."""
        self._known[client.recovery.key] = client


def _now() -> float:
    return asyncio.get_running_loop().time()
