"""An AsyncAPI 3.0 document about the events of an application."""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Any

from .description import Argument, Arguments, Description, Event, NamespaceDescription
from .schemas import Schema

Document = dict[str, Any]

ABOUT = (
    "Socket.IO: a channel is a namespace, a message an event, and a reply its acknowledgement. "
    "A payload is the list of arguments."
)


def to_asyncapi(description: Description, title: str, version: str) -> Document:
    """The document, as dictionaries and lists.

    Args:
        description: An application.
        title: Its name.
        version: Its version, or that of its events.
    """
    channels: Document = {}
    operations: Document = {}
    for namespace in description.namespaces:
        channel = _free("root" if namespace.name == "/" else namespace.name.lstrip("/"), channels)
        channels[channel] = _Channel(namespace, channel, operations).document
    return {
        "asyncapi": "3.0.0",
        "info": {"title": title, "version": version, "description": ABOUT},
        "defaultContentType": "application/json",
        "channels": channels,
        "operations": operations,
        "components": {"schemas": description.components},
    }


class _Channel:
    """A namespace. It adds its operations to those that there are.

    Attributes:
        document: What the document says of it.
    """

    def __init__(self, namespace: NamespaceDescription, name: str, operations: Document) -> None:
        self._reference = {"$ref": f"#/channels/{name}"}
        self._name = name
        self._messages: Document = {}
        self._operations = operations
        any_event = "It takes events of other names, too." if namespace.any_event else ""
        self.document = {
            "address": None if namespace.name == "*" else namespace.name,
            **_text("\n\n".join(filter(None, (namespace.text, any_event)))),
            "messages": self._messages,
        }
        if namespace.auth is not None:
            self._operate(
                "receive", Event("connect", (), text="What a client connects with."), namespace.auth
            )
        for event in namespace.received:
            self._operate("receive", event, _payload(event.arguments))
        for event in namespace.sent:
            self._operate("send", event, _payload(event.arguments))

    def _operate(self, action: str, event: Event, payload: Schema) -> None:
        """Add an operation and its messages."""
        name = f"{action}.{event.name}"
        operation: Document = {
            "action": action,
            "channel": self._reference,
            **_text(event.text),
            "messages": [self._message(name, {"name": event.name, "payload": payload})],
        }
        unknown = (Argument("answer", {}, required=False, variadic=True),)
        replies = [
            self._message(f"{name}.{kind}", {"title": f"{title} of {event.name}", "payload": _payload(way)})
            for kind, title, ways in (
                ("reply", "Acknowledgement", (unknown,) if event.answers is None else event.answers),
                ("refusal", "Refusal", event.refusals),
            )
            for way in ways
        ]
        if replies:
            operation["reply"] = {"channel": self._reference, "messages": replies}
        self._operations[_free(f"{self._name}.{name}", self._operations)] = operation

    def _message(self, name: str, message: Document) -> Document:
        """Add a message to the channel, and return a reference to it."""
        name = _free(name, self._messages)
        self._messages[name] = message
        return {"$ref": f"{self._reference['$ref']}/messages/{name}"}


def _payload(arguments: Arguments) -> Schema:
    """The schema of a list of arguments."""
    schema: Schema = {"type": "array", "minItems": sum(each.required for each in arguments)}
    others = [each.schema for each in arguments if each.variadic]
    items = [_titled(each.name, each.schema) for each in arguments if not each.variadic]
    if items:
        return {**schema, "items": items, "additionalItems": others[0] if others else False}
    return {**schema, "items": others[0]} if others else {**schema, "maxItems": 0}


def _titled(name: str, schema: Schema) -> Schema:
    return {"title": name, "allOf": [schema]} if "$ref" in schema else {"title": name, **schema}


def _text(text: str) -> Document:
    """The first line of a text as a summary, and the whole as a description if there is more."""
    summary, *more = text.split("\n")
    return {"summary": summary, **({"description": text} if more else {})} if summary else {}


def _free(name: str, taken: Collection[str]) -> str:
    """An identifier that a reference can contain, and that is not taken."""
    wanted = free = re.sub(r"[^\w.-]+", "_", name, flags=re.ASCII)
    number = 1
    while free in taken:
        number += 1
        free = f"{wanted}_{number}"
    return free
