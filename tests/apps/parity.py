"""Handlers written for Flask-SocketIO, which asyncsock has to run as they are.

Import it through parity_asyncsock, or run parity_flask_socketio: they say which package `flask_socketio` is.
"""

from __future__ import annotations

import threading
from typing import Any

import flask
from flask import Flask, current_app, g, session, url_for
from flask_socketio import (
    ConnectionRefusedError,
    Namespace,
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

from .parity_data import ANSWERS, VALUES

app = Flask(__name__)
app.config["SECRET_KEY"] = "a secret"
socketio = SocketIO(app, async_mode="threading", namespaces=["/", "/quiet"])
request: Any = flask.request  # with the attributes that an event adds


def others_and_self() -> list[str]:
    """The rooms of the current client, its own one told by a word."""
    return sorted("self" if room == request.sid else str(room) for room in rooms())


@socketio.on("connect")
def connect(auth: Any) -> None:
    send(["welcome", auth, request.args.to_dict(), request.headers.get("X-Test"), request.cookies.get("c")])
    emit("welcome event", (request.event["message"], len(request.event["args"]), request.namespace))


@socketio.on("disconnect")
def on_disconnect(reason: str) -> None:
    emit("left", (session.get("name"), reason, others_and_self()), broadcast=True, include_self=False)


@socketio.on("barrier")
def barrier() -> None:
    """Nothing: its acknowledgement tells that what was sent before has arrived."""


@socketio.on("connect", namespace="/refusing")
def refuse(auth: Any) -> Any:
    how = auth["how"]
    if how == "emit":
        emit("to a refused client")
        return False
    if how == "false":
        return False
    if how == "bare":
        raise ConnectionRefusedError
    if how == "message":
        raise ConnectionRefusedError("not you")
    if how == "data":
        raise ConnectionRefusedError("not you", {"code": 401, "why": "ž"})
    if how == "several":
        raise ConnectionRefusedError("not you", 1, [2])
    emit("accepted", broadcast=True)
    return how


@socketio.on("connect", namespace="/without-auth")
def connect_without_auth() -> str:
    return "ignored"


def forwarding(function: Any) -> Any:
    """A decorator without functools.wraps."""

    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


@socketio.on("connect", namespace="/decorated")
@forwarding
def connect_decorated() -> None:
    emit("without auth")


@socketio.on("connect", namespace="/decorated-with-auth")
@forwarding
def connect_decorated_with_auth(auth: Any) -> None:
    emit("with auth", auth)


# Answers and values


@socketio.on("answer")
def answer(name: str) -> Any:
    return ANSWERS[name]


@socketio.on("value")
def value(name: str) -> Any:
    emit("value", VALUES[name])
    for item in VALUES[name]:
        emit("one value", item)
    return VALUES[name]


@socketio.on("echo")
def echo(*args: Any) -> Any:
    emit("echoed", args)
    return args


@socketio.on("describe")
def describe(*args: Any) -> Any:
    return [type(arg).__name__ for arg in args], len(args), str(args)[:200]


@socketio.on("message")
def message(data: Any) -> Any:
    send(data)
    return "message"


@socketio.on("json")
def json(data: Any) -> Any:
    send(data, json=True)
    return "json"


@socketio.on("changing")
def changing() -> Any:
    data = {"step": 1}
    emit("changing", data)
    data["step"] = 2
    return data


@socketio.on("unserialisable")
def unserialisable() -> None:
    emit("never seen", {"what": {1, 2}})


@socketio.on("unserialisable answer")
def unserialisable_answer() -> Any:
    emit("before", 1)
    return {1, 2}


# Whom it goes to


@socketio.on("spread")
def spread(other: str) -> None:
    emit("1 reply")
    emit("2 broadcast", broadcast=True)
    emit("3 others", broadcast=True, include_self=False)
    emit("4 not other", broadcast=True, skip_sid=other)
    emit("5 neither", broadcast=True, skip_sid=[other, request.sid])
    emit("6 to other", to=other)
    emit("7 room other", room=other)
    emit("8 list", to=[other, request.sid])
    emit("9 not self", include_self=False)
    emit("10 nobody", to="an empty room")
    send("11 others", broadcast=True, include_self=False)
    send({"12": "json"}, json=True, to=other)
    socketio.emit("13 everybody")
    socketio.emit("14 others", include_self=False)
    socketio.send("15 not other", skip_sid=other)
    socketio.emit("16 other", to=other)


@socketio.on("sid")
def sid() -> str:
    return str(request.sid)


@socketio.on("join")
def join(*names: Any) -> list[str]:
    for name in names:
        join_room(name)
    return others_and_self()


@socketio.on("leave")
def leave(*names: Any) -> list[str]:
    for name in names:
        leave_room(name)
    return others_and_self()


@socketio.on("join for")
def join_for(other: str, name: str) -> int:
    join_room(name, sid=other)
    return len(rooms(sid=other))


@socketio.on("leave for")
def leave_for(other: str, name: str) -> int:
    leave_room(name, sid=other, namespace="/")
    return len(rooms(other, "/"))


@socketio.on("close")
def close(name: Any, context_free: bool) -> list[str]:
    if context_free:
        socketio.close_room(name)
    else:
        close_room(name)
    return others_and_self()


@socketio.on("to room")
def to_room(name: Any, options: dict[str, Any]) -> None:
    emit("in room", name, to=name, **options)


@socketio.on("to room of namespace")
def to_room_of_namespace(name: Any, namespace: str) -> None:
    emit("in room", name, to=name, namespace=namespace)
    emit("in namespace", name, namespace=namespace, broadcast=True)


# Callbacks


@socketio.on("ask")
def ask(*args: Any) -> None:
    def answered(*answers: Any) -> None:
        emit("answered", (request.namespace, session.get("name"), *answers))

    emit("question", args, callback=answered)


@socketio.on("ask other")
def ask_other(other: str) -> None:
    def answered(*answers: Any) -> None:
        emit("answered", answers)

    emit("question", "of other", to=other, callback=answered)


@socketio.on("call")
def call_client(*args: Any) -> Any:
    return call("question", args, timeout=10)


@socketio.on("call other")
def call_other(other: str) -> Any:
    return call("question", to=other)


@socketio.on("socketio call")
def socketio_call(other: str) -> Any:
    return socketio.call("question", {"b": b"1"}, to=other, timeout=10)


# Errors


@socketio.on("fail")
def fail(*args: Any) -> None:
    emit("before failing")
    raise LookupError("on purpose")


@socketio.on("fail", namespace="/errors")
def fail_there(*args: Any) -> None:
    raise LookupError("there")


@socketio.on("wrong arguments")
def wrong_arguments(first: Any) -> None:
    emit("never seen")


@socketio.on_error("/errors")
def error_there(error: Exception) -> Any:
    emit("error there", str(error))
    return "from on_error", request.event["message"], list(request.event["args"])


@socketio.on_error_default
def error_default(error: Exception) -> Any:
    return ["from on_error_default", type(error).__name__, request.event["message"]]


@socketio.on("connect", namespace="/failing")
def fail_to_connect(auth: Any) -> None:
    if auth:
        raise LookupError("in connect")


@socketio.on("fail", namespace="/failing")
def fail_twice(*args: Any) -> None:
    raise LookupError("twice")


@socketio.on_error("/failing")
def error_that_fails(error: Exception) -> Any:
    if request.event["message"] == "fail":
        emit("about to fail")
    raise error


# Catch-all handlers


@socketio.on("*", namespace="/all")
def any_event(event: str, *args: Any) -> Any:
    return "any event", event, list(args), request.event["message"], list(request.event["args"])


@socketio.on("known", namespace="/all")
def known_event(*args: Any) -> Any:
    return "known event", list(args)


@socketio.on("everywhere", namespace="*")
def everywhere(*args: Any) -> Any:
    return "everywhere", request.namespace, list(args)


# Class-based namespaces


class Room(Namespace):  # type: ignore[misc]
    def on_connect(self) -> None:
        emit("arrived", broadcast=True)

    def on_disconnect(self, reason: str) -> None:
        self.emit("departed", (request.namespace, reason))

    def on_say(self, text: str) -> Any:
        self.send(text)
        self.emit("said", {"text": text}, None, False)
        self.emit("several", (1, 2), room=request.sid)
        return self.namespace

    def on_enter(self, name: str) -> Any:
        self.enter_room(request.sid, name)
        emit("entered", to=name)
        found = len(self.rooms(request.sid))
        self.leave_room(request.sid, name)
        self.emit("never seen", room=name)
        join_room(name)
        self.close_room(name)
        self.emit("never seen", room=name)
        return found, len(rooms())

    def on_ask(self) -> None:
        self.emit("question", "room", room=request.sid, callback=self.answered)

    def answered(self, *args: Any) -> None:
        emit("answered", args)

    def on_fail(self, *args: Any) -> None:
        raise LookupError("in class")

    def on_decorated(self) -> str:
        return "class"

    def on_leave(self) -> None:
        self.disconnect(request.sid)


class Erring(Namespace):  # type: ignore[misc]
    def on_fail(self, *args: Any) -> None:
        raise LookupError("in class")

    def error(self, error: Exception) -> Any:
        return "error()", str(error)


@socketio.on_error("/erring")
def error_passed_on(error: Exception) -> Any:
    raise error


@socketio.on("decorated", namespace="/class")
def decorated() -> str:
    return "function"


socketio.on_namespace(Room("/class"))
socketio.on_namespace(Erring("/erring"))


# The context


@socketio.on("remember")
def remember(name: str) -> Any:
    before = session.get("name")
    session["name"] = name
    g.name = name
    return before


@socketio.on("recall")
def recall() -> Any:
    return dict(session), g.get("name")


@socketio.on("recall", namespace="/class")
def recall_there() -> Any:
    return dict(session)


@socketio.on("context")
def context(*args: Any) -> Any:
    event = request.event
    return {
        "app": current_app.name,
        "event": [event["message"], list(event["args"])],
        "namespace": request.namespace,
        "args": request.args.to_dict(flat=False),
        "method": request.method,
        "path": request.path,
        "header": request.headers.get("X-Test"),
        "cookie": request.cookies.get("c"),
        "address": request.remote_addr,
        "url": url_for("emit_from_view"),
    }


@app.get("/emit")
def emit_from_view() -> str:
    socketio.emit("from view", {"a": "ž"})
    socketio.send("from view")
    socketio.send({"b": b"1"}, json=True)
    socketio.emit("from view", data=(1, 2), namespace="/class")
    return "done"


@socketio.on("background")
def background(*args: Any) -> None:
    def work(*args: Any, end: str) -> None:
        socketio.sleep(0.001)
        socketio.emit("from background", args)
        socketio.emit("from background", end)

    socketio.start_background_task(work, *args, end="end")


@socketio.on("thread")
def thread() -> None:
    threading.Thread(target=socketio.emit, args=("from thread", [1]), kwargs={"to": request.sid}).start()


@socketio.on("leave me")
def leave_me() -> None:
    emit("goodbye")
    disconnect()


@socketio.on("send away")
def send_away(other: str) -> Any:
    return disconnect(other, namespace="/", silent=True)  # returned, to be acknowledged after it is done
