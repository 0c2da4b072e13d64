"""The spans of a server: of connects, events, emits, deliveries for other processes, and acknowledgements.

An event belongs to the trace that its client has named when it connected. Otherwise it begins one of its own,
with a link to the span of the connect. It never belongs to what the event loop happened to run before it.
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, NamedTuple

from opentelemetry import context as contexts
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import Link, Span, SpanKind, StatusCode

from ..callbacks import Answer
from ..codec.base import ANY, Incoming
from ..connection import CONNECTED, Client, Connection
from ..dispatch import LetIn, RunEvent
from ..engine.awaitables import Sent, call_and_await
from ..engine.log import shown
from ..routes import Running
from ..types import Handler
from .trace_context import NAMES, attributes, fields_of_current, links_to, of_fields, of_handshake, rooms_of
from .watch import Emit, Trigger, Watch, Watched

LONGEST_TEXT = 10_000  # characters of what a span tells of an error


# The span of what the current task handles, whose errors are those that the server reports meanwhile.
_handled: ContextVar[Span | None] = ContextVar("asyncsock_handled", default=None)


class ClientTrace(NamedTuple):
    """What is kept for a client: the trace that it has named, and the span of its connect."""

    parent: Context | None
    links: Sequence[Link]


class Spans:
    """Makes spans.

    Args:
        tracer: Where they go.
    """

    def __init__(self, tracer: trace.Tracer) -> None:
        self._tracer = tracer

    def start(
        self,
        operation: str,
        type: str,
        kind: SpanKind,
        event: str,
        namespace: str,
        parent: Context | None,
        links: Sequence[Link] = (),
        name: str | None = None,
        **more: Any,
    ) -> Span:
        """Begin a span.

        Args:
            operation: What is done.
            type: What OpenTelemetry calls it: send, receive or process.
            parent: Whose part it is; None for the current span's.
            name: What the name of the span ends with, the event by default.
            **more: Attributes that only some spans have; setting them later would cost more.
        """
        return self._tracer.start_span(
            f"{operation} {shown(event if name is None else name)}",
            context=parent,
            kind=kind,
            attributes=attributes(operation, type, event, namespace, more),
            links=links,
        )

    @contextmanager
    def current(self, span: Span, parent: Context | None, ends: bool = True) -> Iterator[None]:
        """Make a span the current one, and note what is raised; at the end, end it."""
        token = contexts.attach(trace.set_span_in_context(span, parent))
        before = _handled.set(span)
        try:
            yield
        except BaseException as error:
            note_error(span, error)
            span.end()
            raise
        finally:
            _handled.reset(before)
            contexts.detach(token)
        if ends:
            span.end()

    def acknowledged(self, callback: Handler, event: str, namespace: str, parent: Context) -> Handler:
        """A callback that makes a span of its call."""

        async def call(*args: Any) -> Any:
            here = trace.get_current_span().get_span_context()
            links = [Link(here)] if here.is_remote else []  # the process that has got the acknowledgement
            kind = SpanKind.CONSUMER
            span = self.start("acknowledge", "process", kind, event, namespace, parent, links)
            with self.current(span, parent):
                return await call_and_await(callback, args)

        return call


def note_error(span: Span, error: BaseException) -> None:
    """Make a span one of an error, in OpenTelemetry's words; `record_exception` would show any text whole."""
    if not span.is_recording():
        return
    kind, trace_lines = type(error), traceback.format_exception(type(error), error, error.__traceback__)
    name, text = f"{kind.__module__}.{kind.__qualname__}", _exportable(str(error))[:LONGEST_TEXT]
    stack = _exportable("".join(trace_lines))[-LONGEST_TEXT:]
    span.add_event(
        "exception", {"exception.type": name, "exception.message": text, "exception.stacktrace": stack}
    )
    span.set_status(StatusCode.ERROR, f"{kind.__name__}: {text}")
    span.set_attribute("error.type", name)


def _exportable(text: str) -> str:
    """A text as UTF-8 can have it: exporters drop all spans of a batch for one lone surrogate."""
    return text.encode(errors="backslashreplace").decode()


def failed(error: BaseException) -> None:
    """Note an error that the server reports."""
    span = _handled.get()
    if span is not None:
        note_error(span, error)


class TraceCarrier:
    """Brings traces to other processes."""

    def __init__(self, spans: Spans) -> None:
        self._spans = spans

    def outgoing(self) -> dict[str, str]:
        return fields_of_current()

    @contextmanager
    def delivering(self, brought: Any, event: str, namespace: str) -> Iterator[None]:
        sender = of_fields(brought)
        parent = sender if sender is not None else Context()
        links, kind = links_to(sender), SpanKind.CONSUMER
        span = self._spans.start("deliver", "receive", kind, event, namespace, parent, links)
        with self._spans.current(span, parent):
            yield

    def callback(self, callback: Handler, event: str, namespace: str) -> Handler:
        return self._spans.acknowledged(callback, event, namespace, contexts.get_current())

    @contextmanager
    def answered(self, brought: Any) -> Iterator[None]:
        sender = of_fields(brought)
        token = contexts.attach(sender if sender is not None else Context())
        try:
            yield
        finally:
            contexts.detach(token)

    @contextmanager
    def sending(self, operation: str, event: str, namespace: str) -> Iterator[None]:
        kind = SpanKind.CLIENT if operation == "call" else SpanKind.PRODUCER
        with self._spans.current(self._spans.start(operation, "send", kind, event, namespace, None), None):
            yield

    def handler(self, brought: Any, event: str, namespace: str, handler: Handler) -> Handler:
        sender = of_fields(brought)
        parent = sender if sender is not None else Context()

        async def handle(*args: Any) -> Any:
            links, kind = links_to(sender), SpanKind.CONSUMER
            span = self._spans.start("process", "process", kind, event, namespace, parent, links)
            with self._spans.current(span, parent):
                return await call_and_await(handler, args)

        return handle


class Tracing(Watch):
    """Makes spans of what a server does.

    Args:
        server: The server.
        tracer: Where the spans go.
    """

    def __init__(self, server: Watched, tracer: trace.Tracer) -> None:
        self._server = server
        self._spans = Spans(tracer)
        self.carrier = TraceCarrier(self._spans)

    # Connections

    def let_in(self, let_in: LetIn) -> LetIn:
        def traced(connection: Connection, namespace: str, auth: Any) -> asyncio.Task[Any] | None:
            named = of_handshake(connection.session.environ, auth)
            parent = named if named is not None else Context()
            name, kind = self._known_namespace(namespace), SpanKind.SERVER
            span = self._spans.start("connect", "process", kind, "connect", namespace, parent, (), name)
            kept = ClientTrace(named, [Link(span.get_span_context())])
            before = connection.clients.get(namespace)
            with self._spans.current(span, parent, ends=False):
                task = let_in(connection, namespace, auth)
                client = connection.clients.get(namespace)
                if client is not None and client is not before:
                    client.trace = kept
            if task is not None:
                task.add_done_callback(lambda _: self._decided(span, connection, namespace, None, kept))
            else:
                self._decided(span, connection, namespace, before, kept)
            return task

        return traced

    def _decided(
        self, span: Span, connection: Connection, namespace: str, before: Client | None, kept: ClientTrace
    ) -> None:
        """End the span of a connect.

        Args:
            before: The client that was in the namespace before: then this one was refused.
        """
        client = connection.clients.get(namespace)
        connected = client is not None and client is not before and client.state is CONNECTED
        span.set_attribute(NAMES["connected"], connected)
        if client is not None and connected:
            span.set_attribute(NAMES["client"], client.sid)
            client.trace = kept  # a client that has come back is another object
        span.end()

    def trigger(self, trigger: Trigger) -> Trigger:
        async def traced(event: str, namespace: str, *args: Any) -> Any:
            if event != "disconnect":  # `let_in` has a span for the other one
                return await trigger(event, namespace, *args)
            sid, reason = args
            client = self._server.client_of(sid, namespace)
            parent, links = _of_client(client)
            name, kind = self._known_namespace(namespace), SpanKind.CONSUMER
            more = {"client": sid, "reason": shown(str(reason))}
            span = self._spans.start(
                "disconnect", "process", kind, event, namespace, parent, links, name, **more
            )
            with self._spans.current(span, parent):
                return await trigger(event, namespace, *args)

        return traced

    # Events of clients

    def run_event(self, run: RunEvent) -> RunEvent:
        def traced(connection: Connection, sid: str, packet: Incoming) -> Running | None:
            running = run(connection, sid, packet)
            return None if running is None else self._handle(running, connection, sid, packet)

        return traced

    async def _handle(self, running: Running, connection: Connection, sid: str, packet: Incoming) -> None:
        event, namespace = packet.data[0], packet.namespace
        parent, links = _of_client(connection.clients.get(namespace))
        name, kind = self._known_event(event, namespace), SpanKind.CONSUMER
        span = self._spans.start(
            "process", "process", kind, event, namespace, parent, links, name, client=sid
        )
        wants_acknowledgement = packet.id is not None
        with self._spans.current(span, parent):
            await running
            if wants_acknowledgement:
                span.set_attribute(NAMES["acknowledged"], packet.id is not None)

    # Emits

    def emit(self, emit: Emit) -> Emit:
        def traced(
            event: str,
            data: Any,
            namespace: str,
            room: Any,
            skip_sid: Any,
            callback: Handler | None,
            **options: Any,
        ) -> Sent:
            calls = isinstance(callback, Answer)
            kind = SpanKind.CLIENT if calls else SpanKind.PRODUCER
            more: dict[str, Any] = {} if room is None else {"rooms": rooms_of(room)}
            operation = "call" if calls else "send"
            span = self._spans.start(operation, "send", kind, event, namespace, None, **more)
            with self._spans.current(span, None, ends=not calls):
                if isinstance(callback, Answer):
                    callback.at_end(partial(_answered, span))
                elif callback is not None:
                    here = contexts.get_current()
                    callback = self._spans.acknowledged(callback, event, namespace, here)
                return emit(event, data, namespace, room, skip_sid, callback, **options)

        return traced

    # The names of spans are few, also where clients name events and namespaces

    def _known_event(self, event: str, namespace: str) -> str:
        """An event's name, if it has a handler of its own; else ``'*'``."""
        server = self._server
        for name in (namespace, ANY):
            if event in server.handlers.get(name, ()):
                return event
            if hasattr(server.namespace_handlers.get(name), f"on_{event}"):
                return event
        return ANY

    def _known_namespace(self, namespace: str) -> str:
        server = self._server
        known = namespace in server.handlers or namespace in server.namespace_handlers
        return namespace if known else ANY


def _of_client(client: Client | None) -> tuple[Context, Sequence[Link]]:
    """The trace that a client has named, or an empty context, and a link to its connect."""
    kept: ClientTrace | None = client.trace if client is not None else None
    if kept is None:
        return Context(), ()
    return kept.parent if kept.parent is not None else Context(), kept.links


def _answered(span: Span, arguments: asyncio.Future[Any]) -> None:
    if arguments.cancelled():
        span.set_status(StatusCode.ERROR, "no answer")
        span.set_attribute("error.type", "timeout")
    span.end()
