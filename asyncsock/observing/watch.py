"""What stands around the work of a server, to see it. A server that nobody watches does without."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any
from weakref import WeakSet

from ..connection import Client
from ..connections import Connector
from ..dispatch import Dispatcher, LetIn, RunEvent
from ..engine import EngineServer
from ..engine.awaitables import Sent
from ..managers import AnyRooms
from ..operations.methods import Operations
from ..queues.carrier import Carrier
from ..queues.manager import QueueManager
from ..rooms import Rooms
from ..routes import Routes
from ..server_loop import ServerLoop
from ..types import Handler

Trigger = Callable[..., Awaitable[Any]]
Emit = Callable[..., Sent]


class Watch:
    """Stands around what a server does.

    Each method gets a function of the server and returns what is called in its place, which has to call it.
    They are called when the watch begins, and when the server gets other functions.

    Attributes:
        carrier: Sends something along with events to other processes, if it is set.
    """

    carrier: Carrier | None = None

    def run_event(self, run: RunEvent) -> RunEvent:
        """Around `Routes.run_event`: the handler of an event of a client, and its acknowledgement."""
        return run

    def let_in(self, let_in: LetIn) -> LetIn:
        """Around `Connector.connect`: a client connects to a namespace, or is refused."""
        return let_in

    def trigger(self, trigger: Trigger) -> Trigger:
        """Around `Routes.trigger`: connect and disconnect handlers."""
        return trigger

    def emit(self, emit: Emit) -> Emit:
        """Around what sends an event, in any thread. Its arguments are those of `Rooms.emit`."""
        return emit


class Watched:
    """The part of a server that watches stand around."""

    eio: EngineServer
    handlers: dict[str, dict[str, Handler]]
    manager: Any
    namespace_handlers: dict[str, Any]
    _connector: Connector
    _dispatcher: Dispatcher
    _loop: ServerLoop
    _operations: Operations
    _rooms: AnyRooms
    _routes: Routes
    _trigger: Trigger
    _emit_here: Emit
    _emit_elsewhere: Emit

    def _begin_to_be_watched(self) -> None:
        self._watches: list[Watch] = []
        self._place_watches()
        servers.add(self)
        for tell in when_made:
            tell(self)

    def watch(self, watch: Watch) -> None:
        """Let a watch see what happens from now on."""
        self._watches.append(watch)
        self._place_watches()

    def unwatch(self, watch: Watch) -> None:
        """End what `watch` has begun."""
        self._watches.remove(watch)
        self._place_watches()

    @property
    def watches(self) -> Sequence[Watch]:
        """Those that `watch` has begun."""
        return self._watches

    def client_of(self, sid: str, namespace: str) -> Client | None:
        """A client that is here, unless a client manager of python-socketio's keeps it."""
        return self._rooms.table.find(sid, namespace) if isinstance(self._rooms, Rooms) else None

    def _place_watches(self) -> None:
        """Put the watches, each around those before it, in the place of what they stand around."""
        run_event: RunEvent = self._routes.run_event
        let_in: LetIn = self._connector.connect
        trigger: Trigger = self._routes.trigger
        emit: Emit = self._rooms.emit
        emit_elsewhere: Emit = partial(self._rooms.emit_elsewhere, self._loop)
        carrier = None
        for watch in self._watches:
            run_event, let_in = watch.run_event(run_event), watch.let_in(let_in)
            trigger = watch.trigger(trigger)
            emit, emit_elsewhere = watch.emit(emit), watch.emit(emit_elsewhere)
            carrier = watch.carrier or carrier
        self._dispatcher.run_event, self._dispatcher.let_in = run_event, let_in
        self._trigger, self._emit_here, self._emit_elsewhere = trigger, emit, emit_elsewhere
        self._operations.calls.carrier = self._operations.events.carrier = carrier
        if isinstance(self.manager, QueueManager):
            self.manager.carrier = carrier


servers: WeakSet[Watched] = WeakSet()  # all that there are
when_made: list[Callable[[Watched], None]] = []  # called with each new one
