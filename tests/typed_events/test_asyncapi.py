"""`flask socketio asyncapi`: what is said about namespaces, events and acknowledgements."""

from __future__ import annotations

from typing import Any, TypedDict

import msgspec

from asyncsock import Namespace
from asyncsock.typed.asyncapi import Document, to_asyncapi
from asyncsock.typed.description import describe
from asyncsock.typed.event_type import EventType
from tests.support.node_tools import asyncapi_problems

MESSAGE = {"title": "message", "allOf": [{"$ref": "#/components/schemas/Message"}]}


class Message(msgspec.Struct):
    text: str


class Refusal(msgspec.Struct):
    error: str


class Login(TypedDict):
    token: str


class Rooms(Namespace):
    """The rooms of a house.

    There are several.
    """

    async def on_connect(self, auth: Login) -> None: ...

    async def on_enter(self, room: str = "hall", *others: str) -> tuple[int, str] | None:
        """Enter a room."""


async def say(message: Message) -> int:
    """Say something.

    Everybody gets it.
    """
    return 1


async def untyped(data):  # type: ignore[no-untyped-def]
    ...


def refused(error: Exception) -> Refusal: ...


def anything(event: str, *data: Any) -> None: ...


def sent(name: str, *kinds: Any, namespace: str = "/") -> EventType[Any]:
    return EventType(None, name, kinds, namespace)  # type: ignore[arg-type] # nothing is emitted


def valid(*args: Any, **options: Any) -> Document:
    """The document of what is described, in which the parser finds nothing wrong."""
    document = to_asyncapi(describe(*args, **options), "house", "2.1.0")
    assert asyncapi_problems(document) == []
    return document


def payload(message: Document) -> Document:
    found: Document = message["payload"]
    return found


def test_a_namespace_is_a_channel_and_an_event_an_operation() -> None:
    document = valid([("say", say, "/")], event_types=[sent("said", Message)], validations=[False])
    assert document["info"]["title"] == "house"
    assert document["info"]["version"] == "2.1.0"
    assert list(document["channels"]) == ["root"]
    channel, operations = document["channels"]["root"], document["operations"]
    assert channel["address"] == "/"
    assert channel["messages"]["receive.say"]["name"] == "say"
    assert operations["root.receive.say"] == {
        "action": "receive",
        "channel": {"$ref": "#/channels/root"},
        "summary": "Say something.",
        "description": "Say something.\n\nEverybody gets it.",
        "messages": [{"$ref": "#/channels/root/messages/receive.say"}],
        "reply": {
            "channel": {"$ref": "#/channels/root"},
            "messages": [{"$ref": "#/channels/root/messages/receive.say.reply"}],
        },
    }
    assert operations["root.send.said"]["action"] == "send"
    assert "reply" not in operations["root.send.said"]


def test_a_payload_is_the_list_of_the_arguments() -> None:
    messages = valid([("say", say, "/")], event_types=[sent("said", Message, int), sent("nothing")])
    messages = messages["channels"]["root"]["messages"]
    assert payload(messages["receive.say"]) == {
        "type": "array",
        "minItems": 1,
        "items": [MESSAGE],
        "additionalItems": False,
    }
    assert payload(messages["receive.say.reply"])["items"] == [{"title": "answer", "type": "integer"}]
    assert [each["title"] for each in payload(messages["send.said"])["items"]] == ["data1", "data2"]
    assert payload(messages["send.nothing"]) == {"type": "array", "minItems": 0, "maxItems": 0}


def test_what_may_be_left_out_and_any_number_of_arguments() -> None:
    messages = valid([], [Rooms("/rooms")])["channels"]["rooms"]["messages"]
    assert payload(messages["receive.enter"]) == {
        "type": "array",
        "minItems": 0,
        "items": [{"title": "room", "type": "string"}],
        "additionalItems": {"type": "string"},
    }


def test_an_acknowledgement_of_several_kinds_has_several_messages() -> None:
    document = valid([], [Rooms("/rooms")], error_handler=lambda namespace: refused)
    channel, operation = document["channels"]["rooms"], document["operations"]["rooms.receive.enter"]
    replies = [each["$ref"].rpartition("/")[2] for each in operation["reply"]["messages"]]
    assert replies == ["receive.enter.reply", "receive.enter.reply_2", "receive.enter.refusal"]
    assert [payload(channel["messages"][name])["minItems"] for name in replies] == [2, 0, 1]


def test_an_event_that_is_checked_may_be_refused() -> None:
    messages = valid([("say", say, "/")])["channels"]["root"]["messages"]
    [answer] = payload(messages["receive.say.refusal"])["items"]
    assert answer["allOf"] == [{"$ref": "#/components/schemas/InvalidPayload"}]


def test_the_docstring_of_a_class_and_what_clients_connect_with() -> None:
    channel = valid([], [Rooms("/rooms")])["channels"]["rooms"]
    assert channel["address"] == "/rooms"
    assert channel["summary"] == "The rooms of a house."
    assert payload(channel["messages"]["receive.connect"]) == {"$ref": "#/components/schemas/Login"}


def test_handlers_of_any_event_and_of_any_namespace_are_noted() -> None:
    channel = valid([("*", anything, "*"), ("untyped", untyped, "*")])["channels"]["_"]
    assert channel["address"] is None
    assert channel["summary"] == "It takes events of other names, too."
    assert list(channel["messages"]) == ["receive.untyped", "receive.untyped.reply"]
    assert payload(channel["messages"]["receive.untyped.reply"]) == {
        "type": "array",
        "minItems": 0,
        "items": {},
    }


def test_names_that_are_alike_where_only_some_characters_are_allowed_stay_apart() -> None:
    names = ["new message", "new/message", "new~message", "привет", "мир", ""]
    document = valid([(name, say, namespace) for name in names for namespace in ("/", "/a/b", "/a b")])
    assert list(document["channels"]) == ["root", "a_b", "a_b_2"]
    for channel in document["channels"].values():
        said = [message["name"] for message in channel["messages"].values() if "name" in message]
        assert said == names
    assert len(document["operations"]) == 3 * len(names)


def test_an_application_without_events_has_a_document() -> None:
    assert valid([])["channels"] == {}
