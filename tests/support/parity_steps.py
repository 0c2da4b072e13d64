"""What the parity test's clients do: steps in their order, most of them one event and what comes of it."""

from __future__ import annotations

from typing import Any

import httpx

from tests.apps.parity_data import ANSWERS, VALUES
from tests.support.parity_script import STEPS, Script, asked, joined, step

# Connecting


@step
async def connecting_without_auth(script: Script) -> None:
    script.a = await script.client("a")
    await script.a.enter()


@step
async def connecting_with_auth(script: Script) -> None:
    script.b = await script.client("b")
    await script.b.enter(auth={"token": "ž", "n": [1, None]})


@step
async def connecting_with_an_empty_auth(script: Script) -> None:
    await script.guest(auth={})


def refused(how: str) -> None:
    async def connect(script: Script) -> None:
        guest = await script.guest("/refusing", {"how": how})
        await guest.enter()  # the connection is still good

    STEPS[f"being refused: {how}"] = connect


for how in ("false", "bare", "message", "data", "several", "emit"):
    refused(how)


@step
async def being_accepted_by_a_handler_that_returns_a_value(script: Script) -> None:
    guest = await script.guest("/refusing", {"how": "please"})
    await guest.arrived(2)


@step
async def trying_again_after_a_refusal(script: Script) -> None:
    guest = await script.guest("/refusing", {"how": "false"})
    await guest.connect("/refusing", {"how": "please"})
    await guest.arrived(3)


@step
async def auth_that_is_not_an_object(script: Script) -> None:
    guest = await script.guest(None)
    await guest.enter("text")


@step
async def auth_that_is_a_list(script: Script) -> None:
    guest = await script.guest(None)
    await guest.enter(["text", {"n": 1}])


@step
async def connecting_twice(script: Script) -> None:
    guest = await script.guest("/quiet")
    await guest.connect("/quiet")
    await guest.enter()


@step
async def a_connect_handler_without_auth(script: Script) -> None:
    await script.guest("/without-auth", {"token": 1})


@step
async def a_namespace_that_is_only_listed(script: Script) -> None:
    guest = await script.guest("/quiet")
    await guest.tell("nobody listens", namespace="/quiet", id=1)
    await guest.enter()


@step
async def an_unknown_namespace(script: Script) -> None:
    guest = await script.guest("/unknown")
    await guest.enter()


@step
async def an_event_in_a_namespace_that_the_client_is_not_in(script: Script) -> None:
    await script.a.tell("echo", 1, namespace="/class", id=1)


# Answers and values

for name in ANSWERS:
    asked(f"an acknowledgement of: {name}", "answer", name)
for name in VALUES:
    asked(f"an event with: {name}", "value", name)

ECHOED: dict[str, tuple[Any, ...]] = {
    "no arguments": (),
    "several arguments": (1, "two", [3], {"four": None}),
    "text that is not ASCII": ("Žluťoučký kůň \U0001f600", {"ключ": "значение"}),
    "large integers": (2**53 + 1, 2**63, 2**64 + 1, -(2**70)),
    "floats": (0.5, -0.0, 1.0, 1e300),
    "binary": (b"\x00\xff", b""),
    "nested binary": ({"a": [b"1", {"b": b"2"}]}, "text", [b"3", b"3"]),
    "long text": ("ž" * 50_000,),
}
for name, args in ECHOED.items():
    asked(f"a client sends {name}", "echo", *args)
    asked(f"the handler's view of {name}", "describe", *args)


@step
async def a_client_sends_numbers_in_odd_spellings(script: Script) -> None:
    await script.a.ask_raw('["describe",-0,1.0,1E5,1e-7,-1.5E+3,12345678901234567890123,1e400,0.10]')


@step
async def a_client_sends_escapes(script: Script) -> None:
    await script.a.ask_raw(r'["describe","\u0041\ud83d\ude00\/\n","\ud800",{"a":1,"a":2}]')


@step
async def a_client_sends_white_space(script: Script) -> None:
    await script.a.ask_raw('[ "describe" , 1 ,\t{ "a" : [ ] } ]')


asked("a message", "message", "hello")
asked("a message that is a list", "message", [1, 2])
asked("a message that is binary", "message", b"hello")
asked("a json message", "json", {"a": [1, {"b": "ž"}]})
asked("data that changes after it was sent", "changing")


@step
async def an_event_that_wants_no_acknowledgement(script: Script) -> None:
    await script.a.tell("echo", "no ack")
    await script.a.arrived(1)


@step
async def an_unknown_event(script: Script) -> None:
    await script.a.tell("nobody knows", 1, id=9999)


@step
async def events_in_a_row(script: Script) -> None:
    for number in range(20):
        await script.a.ask("echo", number)


# Whom it goes to


@step
async def every_kind_of_recipient(script: Script) -> None:
    await script.a.ask("spread", script.b.sids["/"])


asked("a client's own sid", "sid")
asked("joining rooms", "join", "one", "two", 3)
asked("joining a room again", "join", "one")
asked("an event to a room", "to room", "one", {})
asked("an event to a room of others", "to room", "nobody's", {})


@step
async def two_clients_in_a_room(script: Script) -> None:
    await script.b.ask("join", "one", "b's")
    await script.a.ask("to room", "one", {})
    await script.a.ask("to room", "one", {"include_self": False})
    await script.b.ask("to room", "one", {"skip_sid": [script.a.sids["/"]]})
    await script.b.ask("to room", "one", {"broadcast": True})


@step
async def an_event_to_several_rooms(script: Script) -> None:
    await script.a.ask("to room", ["one", "two", "b's"], {})
    await script.a.ask("to room", ["two", "b's"], {"include_self": False})
    await script.a.ask("to room", ["nobody's", 3], {})


asked("leaving a room", "leave", "two")
asked("leaving a room that one is not in", "leave", "two", "nobody's")


@step
async def a_room_after_leaving_it(script: Script) -> None:
    await script.b.ask("to room", "two", {})
    await script.b.ask("to room", "one", {})


@step
async def joining_and_leaving_for_another_client(script: Script) -> None:
    await script.a.ask("join for", script.b.sids["/"], "given")
    await script.a.ask("to room", "given", {})
    await script.a.ask("leave for", script.b.sids["/"], "given")
    await script.a.ask("to room", "given", {})


@step
async def closing_a_room(script: Script) -> None:
    await script.a.ask("close", "one", False)
    await script.a.ask("to room", "one", {})
    await script.b.ask("close", "b's", True)
    await script.b.ask("to room", "b's", {})


asked("closing a room that is empty", "close", "nobody's", False)


# Callbacks


@step
async def a_callback(script: Script) -> None:
    script.a.answer = ["one", {"two": 2}]
    await script.a.tell("ask", "why?", 1)
    await script.a.arrived(2)


@step
async def a_callback_without_arguments(script: Script) -> None:
    script.a.answer = []
    await script.a.tell("ask")
    await script.a.arrived(2)


@step
async def a_callback_with_binary_data(script: Script) -> None:
    script.a.answer = [b"1", {"b": [b"2"]}]
    await script.a.tell("ask", b"3")
    await script.a.arrived(2)


@step
async def a_callback_of_another_client(script: Script) -> None:
    script.b.answer = ["from b"]
    await script.a.tell("ask other", script.b.sids["/"])
    await script.a.arrived(1)


def called(name: str, *answer: Any) -> None:
    async def call(script: Script) -> None:
        script.a.answer = list(answer)
        await script.a.ask("call", "how?", b"binary")

    STEPS[f"a call that is answered with {name}"] = call


called("nothing")
called("one value", {"a": 1})
called("several values", 1, [2], None)
called("binary", b"1", {"b": b"2"})


@step
async def a_call_to_another_client(script: Script) -> None:
    script.b.answer = ["b's"]
    await script.a.ask("call other", script.b.sids["/"])
    await script.a.ask("socketio call", script.b.sids["/"])


# Errors

asked("an error with on_error_default", "fail", 1)
asked("arguments that do not fit", "wrong arguments", 1, 2)
asked("missing arguments", "wrong arguments")
asked("data that cannot be sent", "unserialisable")
joined("/errors")
asked("an error with on_error", "fail", 1, "two", namespace="/errors")
joined("/failing")


@step
async def an_error_handler_that_fails(script: Script) -> None:
    await script.a.tell("fail", namespace="/failing", id=9998)
    await script.a.arrived(1)


@step
async def an_acknowledgement_that_cannot_be_sent(script: Script) -> None:
    await script.a.tell("unserialisable answer", id=9997)
    await script.a.arrived(1)


@step
async def a_connect_handler_behind_a_decorator_without_wraps(script: Script) -> None:
    for client, auth in ((script.a, None), (script.b, {"token": "t"})):
        for number, namespace in enumerate(("/decorated", "/decorated-with-auth"), 1):
            await client.connect(namespace, auth)
            await client.arrived(2 * number)


# Catch-all handlers

joined("/all")
asked("an event for a catch-all handler", "whatever", 1, [2], namespace="/all")
asked("an event of a catch-all handler without arguments", "whatever", namespace="/all")
asked("an event that is named like a catch-all handler", "*", "a sid", namespace="/all")
asked("an event before a catch-all handler", "known", 1, namespace="/all")
asked("an event of all namespaces", "everywhere", 1, namespace="/failing")
asked("an event of all namespaces in /", "everywhere", 1)


@step
async def a_namespace_that_only_a_catch_all_knows(script: Script) -> None:
    guest = await script.guest("/elsewhere")
    await guest.enter()


# Class-based namespaces

joined("/class")

asked("the methods of a class", "say", "hello", namespace="/class")
asked("the rooms of a class", "enter", "room", namespace="/class")
asked("an unknown event of a class", "nobody_knows", 1, namespace="/class")
asked("an error in a class", "fail", namespace="/class")
asked("a function before a class", "decorated", namespace="/class")
asked("an event of all namespaces in a class", "everywhere", namespace="/class")


@step
async def a_callback_of_a_class(script: Script) -> None:
    script.a.answer = ["an answer"]
    await script.a.tell("ask", namespace="/class")
    await script.a.arrived(2)


joined("/erring")
asked("an error for a method of the class", "fail", 1, namespace="/erring")


@step
async def rooms_are_apart_between_namespaces(script: Script) -> None:
    await script.a.ask("join", "same")
    await script.a.ask("enter", "same", namespace="/class")
    await script.b.ask("to room of namespace", "same", "/class")
    await script.b.ask("to room of namespace", "same", "/")


# The context


@step
async def a_session_is_kept_between_events(script: Script) -> None:
    await script.a.ask("recall")
    await script.a.ask("remember", "a's name")
    await script.a.ask("remember", "a's other name")
    await script.a.ask("recall")
    await script.a.ask("recall", namespace="/class")
    await script.b.ask("recall")


asked("the request", "context", 1, {"two": 2})


@step
async def events_from_a_view(script: Script) -> None:
    async with httpx.AsyncClient(base_url=script.server.url, trust_env=False) as http:
        assert (await http.get("/emit")).text == "done"
    await script.a.arrived(4)
    await script.b.arrived(4)


@step
async def events_from_a_background_task(script: Script) -> None:
    await script.a.tell("background", 1, b"2")
    await script.a.arrived(2)
    await script.b.arrived(2)


@step
async def an_event_from_a_thread(script: Script) -> None:
    await script.a.tell("thread")
    await script.a.arrived(1)


# Leaving


@step
async def leaving_a_namespace(script: Script) -> None:
    await script.b.disconnect("/class")
    await script.a.arrived(1)
    await script.b.tell("say", "after leaving", namespace="/class", id=9996)


@step
async def coming_back_to_a_namespace(script: Script) -> None:
    await script.b.connect("/class")
    await script.b.ask("say", "again", namespace="/class")


@step
async def a_method_that_disconnects(script: Script) -> None:
    await script.b.tell("leave", namespace="/class")
    await script.b.arrived(1)
    await script.a.arrived(1)


@step
async def a_client_that_disconnects(script: Script) -> None:
    guest = await script.guest()
    await guest.ask("remember", "guest")
    await guest.ask("join", "one")
    await guest.disconnect()
    await script.a.arrived(1)
    await script.b.arrived(1)


@step
async def a_client_that_closes_its_connection(script: Script) -> None:
    guest = await script.guest()
    await guest.ask("remember", "closing guest")
    await guest.close()
    await script.a.arrived(1)
    await script.b.arrived(1)


@step
async def a_handler_that_disconnects_its_client(script: Script) -> None:
    guest = await script.guest()
    await guest.tell("leave me")
    await guest.arrived(5)
    await script.a.arrived(1)
    await script.b.arrived(1)


@step
async def a_handler_that_disconnects_another_client(script: Script) -> None:
    guest = await script.guest()
    await script.a.ask("send away", guest.sids["/"])
    await guest.arrived(4)
    await script.a.arrived(2)
    await script.b.arrived(1)


@step
async def an_event_after_being_disconnected(script: Script) -> None:
    guest = await script.guest()
    await script.a.ask("send away", guest.sids["/"])
    await guest.arrived(4)
    await guest.tell("echo", "ignored", id=1)
    await guest.connect("/errors")
    await guest.ask("fail", namespace="/errors")


@step
async def connecting_again_after_being_disconnected(script: Script) -> None:
    guest = await script.guest()
    await script.a.ask("send away", guest.sids["/"])
    await guest.arrived(4)
    await guest.enter()
    await guest.ask("echo", "back")
