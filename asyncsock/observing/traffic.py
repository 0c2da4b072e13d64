"""Events that come and go, counted by their names, and how long handlers take.

A server does this when it is told to. It stands around what the server does; without it, none of this is
called.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, MutableMapping
from time import perf_counter
from typing import Any

from ..acknowledgements import Acknowledgements
from ..callbacks import Kept
from ..codec.base import Body, Codec, Incoming
from ..connection import Connection
from ..dispatch import RunEvent
from ..engine.tally import OTHER, Tally, bounded_name
from ..engine.tasks import Tasks
from ..routes import Route, Routes
from ..types import Handler
from .histogram import SHORT, Histogram
from .watch import Trigger, Watch


class Handled(Histogram):
    """How long it took from the arrival of the events of one name to the end of their handlers.

    Attributes:
        event: The name, or ``other``.
        kind: How the handler runs: as a ``coroutine``, in a ``thread``, or as a ``function`` on the loop.
        acknowledged: How many of the events have been acknowledged.
    """

    __slots__ = ("acknowledged", "event", "kind")

    def __init__(self, event: str, kind: str) -> None:
        super().__init__()
        self.event = event
        self.kind = kind
        self.acknowledged = 0


class Traffic(Watch):
    """Counts the events of one process.

    Names are bounded in number, as clients choose those of their events, and programs may make some up.

    Args:
        routes: Finds the handlers of events.
        acknowledgements: Ends them.
        tasks: Runs their handlers.
        codec: Knows the names of events that are sent.

    Attributes:
        unhandled: How many events have come that had no handler.
        sent: How many events were sent, one for each recipient, by name.
        acknowledged: How many of them have been acknowledged, by name.
        connecting: The connect and disconnect handlers, by event and kind.
    """

    def __init__(
        self, routes: Routes, acknowledgements: Acknowledgements, tasks: Tasks, codec: Codec
    ) -> None:
        self.unhandled = 0
        self.sent = Tally()
        self.acknowledged = Tally()
        self.connecting: dict[tuple[str, str], Handled] = {}
        self._routes = routes
        self._tasks = tasks
        self._codec = codec
        self._known: dict[str, dict[str, Handled]] = {}  # by namespace and event
        self._others: dict[str, Handled] = {}  # by kind
        self._made_up = 0  # names among those that are known that no handler has
        acknowledgements.ended = self._around_end(acknowledgements.ended)

    def handled(self) -> list[Handled]:
        """What handlers have done with the events of clients."""
        known = [each for events in self._known.values() for each in events.values()]
        return [*known, *self._others.values()]

    def running(self) -> Iterator[Handled]:
        """The same for each event whose handler runs now."""
        for key in self._tasks.running:
            if isinstance(key, Incoming):
                yield self._find(key)

    # Events that come

    def run_event(self, run: RunEvent) -> RunEvent:
        def run_event(connection: Connection, sid: str, packet: Incoming) -> Any:
            packet.arrived = perf_counter()
            running = run(connection, sid, packet)
            if running is None:
                self.unhandled += 1
            return running

        return run_event

    def _around_end(self, end: Callable[[Incoming], None]) -> Callable[[Incoming], None]:
        known, find = self._known, self._find

        def ended(packet: Incoming) -> None:
            # On the way of every event: no calls that can be done without.
            seconds = perf_counter() - packet.arrived
            try:
                handled = known[packet.namespace][packet.data[0]]
            except KeyError:
                handled = find(packet)
            if seconds <= SHORT:
                handled.short += 1
                handled.seconds += seconds
            else:
                handled.add(seconds)
            if packet.id is not None:
                handled.acknowledged += 1
            end(packet)

        return ended

    def _find(self, packet: Incoming) -> Handled:
        event, namespace = packet.data[0], packet.namespace
        of_namespace = self._known.setdefault(namespace, {})
        if event in of_namespace:
            return of_namespace[event]
        found = self._routes.find(event, namespace, ())
        kind = kind_of(found[0]) if found is not None else "function"
        if found is None or event in found[1]:  # a handler of any event, which gets the name, too
            if bounded_name(event, self._made_up) == OTHER:
                return self._others.setdefault(kind, Handled(OTHER, kind))
            self._made_up += 1
        handled = of_namespace[event] = Handled(event, kind)
        return handled

    def trigger(self, trigger: Trigger) -> Trigger:
        async def measured(event: str, namespace: str, *args: Any) -> Any:
            found = self._routes.find(event, namespace, ())
            if found is None:
                return await trigger(event, namespace, *args)
            kind = kind_of(found[0])
            handled = self.connecting.setdefault((event, kind), Handled(event, kind))
            began = perf_counter()
            try:
                return await trigger(event, namespace, *args)
            finally:
                handled.add(perf_counter() - began)

        return measured

    # Events that are sent

    def sends(self, body: Body, recipients: int, callback: Callable[..., Any] | None) -> Any:
        """Count an event for so many recipients, and return the callback to send it with."""
        name = self._codec.event_in(body)
        self.sent.add(name, recipients)
        return None if callback is None else CountedCallback(self.acknowledged, name, callback)


class CountedCallback(Kept):
    """The callback of an event, whose acknowledgement is counted."""

    __slots__ = ("_callback", "_name", "_tally")

    def __init__(self, tally: Tally, name: str, callback: Callable[..., Any]) -> None:
        super().__init__()
        self._tally = tally
        self._name = name
        self._callback = callback

    def __call__(self, *args: Any) -> Any:
        self._tally.add(self._name)
        return self._callback(*args)

    def kept_in(self, callbacks: MutableMapping[int, Any], id: int) -> None:
        if isinstance(self._callback, Kept):
            self._callback.kept_in(callbacks, id)

    def abandoned(self) -> None:
        if isinstance(self._callback, Kept):
            self._callback.abandoned()


def kind_of(handler: Handler) -> str:
    """How a handler runs, as `Handled.kind`."""
    if isinstance(handler, Route):
        return handler.kind
    return "coroutine" if inspect.iscoroutinefunction(handler) else "function"
