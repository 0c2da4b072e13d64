"""Spans that OpenTelemetry's in-memory exporter has got."""

from __future__ import annotations

import asyncio
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id, format_trace_id

from tests.support.raw_clients import within

TRACE_ID, SPAN_ID = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE_ID}-{SPAN_ID}-01"  # the example of W3C's specification


class Spans:
    """A tracer provider and its spans.

    Attributes:
        provider: The provider, which keeps them here only.
        tracer: Makes spans as an application does.
    """

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("application")

    def ended(self) -> list[dict[str, Any]]:
        """What `as_dict` tells of each span that has ended."""
        return [as_dict(span) for span in self.exporter.get_finished_spans()]

    def named(self, name: str) -> list[dict[str, Any]]:
        """The same of those of a name."""
        return [span for span in self.ended() if span["name"] == name]

    def names(self) -> list[str]:
        """The names of those that have ended."""
        return [span["name"] for span in self.ended()]

    async def one(self, name: str) -> dict[str, Any]:
        """The only span of a name, once it has ended."""

        async def wait() -> dict[str, Any]:
            while not (found := self.named(name)):
                await asyncio.sleep(0.005)
            (span,) = found
            return span

        return await within(wait())


def as_dict(span: ReadableSpan) -> dict[str, Any]:
    """A span as JSON has it."""
    assert span.context is not None
    return {
        "name": span.name,
        "kind": span.kind.name,
        "trace": format_trace_id(span.context.trace_id),
        "id": format_span_id(span.context.span_id),
        "parent": format_span_id(span.parent.span_id) if span.parent is not None else None,
        "links": [format_span_id(link.context.span_id) for link in span.links],
        "attributes": dict(span.attributes or {}),
        "status": span.status.status_code.name,
        "events": [{"name": event.name, **(event.attributes or {})} for event in span.events],
    }
