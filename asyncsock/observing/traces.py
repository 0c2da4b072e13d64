"""Traces for OpenTelemetry: ``pip install asyncsock[otel]``."""

from __future__ import annotations

import logging
from collections.abc import Collection
from functools import partial
from importlib.metadata import version
from typing import Any

from opentelemetry import trace

from .tracing import Tracing, failed
from .watch import Watched, servers, when_made

logger = logging.getLogger("asyncsock.traces")


class AsyncsockInstrumentor:
    """Traces servers, with the methods of OpenTelemetry's other instrumentors.

    Each connect, event, emit, delivery for another process and acknowledgement becomes a span. All objects of
    this class are the same.

    Example:
        AsyncsockInstrumentor().instrument()
    """

    def instrument(self, tracer_provider: trace.TracerProvider | None = None, **_: Any) -> None:
        """Trace all servers of this process, also those that are made later.

        Args:
            tracer_provider: Whose tracer makes the spans; by default the one that the program has set.
        """
        if self.is_instrumented_by_opentelemetry:
            logger.warning("asyncsock is traced already: remove the second call of instrument()")
            return
        begin = partial(_begin, tracer_provider)
        when_made.append(begin)
        for server in list(servers):
            begin(server)

    def uninstrument(self, **_: Any) -> None:
        """Trace no server any more, also none of those that were given to `instrument_server`."""
        when_made[:] = [each for each in when_made if not _is_ours(each)]
        for server in list(servers):
            _end(server)

    def instrument_server(self, server: Any, tracer_provider: trace.TracerProvider | None = None) -> None:
        """Trace one server.

        Args:
            server: An `AsyncServer`, or a `SocketIO` object that has one.
            tracer_provider: Whose tracer makes the spans; by default the one that the program has set.

        Raises:
            TypeError: It is something else, or a `SocketIO` object that was given no application yet.
        """
        _begin(tracer_provider, _server_of(server))

    def uninstrument_server(self, server: Any) -> None:
        """Do not trace a server any more."""
        _end(_server_of(server))

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether `instrument` has been called."""
        return any(map(_is_ours, when_made))

    def instrumentation_dependencies(self) -> Collection[str]:
        """What has to be installed besides: nothing."""
        return ()


def _server_of(server: Any) -> Watched:
    found = server if isinstance(server, Watched) else getattr(server, "server", None)
    if not isinstance(found, Watched):
        raise TypeError(f"{server!r:.100} is no AsyncServer, and no SocketIO object with an application")
    return found


def _is_ours(tell: Any) -> bool:
    return isinstance(tell, partial) and tell.func is _begin


def _begin(tracer_provider: trace.TracerProvider | None, server: Watched) -> None:
    if not any(isinstance(watch, Tracing) for watch in server.watches):
        tracer = trace.get_tracer("asyncsock", version("asyncsock"), tracer_provider)
        server.watch(Tracing(server, tracer))
        server.eio.tasks.watchers.append(failed)


def _end(server: Watched) -> None:
    for watch in list(server.watches):
        if isinstance(watch, Tracing):
            server.unwatch(watch)
            server.eio.tasks.watchers.remove(failed)
