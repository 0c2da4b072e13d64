"""A Flask application for tests of what its Socket.IO handlers can do.

Most handlers exist twice: "coroutine <name>" is a coroutine function, "function <name>" a function.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from functools import partial, wraps
from queue import SimpleQueue
from typing import Any

import aiohttp
import anyio
import anyio.lowlevel
import flask
import httpx
from flask import Flask, current_app, flash, g, get_flashed_messages, render_template_string, session, url_for

from asyncsock import (
    ConnectionRefusedError,
    SocketIO,
    call,
    close_room,
    disconnect,
    emit,
    join_room,
    leave_room,
    rooms,
    send,
)

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

WAIT = 10.0

app = Flask(__name__)
app.config["SECRET_KEY"] = "a secret"
socketio = SocketIO(app, ping_interval=0.2, ping_timeout=20)
request: Any = flask.request  # with the attributes that an event adds

Handler = Callable[..., Any]


def both(function: Handler) -> Handler:
    """Register a function as "function <name>", and what it does as the coroutine "coroutine <name>"."""

    @socketio.on(f"coroutine {function.__name__}")
    async def coroutine(*args: Any) -> Any:
        await asyncio.sleep(0)  # what it needs has to outlive a suspension
        return function(*args)

    socketio.on_event(f"function {function.__name__}", function)
    return function


# What a handler sees


@app.get("/sign-in/<user>")
def sign_in(user: str) -> str:
    session["user"] = user
    return "ok"


@app.get("/session")
def show_session() -> dict[str, Any]:
    return dict(session)


@both
def describe_request(*args: Any) -> dict[str, Any]:
    return {
        "args": request.args.to_dict(),
        "header": request.headers.get("X-Tone"),
        "cookie": request.cookies.get("colour"),
        "remote_addr": request.remote_addr,
        "path": request.path,
        "sid": request.sid,
        "namespace": request.namespace,
        "event": {"message": request.event["message"], "args": list(request.event["args"])},
        "scope": request.environ["asgi.scope"]["path"],
        "app": current_app.name,
    }


@both
def remember(key: str, value: Any) -> Any:
    """Put a value into the session; what was there."""
    before = session.get(key)
    session[key] = value
    return before


@both
def note_in_g(value: Any) -> Any:
    """Put a value into g; what was there."""
    before = g.get("note")
    g.note = value
    return before


@both
def address_of_a_view() -> list[str]:
    return [url_for("show_session"), url_for("show_session", _external=True)]


@both
def flash_text(text: str) -> None:
    flash(text)


@both
def flashed() -> list[Any]:
    return list(get_flashed_messages())


@both
def render(text: str) -> str:
    g.note = "noted"
    template = "{{ text|upper }} {{ request.event.message }} {{ session.user }} {{ g.note }}"
    return render_template_string(template, text=text)


@both
def thread_name() -> str:
    return threading.current_thread().name


# Two events at once

here: dict[str, asyncio.Event] = defaultdict(asyncio.Event)
here_in_threads: dict[str, threading.Event] = defaultdict(threading.Event)


@socketio.on("coroutine meet")
async def meet(me: str, other: str) -> Any:
    """Return only when the event of the other has begun too."""
    g.note = me
    here[me].set()
    await asyncio.wait_for(here[other].wait(), WAIT)
    return g.note, list(request.event["args"])


@socketio.on("function meet")
def meet_in_thread(me: str, other: str) -> Any:
    g.note = me
    here_in_threads[me].set()
    if not here_in_threads[other].wait(WAIT):
        return "nobody came"
    return g.note, list(request.event["args"])


@socketio.on("function block")
def block(tag: str) -> str:
    return "released" if here_in_threads[tag].wait(WAIT) else "timed out"


@socketio.on("release")
async def release(tag: str) -> None:
    here[tag].set()
    here_in_threads[tag].set()


@socketio.on("echo")
async def echo(*args: Any) -> Any:
    return args


# Sending

COUNT = 30


@socketio.on("coroutine count")
async def count() -> None:
    """Emit numbers in three ways: awaited, not awaited, with the SocketIO object."""
    for number in range(0, COUNT, 3):
        await emit("number", number)
        emit("number", number + 1)
        socketio.emit("number", number + 2, to=request.sid)


@socketio.on("function count")
def count_in_thread() -> None:
    for number in range(0, COUNT, 2):
        emit("number", number)
        socketio.emit("number", number + 1, to=request.sid)


def count_for(sid: str) -> None:
    for number in range(COUNT):
        socketio.emit("number", number, to=sid)


async def count_for_in_coroutine(sid: str) -> None:
    for number in range(0, COUNT, 2):
        socketio.emit("number", number, to=sid)
        await socketio.emit("number", number + 1, to=sid)


@app.get("/count/function/<sid>")
def count_in_view(sid: str) -> str:
    count_for(sid)
    return "ok"


@app.get("/count/coroutine/<sid>")
async def count_in_async_view(sid: str) -> str:
    await count_for_in_coroutine(sid)
    return "ok"


@app.get("/count/thread/<sid>")
def count_in_plain_thread(sid: str) -> str:
    thread = threading.Thread(target=count_for, args=(sid,))
    thread.start()
    thread.join(WAIT)
    return "ok"


def start_counting(sid: str, target: str) -> None:
    socketio.start_background_task(count_for_in_coroutine if target == "coroutine" else count_for, sid)


@both
def start_to_count(target: str) -> None:
    start_counting(request.sid, target)


@app.get("/start/<target>/<sid>")
def start_to_count_in_view(target: str, sid: str) -> str:
    start_counting(sid, target)
    return "ok"


early_sids: asyncio.Queue[str] = asyncio.Queue()
early_sids_for_thread: SimpleQueue[str] = SimpleQueue()


async def early_coroutine() -> None:
    while True:
        await count_for_in_coroutine(await early_sids.get())


def early_function() -> None:
    while True:
        count_for(early_sids_for_thread.get())


socketio.start_background_task(early_coroutine)
socketio.start_background_task(early_function)


@socketio.on("tell those that began early")
async def tell_early(target: str) -> None:
    queue: Any = early_sids if target == "coroutine" else early_sids_for_thread
    getattr(queue, "put_nowait", queue.put)(request.sid)


@both
def return_emit() -> Any:
    """What emit returns is no acknowledgement."""
    return emit("number", 1)


@both
def emit_what_cannot_be_sent() -> str:
    try:
        emit("number", object())
    except TypeError:
        return "TypeError"
    return "nothing"


@both
def emit_and_change() -> None:
    data = [1]
    emit("number", data)
    data.append(2)


# Libraries that need a real task, from the first line of a handler


@socketio.on("asyncio.timeout")
async def use_timeout() -> list[str]:
    async with asyncio.timeout(WAIT):  # type: ignore[attr-defined,unused-ignore]
        await asyncio.sleep(0)
    try:
        async with asyncio.timeout(0):  # type: ignore[attr-defined,unused-ignore]
            await asyncio.sleep(WAIT)
    except TimeoutError:
        return ["in time", "too late"]
    return ["never"]


@socketio.on("asyncio.TaskGroup")
async def use_task_group() -> list[str]:
    async with asyncio.TaskGroup() as group:  # type: ignore[attr-defined,unused-ignore]
        tasks = [group.create_task(asyncio.sleep(0, text)) for text in ("one", "two")]
    return [task.result() for task in tasks]


@socketio.on("asyncio.wait_for")
async def use_wait_for() -> list[str]:
    first = await asyncio.wait_for(asyncio.sleep(0, "in time"), WAIT)
    try:
        await asyncio.wait_for(asyncio.sleep(WAIT), 0.001)
    except asyncio.TimeoutError:
        return [first, "too late"]
    return ["never"]


@socketio.on("anyio.move_on_after")
async def use_move_on_after() -> list[bool]:
    with anyio.move_on_after(0.001) as scope:
        await anyio.sleep(WAIT)
    return [scope.cancelled_caught]


@socketio.on("anyio.create_task_group")
async def use_anyio_task_group() -> list[str]:
    found: list[str] = []

    async def find(text: str) -> None:
        await anyio.lowlevel.checkpoint()
        found.append(text)

    async with anyio.create_task_group() as group:
        group.start_soon(find, "one")
        group.start_soon(find, "two")
    return sorted(found)


@socketio.on("httpx.AsyncClient")
async def use_httpx() -> Any:
    async with httpx.AsyncClient(trust_env=False) as client:
        return (await client.get(f"{request.host_url}session")).json()


@socketio.on("aiohttp.ClientSession")
async def use_aiohttp() -> Any:
    async with aiohttp.ClientSession() as client, client.get(f"{request.host_url}session") as answer:
        return await answer.json()


# Order

started: dict[str, list[int]] = defaultdict(list)


@both
def note_number(number: int) -> None:
    started[request.sid].append(number)


@socketio.on("coroutine start")
async def start_in_order(number: int) -> None:
    started[request.sid].append(number)
    await asyncio.sleep(0.001)


@socketio.on("function start")
def start_in_order_in_thread(number: int) -> None:
    started[request.sid].append(number)
    time.sleep(0.001)


@socketio.on("started")
async def those_started() -> list[int]:
    return started[request.sid]


# Acknowledgements

ANSWERS = {
    "text": "text",
    "number": 1.5,
    "tuple": ("one", {"two": 2}),
    "list": [1, [2]],
    "none": None,
    "dict": {"a": {"b": None}},
    "bytes": b"\x00\xff",
    "bytes deeper": {"a": [b"\x00", "text"]},
}


@both
def answer(name: str) -> Any:
    return ANSWERS[name]


def report(*answer: Any) -> None:
    emit("answered", {"sid": request.sid, "app": current_app.name, "answer": list(answer)})


async def report_in_coroutine(*answer: Any) -> None:
    await asyncio.sleep(0)
    report(*answer)


@both
def ask(callback: str, data: Any) -> None:
    """Ask the client with a callback, of the kind that it names."""
    emit("question", data, callback=report if callback == "function" else report_in_coroutine)


@socketio.on("coroutine call")
async def call_client(data: Any) -> Any:
    return {"answer": await call("question", data)}


@socketio.on("function call")
def call_client_from_thread(data: Any) -> Any:
    return {"answer": call("question", data)}


@app.get("/call/function/<sid>")
def call_client_from_view(sid: str) -> Any:
    return {"answer": socketio.call("question", "from a view", to=sid)}


@app.get("/call/coroutine/<sid>")
async def call_client_from_async_view(sid: str) -> Any:
    return {"answer": await socketio.call("question", "from a view", to=sid)}


def name_of(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__name__}"


@socketio.on("coroutine call in vain")
async def call_in_vain() -> str:
    try:
        await call("silence", timeout=0.05)
    except Exception as error:
        return name_of(error)
    return "answered"


@socketio.on("function call in vain")
def call_in_vain_from_thread() -> str:
    try:
        call("silence", timeout=0.05)
    except Exception as error:
        return name_of(error)
    return "answered"


@app.get("/call-in-vain/<sid>")
def call_in_vain_from_view(sid: str) -> str:
    try:
        socketio.call("silence", to=sid, timeout=0.05)
    except Exception as error:
        return name_of(error)
    return "answered"


# Coming and going: namespaces "/coroutine-..." and "/function-..."

calls: Counter[str] = Counter()
gone: list[tuple[str, ...]] = []  # namespace, the client's tag, the reason if it was asked for


def of_kind(kind: str, function: Handler) -> Handler:
    """The function itself, or a coroutine function with its signature."""
    if kind == "function":
        return function
    return _coroutines[function.__code__.co_argcount](function)


def _taking_nothing(function: Handler) -> Handler:
    async def coroutine() -> Any:
        await asyncio.sleep(0)
        return function()

    return coroutine


def _taking_one(function: Handler) -> Handler:
    async def coroutine(value: Any) -> Any:
        await asyncio.sleep(0)
        return function(value)

    return coroutine


_coroutines = [_taking_nothing, _taking_one]


def connect_with_auth(auth: Any) -> None:
    session["tag"] = auth and auth.get("tag")
    emit("connected", {"auth": auth, "sid": request.sid, "user": session.get("user")})


def connect_without_auth() -> None:
    session["tag"] = request.args.get("tag")
    emit("connected", "without auth")


def disconnect_with_reason(reason: str) -> None:
    gone.append((request.namespace, session["tag"], reason))


def disconnect_without_reason() -> None:
    gone.append((request.namespace, session["tag"]))


def connect_refused_with_false() -> bool:
    return False


def connect_refused_with_data(auth: Any) -> None:
    raise ConnectionRefusedError("no entry", {"code": auth["code"]})


def connect_with_type_error(auth: Any) -> None:
    calls[request.namespace] += 1
    len(5)  # type: ignore[arg-type]


def disconnect_with_type_error(reason: str) -> None:
    calls[request.namespace] += 1
    len(6)  # type: ignore[arg-type]


def fail(text: str) -> None:
    raise LookupError(text)


def handle_error(error: Exception) -> list[str]:
    return ["handled", name_of(error), str(error), request.event["message"], request.sid]


def say(text: str) -> None:
    calls[text] += 1


def kick() -> None:
    disconnect()


for kind in ("coroutine", "function"):
    for name, connect, disconnected in (
        ("auth", connect_with_auth, disconnect_with_reason),
        ("plain", connect_without_auth, disconnect_without_reason),
        ("false", connect_refused_with_false, disconnect_with_reason),
        ("refusing", connect_refused_with_data, disconnect_with_reason),
        ("broken", connect_with_type_error, disconnect_with_reason),
        ("breaking", connect_without_auth, disconnect_with_type_error),
        ("errors", connect_without_auth, disconnect_without_reason),
    ):
        namespace = f"/{kind}-{name}"
        socketio.on_event("connect", of_kind(kind, connect), namespace)
        socketio.on_event("disconnect", of_kind(kind, disconnected), namespace)
        socketio.on_event("kick", of_kind(kind, kick), namespace)
        socketio.on_event("say", of_kind(kind, say), namespace)
    for handler_kind in ("coroutine", "function"):
        socketio.on_event(f"{handler_kind} fail", of_kind(handler_kind, fail), f"/{kind}-errors")
    socketio.on_error(f"/{kind}-errors")(of_kind(kind, handle_error))


@socketio.on("connect", namespace="/coroutine-slow")
async def connect_when_released(auth: Any) -> None:
    session["tag"] = auth["tag"]
    calls[auth["tag"]] += 1
    await asyncio.wait_for(here[auth["tag"]].wait(), WAIT)


@socketio.on("connect", namespace="/function-slow")
def connect_in_thread_when_released(auth: Any) -> None:
    session["tag"] = auth["tag"]
    calls[auth["tag"]] += 1
    here_in_threads[auth["tag"]].wait(WAIT)


for kind in ("coroutine", "function"):
    socketio.on_event("disconnect", of_kind(kind, disconnect_with_reason), f"/{kind}-slow")


@socketio.on("knows")
async def knows(session_id: str) -> bool:
    """Whether the engine has a session."""
    return session_id in socketio.server.eio.sessions


@socketio.on("gone")
async def those_gone() -> Any:
    return [list(entry) for entry in gone]


@socketio.on("calls")
async def calls_of(what: str) -> int:
    return calls[what]


@both
def fail_with(text: str) -> None:
    raise LookupError(text)


@both
def fail_with_type_error() -> None:
    calls[request.event["message"]] += 1
    len(7)  # type: ignore[arg-type]


@both
def wants_one(value: Any) -> Any:
    return value


# Registration


@socketio.event
async def named_after_the_coroutine(value: Any) -> Any:
    return value


@socketio.event
def named_after_the_function(value: Any) -> Any:
    return value


@socketio.event(namespace="/named")
async def named_in_a_namespace(value: Any) -> Any:
    return request.namespace, value


@socketio.on("stacked one")
@socketio.on("stacked two")
@socketio.on("stacked three", namespace="/named")
def stacked() -> Any:
    return request.namespace, request.event["message"]


@socketio.on("*", namespace="/catching")
async def catch_in_coroutine(event: str, *args: Any) -> Any:
    return "coroutine", event, request.sid, list(args)


@socketio.on("*", namespace="/catching-in-function")
def catch_in_function(event: str, *args: Any) -> Any:
    return "function", event, request.sid, list(args)


@socketio.on("known", namespace="/catching")
async def known() -> str:
    return "known"


def decorated(function: Handler) -> Handler:
    """What a project's own decorators look like: a function around a handler of any kind."""

    @wraps(function)
    def wrapper(*args: Any) -> Any:
        return function("decorated", *args)

    return wrapper


def decorated_with_coroutine(function: Handler) -> Handler:
    """A coroutine function around a function."""

    @wraps(function)
    async def wrapper(*args: Any) -> Any:
        await asyncio.sleep(0)
        return function("decorated", *args)

    return wrapper


@socketio.on("a function around a coroutine function")
@decorated
async def decorated_coroutine(*args: Any) -> Any:
    await asyncio.sleep(0)
    return args, request.event["message"]


@socketio.on("a function around a function")
@decorated
def decorated_function(*args: Any) -> Any:
    return args, request.event["message"]


@socketio.on("a coroutine function around a function")
@decorated_with_coroutine
def decorated_into_coroutine(*args: Any) -> Any:
    return args, request.event["message"]


class Bound:
    async def coroutine(self, *args: Any) -> Any:
        await asyncio.sleep(0)
        return args, request.event["message"]

    def function(self, *args: Any) -> Any:
        return args, request.event["message"]

    async def __call__(self, *args: Any) -> Any:
        return await self.coroutine(*args)


socketio.on_event("a bound coroutine function", partial(Bound().coroutine, "decorated"))
socketio.on_event("a bound function", partial(Bound().function, "decorated"))
socketio.on_event("an object whose call is a coroutine function", Bound())


# The functions


@both
def do_join(room: str) -> list[str]:
    join_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_leave(room: str) -> list[str]:
    leave_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_close(room: str) -> list[str]:
    close_room(room)
    return sorted(set(rooms()) - {request.sid})


@both
def do_for(sid: str, namespace: str, room: str) -> list[list[str]]:
    """Join, leave and close rooms for another client in another namespace."""

    def those() -> list[str]:
        return sorted(set(rooms(sid=sid, namespace=namespace)) - {sid})

    found = []
    join_room(room, sid=sid, namespace=namespace)
    join_room(f"{room} too", sid=sid, namespace=namespace)
    found.append(those())
    leave_room(f"{room} too", sid=sid, namespace=namespace)
    found.append(those())
    emit("told", "in a room", to=room, namespace=namespace)
    emit("told", "alone", to=sid, namespace=namespace)
    close_room(room, namespace=namespace)
    found.append(those())
    return found


@both
def do_disconnect(sid: str, namespace: str) -> None:
    disconnect(sid=sid, namespace=namespace)


@both
def do_disconnect_me() -> None:
    disconnect()


@both
def tell(options: dict[str, Any], data: Any) -> None:
    """Emit "told" with these options."""
    emit("told", data, **options)


@both
def tell_with_send(data: Any, json: bool) -> None:
    send(data, json=json)


@both
def tell_several() -> None:
    emit("told", "one", {"two": 2}, b"three")


@socketio.on("connect", namespace="/elsewhere")
def connect_elsewhere() -> None:
    pass


WITHOUT_CONTEXT: dict[str, Callable[[], Any]] = {
    "emit": lambda: emit("told", "text"),
    "emit to all": lambda: emit("told", "text", broadcast=True),
    "send": lambda: send("text"),
    "call": lambda: call("told", "text"),
    "join_room": lambda: join_room("room"),
    "leave_room": lambda: leave_room("room"),
    "close_room": lambda: close_room("room"),
    "rooms": lambda: rooms(),
    "disconnect": lambda: disconnect(),
    "join_room for one": lambda: join_room("room", sid="somebody"),
    "join_room for one in a namespace": lambda: join_room("room", sid="somebody", namespace="/"),
    "close_room in a namespace": lambda: close_room("room", namespace="/"),
}


def try_without_context(name: str) -> list[str]:
    try:
        WITHOUT_CONTEXT[name]()
    except Exception as error:
        return [type(error).__name__, str(error)]
    return ["nothing", ""]


@app.get("/without-context/view/<name>")
def without_context_in_view(name: str) -> list[str]:
    return try_without_context(name)


@app.get("/without-context/async view/<name>")
async def without_context_in_async_view(name: str) -> list[str]:
    return try_without_context(name)


@app.get("/without-context/thread/<name>")
def without_context_in_thread(name: str) -> list[str]:
    found: list[str] = []
    thread = threading.Thread(target=lambda: found.extend(try_without_context(name)))
    thread.start()
    thread.join(WAIT)
    return found


@app.get("/without-context/task/<name>")
def without_context_in_task(name: str) -> list[str]:
    async def attempt() -> list[str]:
        return try_without_context(name)

    future = socketio.start_background_task(attempt)
    found: list[str] = future.result(WAIT)
    return found


@app.get("/for-one/<sid>")
def for_one_in_view(sid: str) -> list[Any]:
    """A view names the client and its namespace."""
    join_room("from a view", sid=sid, namespace="/")
    return sorted(set(rooms(sid=sid, namespace="/")) - {sid})


# Teardown

torn_down: Counter[tuple[str, str, str]] = Counter()


@app.teardown_request
def count_request(error: BaseException | None) -> None:
    if hasattr(request, "sid"):
        torn_down[request.sid, request.event["message"], f"request {error!r}"] += 1
        g.request_counted = request.sid, request.event["message"]


@app.teardown_appcontext
def count_app_context(error: BaseException | None) -> None:
    if "request_counted" in g:
        torn_down[(*g.request_counted, f"app {error!r}")] += 1


@socketio.on("torn down")
async def those_torn_down(message: str) -> dict[str, int]:
    return {
        what: number
        for (sid, about, what), number in torn_down.items()
        if (sid, about) == (request.sid, message)
    }


# HTTP


together = threading.Barrier(32)


@app.get("/slow")
def slow() -> str:
    """Answers when 32 requests are being handled at once."""
    together.wait(WAIT)
    return "ok"


asgi = socketio.asgi_app
