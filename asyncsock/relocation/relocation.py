"""Finds clients that may come back in other processes, and leaves them to those when this one stops."""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Coroutine, Iterable
from math import inf
from typing import Any, TypeVar

from ..cluster import Cluster
from ..engine.log import printable, shown
from ..engine.tasks import Tasks
from ..presence.presence import Presence
from ..queues.health import logger
from ..queues.manager import QueueManager
from ..recovery.clients import Parked, Span
from ..recovery.recovery import Recovery
from .messages import BUNDLE, TAKEN, WANTED, Bundle, Taken, Wanted, WantedClient
from .packing import NO_EPOCH, Pack, Packer, Unpack, unpack

SEARCH_TIME = 5.0  # seconds that other processes have to find a client
CATCH_UP_TIME = 1.0  # seconds in which what another process has seen comes here too
LEAVE_TIME = 2.0  # seconds that a process that stops waits for clients that it has asked others for
SHOWN_TIME = 10.0  # seconds that a client is still shown that another process has asked for
MOST_GONE = 10_000
LOOK_AGAIN = 0.005  # seconds

T = TypeVar("T")


class Search:
    """A client that other processes are asked for.

    Args:
        names: The processes.

    Attributes:
        offset: The offset with which it wants to come back.
        found: Whether it has come, once that is known.
    """

    def __init__(self, offset: str | None, names: Iterable[str]) -> None:
        self.offset = offset
        self.found: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked = Counter(names)  # how many answers each of them owes

    def asks(self, name: str) -> None:
        """Note that a process is asked, perhaps once more."""
        self._asked[name] += 1

    def is_not_at(self, name: str) -> None:
        """Note that a process has answered that it does not have it."""
        self._asked[name] -= 1
        if self._asked[name] <= 0:
            self.left(name)

    def left(self, name: str) -> None:
        """Note that a process will not answer any more."""
        del self._asked[name]
        if not self._asked:
            self.end(False)

    def end(self, found: bool) -> None:
        """Note that nobody need be waited for."""
        if not self.found.done():
            self.found.set_result(found)


class Relocation:
    """The clients of other processes that may come back here, and those of this one that may do so there.

    Args:
        recovery: The clients of this process.
        cluster: The processes.
        presence: Who is shown to others.
        tasks: Runs what waits.
        pack: Encodes what the server has kept of a connection, for another process.
        unpack: Decodes it.
    """

    def __init__(
        self,
        recovery: Recovery,
        cluster: Cluster,
        presence: Presence,
        tasks: Tasks,
        pack: Pack,
        unpack: Unpack,
    ) -> None:
        self._recovery = recovery
        self._cluster = cluster
        self._presence = presence
        self._tasks = tasks
        self._pack = pack
        self._unpack = unpack
        self._running: set[asyncio.Task[Any]] = set()  # not among the server's, which end before these may
        self._searching: dict[bytes, asyncio.Task[bool]] = {}
        self._searches: dict[bytes, Search] = {}
        self._wanted: list[WantedClient] = []  # to be asked for at the end of this tick
        self._taken: list[bytes] = []  # to be told at the end of this tick
        self._adopting: dict[bytes, asyncio.Task[None]] = {}
        self._gone: OrderedDict[bytes, None] = OrderedDict()  # clients that are back elsewhere
        self._given: OrderedDict[bytes, tuple[str, float]] = OrderedDict()  # to which process, and when
        self._has_logged = False
        cluster.on(WANTED, Wanted, self._asked)
        cluster.on(BUNDLE, Bundle, self._received, is_lasting=True)
        cluster.on(TAKEN, Taken, self._forget, is_lasting=True)
        cluster.on_joined.append(self._joined)
        cluster.on_left.append(self._left)
        recovery.elsewhere = self

    @property
    def _queue(self) -> QueueManager:
        queue = self._cluster.queue
        assert queue is not None
        return queue

    # Asking others

    def _spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._tasks.failed(error)

    async def search(self, key: bytes, offset: str | None) -> bool:
        """Have a client parked here if another process has it; see `Elsewhere`."""
        earlier = self._searching.get(key)
        if earlier is not None and await _has_found(earlier):
            return True
        # An earlier search may have asked a process before the client was there.
        searching = self._searching.get(key)
        if searching is None:
            searching = self._searching[key] = self._spawn(self._search(key, offset))
            searching.add_done_callback(lambda _: self._searching.pop(key))
        return await _has_found(searching)

    async def _search(self, key: bytes, offset: str | None) -> bool:
        await self._cluster.settle()
        await self._until_adopted(key)
        if self._recovery.is_connected(key) or self._recovery.parked_for(key, offset) is not None:
            return True
        members = self._cluster.members()
        if not members:
            return False
        search = self._searches[key] = Search(offset, members)
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._ask)
        self._wanted.append(WantedClient(key, offset, self._given_to(key) is not None))
        await asyncio.wait([search.found], timeout=SEARCH_TIME)
        del self._searches[key]
        await self._until_adopted(key)
        return search.found.done() and search.found.result()

    async def _until_adopted(self, key: bytes) -> None:
        """Wait for a client that has come from another process, and is not parked here yet."""
        adopting = self._adopting.get(key)
        if adopting is not None:
            await asyncio.wait([adopting])

    def _ask(self) -> None:
        wanted, self._wanted = self._wanted, []
        self._cluster.tell(WANTED, Wanted(wanted))

    def _joined(self, name: str) -> None:
        for key, search in self._searches.items():
            self._ask_also(key, search, name)

    def _ask_also(self, key: bytes, search: Search, name: str, follows: bool = False) -> None:
        search.asks(name)
        self._cluster.tell(WANTED, Wanted([WantedClient(key, search.offset, follows)]), name)

    def _left(self, name: str, _in_order: bool) -> None:
        for search in list(self._searches.values()):
            search.left(name)

    def _received(self, sender: str, bundle: Bundle) -> None:
        clients = []
        for parked, seconds in unpack(bundle, self._unpack, not sender):
            self._presence.check(parked.sid, parked.shown)
            if seconds > 0:
                clients.append((parked, seconds))
        for client in bundle.clients:
            self._gone.pop(client.key, None)
        adopting = self._spawn(self._adopt(sender, bundle, clients))
        keys = [client.key for client in bundle.clients]
        self._adopting.update(dict.fromkeys(keys, adopting))
        adopting.add_done_callback(lambda _: self._adopted(keys, adopting))

    def _adopted(self, keys: list[bytes], adopting: asyncio.Task[None]) -> None:
        for key in keys:
            if self._adopting.get(key) is adopting:
                del self._adopting[key]

    async def _adopt(self, sender: str, bundle: Bundle, clients: list[tuple[Parked, float]]) -> None:
        received_at = asyncio.get_running_loop().time()
        await self._catch_up(bundle)
        log, own = self._recovery.log, self._queue.seen()
        age = asyncio.get_running_loop().time() - received_at + bundle.age
        unseen = log.unseen(bundle.seen, own, age) if clients else []
        for parked, seconds in clients:
            key = parked.state.key
            assert key is not None
            search = self._searches.get(key)
            if self._has_place_for(parked, key):
                self._given.pop(key, None)
                rooms = set(parked.places)
                events = [
                    (0, event.body)
                    for event in unseen
                    if event.namespace == parked.namespace
                    and parked.sid not in event.skipped
                    and not rooms.isdisjoint(event.rooms)
                ]
                if events:
                    parked.spans.append(Span(NO_EPOCH, 0, 0, events))
                self._recovery.adopt(parked, seconds)
            if search is not None and self._recovery.parked_for(key, search.offset) is not None:
                search.end(True)
        for key in bundle.unknown:
            if (search := self._searches.get(key)) is not None:
                search.is_not_at(sender)
        for key, name in bundle.given:
            if (search := self._searches.get(key)) is not None:
                self._follow(key, search, sender, name)

    def _has_place_for(self, parked: Parked, key: bytes) -> bool:
        """Whether a client is not here, or only as it was before it was elsewhere: then that is forgotten."""
        if self._recovery.is_connected(key) or (parked.is_copy and key in self._gone):
            return False
        here, search = self._recovery.parked_as(key), self._searches.get(key)
        if here is not None:
            if search is None or self._recovery.parked_for(key, search.offset) is not None:
                return False
            self._recovery.forget(here)
        return True

    def _follow(self, key: bytes, search: Search, sender: str, name: str) -> None:
        """Look for a client where a process has given it to, which may not have got it yet."""
        # If it is this one, or one that has left, the client came before this answer, and has gone on.
        if name in self._cluster.members():
            self._ask_also(key, search, name, follows=True)
        search.is_not_at(sender)

    async def _catch_up(self, bundle: Bundle) -> None:
        """Wait until what another process has seen has come here too, so that it is not sent twice."""
        now = asyncio.get_running_loop().time()
        heard = {name for name, ago in bundle.heard.items() if ago < now - self._queue.started_at}
        end = now + CATCH_UP_TIME
        while asyncio.get_running_loop().time() < end:
            own = self._queue.seen()
            # Those that have sent nothing since this process began may have ended before.
            if all(
                own.get(name, 0 if name in heard else number) >= number
                for name, number in bundle.seen.items()
            ):
                return
            await asyncio.sleep(LOOK_AGAIN)

    # Asked by others

    def _asked(self, sender: str, wanted: Wanted) -> None:
        here: list[Parked] = []
        absent: list[bytes] = []
        for client in wanted.clients:
            key = client.key
            parked = self._recovery.parked_for(key, client.offset)
            if parked is not None and not self._is_claimed(key):
                here.append(parked)
            elif (
                parked is not None
                or self._recovery.is_connected(key)
                or key in self._adopting
                or (client.follows and key in self._searching)
            ):
                self._spawn(self._fetch(sender, client))
            else:
                absent.append(key)
        self._answer(sender, here, absent)

    def _is_claimed(self, key: bytes) -> bool:
        """Whether a client has come that was searched for, and who claims it here does not know that yet."""
        search = self._searches.get(key)
        return key in self._searching and (search is None or search.found.done())

    async def _fetch(self, sender: str, client: WantedClient) -> None:
        """Answer for a client whose connection may still be there, or that is on its way here."""
        key = client.key
        await self._until_adopted(key)
        searching = self._searching.get(key)
        if searching is not None and (client.follows or self._is_claimed(key)):
            await asyncio.wait([searching])  # then who claims it here gets it first
        parked = await self._recovery.fetch(key, client.offset)
        if parked is not None:
            self._answer(sender, [parked], [])
        else:
            self._answer(sender, [], [key])

    def _answer(self, sender: str, here: list[Parked], absent: list[bytes]) -> None:
        packed: set[bytes] = set()
        for bundle in self._pack_all(here):
            packed.update(client.key for client in bundle.clients)
            self._cluster.tell(BUNDLE, bundle, sender)
        for parked in here:
            key = parked.state.key
            assert key is not None
            if key in packed:
                self._give(parked, key, sender)
            else:
                absent.append(key)
        if absent:
            given = [(key, name) for key in absent if (name := self._given_to(key)) is not None]
            unknown = list(set(absent).difference(key for key, _ in given))
            self._cluster.tell(BUNDLE, Bundle([], [], {}, unknown=unknown, given=given), sender)

    def _give(self, parked: Parked, key: bytes, name: str) -> None:
        """Note that a client is with another process from now on."""
        loop = asyncio.get_running_loop()
        self._recovery.forget(parked)
        self._given[key] = name, loop.time()
        self._given.move_to_end(key)
        if len(self._given) > MOST_GONE:
            self._given.popitem(last=False)
        # Until then the process that has asked shows it, or it has not come back there.
        loop.call_later(SHOWN_TIME, self._presence.gone, parked.sid)

    def _given_to(self, key: bytes) -> str | None:
        """The process that has been given a client lately, after it was here."""
        name, given_at = self._given.get(key, ("", -inf))
        return name if asyncio.get_running_loop().time() - given_at < SEARCH_TIME else None

    def _pack_all(self, clients: list[Parked]) -> Iterable[Bundle]:
        def failed(parked: Parked, error: Exception) -> None:
            if not self._has_logged:
                self._has_logged = True
                text = "client %s, and perhaps others, cannot come back to another process: %s"
                logger.warning(text, shown(parked.sid), printable(str(error)))

        now = asyncio.get_running_loop().time()
        return Packer(self._recovery, self._presence, self._pack).bundles(
            clients, now, now - self._queue.started_at, self._queue.seen(), failed
        )

    # Leaving them to others

    async def leave_all(self) -> None:
        """Leave the clients that may come back to the other processes, because this one stops."""
        if self._running:  # some may be on their way here
            await asyncio.wait(self._running, timeout=LEAVE_TIME)
        queue = self._cluster.queue
        if queue is None or not (self._cluster.members() or queue.replays):
            return
        for bundle in self._pack_all(self._recovery.parked()):
            bundle.is_for_all = True
            self._cluster.tell(BUNDLE, bundle)

    def taken(self, key: bytes) -> None:
        """Have the others forget a client that has come back here."""
        if not self._taken:
            asyncio.get_running_loop().call_soon(self._tell_taken)
        self._taken.append(key)

    def _tell_taken(self) -> None:
        taken, self._taken = self._taken, []
        self._cluster.tell(TAKEN, Taken(taken))

    def _forget(self, _sender: str, taken: Taken) -> None:
        for key in taken.keys:
            self._gone[key] = None
            if len(self._gone) > MOST_GONE:
                self._gone.popitem(last=False)
            parked = self._recovery.parked_as(key)
            if parked is not None and parked.is_copy:
                self._recovery.forget(parked)


async def _has_found(searching: asyncio.Task[bool]) -> bool:
    """Wait for the end of a search. It goes on if who waits is cancelled: what is on its way here comes."""
    await asyncio.wait([searching])
    has_failed = searching.cancelled() or searching.exception() is not None  # which `_ended` logs
    return not has_failed and searching.result()
