"""Finds clients that may come back in other processes, and leaves them to those when this one stops."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Iterable
from typing import Any

from ..cluster import Cluster
from ..engine.log import printable, shown
from ..engine.tasks import Tasks
from ..presence.presence import Presence
from ..queues.health import logger
from ..queues.manager import QueueManager
from ..recovery.clients import Parked, Span
from ..recovery.recovery import Recovery
from .messages import BUNDLE, TAKEN, WANTED, Bundle, Taken, Wanted
from .packing import NO_EPOCH, Pack, Packer, Unpack, unpack

SEARCH_TIME = 5.0  # seconds that other processes have to find a client
CATCH_UP_TIME = 1.0  # seconds in which what another process has seen comes here too
LEAVE_TIME = 2.0  # seconds that a process that stops waits for clients that it has asked others for
SHOWN_TIME = 10.0  # seconds that a client is still shown that another process has asked for
MOST_GONE = 10_000
LOOK_AGAIN = 0.005  # seconds


class Search:
    """Who is asked for a client, and has not answered."""

    def __init__(self, asked: Iterable[str]) -> None:
        self.asked = set(asked)
        self.found: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def is_not_at(self, name: str) -> None:
        """Note that a process does not have it."""
        self.asked.discard(name)
        if not self.asked:
            self.end()

    def end(self) -> None:
        """Note that nobody need be waited for."""
        if not self.found.done():
            self.found.set_result(None)


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
        self._running: set[asyncio.Task[None]] = set()  # not among the server's, which end before these may
        self._searching: dict[bytes, asyncio.Task[None]] = {}
        self._searches: dict[bytes, Search] = {}
        self._wanted: list[bytes] = []  # to be asked for at the end of this tick
        self._taken: list[bytes] = []  # to be told at the end of this tick
        self._adopting: dict[bytes, asyncio.Task[None]] = {}
        self._gone: OrderedDict[bytes, None] = OrderedDict()  # clients that are back elsewhere
        self._has_logged = False
        cluster.on(WANTED, Wanted, self._asked)
        cluster.on(BUNDLE, Bundle, self._received, is_lasting=True)
        cluster.on(TAKEN, Taken, self._forget, is_lasting=True)
        cluster.on_left.append(self._left)
        recovery.elsewhere = self

    @property
    def _queue(self) -> QueueManager:
        queue = self._cluster.queue
        assert queue is not None
        return queue

    # Asking others

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None:
            self._tasks.failed(error)

    async def search(self, key: bytes) -> None:
        """Have a client parked here if another process has it; see `Elsewhere`."""
        searching = self._searching.get(key)
        if searching is None:
            searching = self._searching[key] = self._spawn(self._search(key))
            searching.add_done_callback(lambda _: self._searching.pop(key))
        await asyncio.wait([searching])  # who waits may be cancelled, and what is on its way here comes

    async def _search(self, key: bytes) -> None:
        await self._cluster.settle()
        await self._until_adopted(key)
        members = self._cluster.members()
        if self._recovery.knows(key) or not members:
            return
        search = self._searches[key] = Search(members)
        if not self._wanted:
            asyncio.get_running_loop().call_soon(self._ask)
        self._wanted.append(key)
        await asyncio.wait([search.found], timeout=SEARCH_TIME)
        del self._searches[key]
        await self._until_adopted(key)

    async def _until_adopted(self, key: bytes) -> None:
        """Wait for a client that has come from another process, and is not parked here yet."""
        adopting = self._adopting.get(key)
        if adopting is not None:
            await asyncio.wait([adopting])

    def _ask(self) -> None:
        wanted, self._wanted = self._wanted, []
        self._cluster.tell(WANTED, Wanted(wanted))

    def _left(self, name: str, _in_order: bool) -> None:
        for search in list(self._searches.values()):
            search.is_not_at(name)

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
            if not (self._recovery.knows(key) or (parked.is_copy and key in self._gone)):
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
            search = self._searches.get(key)
            if search is not None:
                search.end()
        for key in bundle.unknown:
            search = self._searches.get(key)
            if search is not None:
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
        unknown: list[bytes] = []
        for key in wanted.keys:
            known = self._recovery.parked_as(key)
            if known is not None:
                here.append(known)
            elif self._recovery.knows(key) or key in self._adopting:
                self._spawn(self._fetch(sender, key))
            else:
                unknown.append(key)
        self._answer(sender, here, unknown)

    async def _fetch(self, sender: str, key: bytes) -> None:
        """Answer for a client whose connection may still be there, or that has just come from elsewhere."""
        await self._until_adopted(key)
        parked = await self._recovery.fetch(key)
        if parked is not None:
            self._answer(sender, [parked], [])
        else:
            self._answer(sender, [], [key])

    def _answer(self, sender: str, here: list[Parked], unknown: list[bytes]) -> None:
        for bundle in self._pack_all(here, unknown):
            self._cluster.tell(BUNDLE, bundle, sender)
        if unknown:
            self._cluster.tell(BUNDLE, Bundle([], [], {}, unknown=unknown), sender)
        for parked in here:
            self._recovery.forget(parked)
            # Until then the process that has asked shows it, or it has not come back there.
            asyncio.get_running_loop().call_later(SHOWN_TIME, self._presence.gone, parked.sid)

    def _pack_all(self, clients: list[Parked], unknown: list[bytes]) -> Iterable[Bundle]:
        def failed(parked: Parked, error: Exception) -> None:
            assert parked.state.key is not None
            unknown.append(parked.state.key)
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
        for bundle in self._pack_all(self._recovery.parked(), []):
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
            if parked is not None:
                self._recovery.forget(parked)
