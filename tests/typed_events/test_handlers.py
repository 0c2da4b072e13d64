"""Handlers of every kind get what they take, and clients are told what was wrong."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import socketio as python_socketio
from flask import Flask, request
from flask.signals import got_request_exception

from asyncsock import AsyncServer, InvalidPayload, Namespace, SocketIO
from asyncsock.types import Handler
from tests.support.log_records import errors, recorded
from tests.support.socketio_in_process import connected, msgpack_client, opened

if TYPE_CHECKING:
    from decimal import Decimal


class Message(msgspec.Struct):
    text: str


BAD = {
    "error": {"code": "invalid_payload", "path": "$[0].text", "message": "Expected `str`, got `int`"},
}


def logged(handler: Handler) -> Handler:
    @functools.wraps(handler)
    def wrapper(*args: Any) -> Any:
        return handler(*args)

    return wrapper


# With Flask


class Chat(Namespace):
    async def on_coroutine(self, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    def on_function(self, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text


class Threaded(Chat):
    def trigger_event(self, event: str, *args: Any) -> Any:
        return super().trigger_event(event, *args)


def register(socketio: SocketIO, kind: str) -> str:
    """Register a handler of a kind, and return the name of its event."""

    async def coroutine(message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    def function(message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    async def any_event(event: str, message: Message) -> str:
        assert event == "any"
        return function(message)

    def any_event_in_thread(event: str, message: Message) -> str:
        return function(message)

    class Callee:
        async def __call__(self, message: Message) -> str:
            return function(message)

    handlers: dict[str, Handler] = {
        "coroutine": coroutine,
        "function": function,
        "wrapped coroutine": logged(coroutine),
        "wrapped function": logged(function),
        "partial": functools.partial(lambda prefix, message: function(message), ""),
        "object": Callee(),
    }
    handlers["partial"] = functools.partial(prefixed, "")
    if kind in handlers:
        socketio.on_event("event", handlers[kind])
        return "event"
    if kind.startswith("method"):
        socketio.on_namespace(Threaded("/") if "dispatched" in kind else Chat("/"))
        return "coroutine" if "coroutine" in kind else "function"
    socketio.on_event("*", any_event if kind == "any event" else any_event_in_thread)
    return "any"


def prefixed(prefix: str, message: Message) -> str:
    assert isinstance(message, Message)
    return prefix + message.text


KINDS = [
    "coroutine",
    "function",
    "wrapped coroutine",
    "wrapped function",
    "partial",
    "object",
    "method: a coroutine",
    "method: a function",
    "method: a coroutine, dispatched in a thread",
    "any event",
    "any event in a thread",
]


@pytest.mark.parametrize("serializer", ["default", "msgpack"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_handler_of_a_flask_application_gets_what_it_takes(
    kind: str, serializer: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app, serializer=serializer)
    event = register(socketio, kind)
    client = socketio.test_client(app)
    assert client.emit(event, {"text": "hi"}, callback=True) == "hi"
    assert client.emit(event, {"text": 1}, callback=True) == BAD
    assert client.emit(event, {"text": 1}) is None  # nobody asked
    assert client.emit(event, callback=True)["error"]["path"] == "$"
    assert client.emit(event, {"text": "still there"}, callback=True) == "still there"
    lines = recorded(caplog, 30)
    assert len(lines) == 3
    text = f'event "{event}" from {client.sid()} is not what its handler takes: Expected `str`, got `int`'
    assert lines[0] == f"{text} at $[0].text"
    assert errors(caplog) == []


def test_handlers_that_were_registered_before_there_is_an_application_are_validated_by_its_options() -> None:
    socketio = SocketIO(validate=True)
    socketio.on_event("number", number)
    socketio.on_event("unchecked", number, validate=False)
    app = Flask(__name__)
    socketio.init_app(app)
    client = socketio.test_client(app)
    assert client.emit("number", "1", callback=True)["error"]["message"] == "Expected `int`, got `str`"
    assert client.emit("unchecked", "1", callback=True) == "1"


def number(number: int) -> Any:
    return number


def test_each_way_to_register_a_handler_takes_the_option() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on("a", validate=True)(number)
    socketio.on_event("b", number, validate=True)
    socketio.event(validate=True)(number)

    class Checked(Namespace):
        validate = True

        async def on_method(self, number: int) -> int:
            return number

    class Unchecked(Namespace):
        validate = False

        async def on_method(self, message: Message) -> Any:
            return message

    socketio.on_namespace(Checked("/checked"))
    socketio.on_namespace(Unchecked("/unchecked"))
    client = socketio.test_client(app)
    for event in ("a", "b", "number"):
        assert client.emit(event, "1", callback=True)["error"]["path"] == "$[0]"
        assert client.emit(event, 1, callback=True) == 1
    for namespace, answer in (("/checked", "$[0]"), ("/unchecked", None)):
        client = socketio.test_client(app, namespace)
        got = client.emit("method", "1", callback=True, namespace=namespace)
        assert got == "1" if answer is None else got["error"]["path"] == answer


def test_what_a_method_cannot_be_validated_for_is_an_error_when_the_namespace_is_registered() -> None:
    class Bad(Namespace):
        validate = True

        async def on_method(self, price: Decimal) -> None: ...

    socketio = SocketIO(Flask(__name__))
    with pytest.raises(
        TypeError, match=r"on_method\(\): the annotation 'Decimal' of 'price' is not resolved"
    ):
        socketio.on_namespace(Bad("/"))
    with pytest.raises(TypeError, match="'Decimal' of 'price' is not resolved"):
        socketio.on("price", validate=True)(Bad("/").on_method)
    with pytest.warns(UserWarning, match="is not checked"):
        socketio.on("price")(Bad("/").on_method)


def test_a_name_that_is_not_found_is_warned_of_where_the_handler_is_defined() -> None:
    class Local(msgspec.Struct):
        text: str

    def handler(message: Local) -> None: ...

    socketio = SocketIO(Flask(__name__))
    with pytest.warns(UserWarning, match="'Local' of 'message' is not resolved.*is not checked") as caught:
        socketio.on_event("event", handler)
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, handler.__code__.co_firstlineno)


def test_nobody_is_warned_of_what_a_handler_returns_or_is_not_to_be_checked(
    recwarn: pytest.WarningsRecorder,
) -> None:
    def handler(text: str) -> Decimal: ...

    def unchecked(price: Decimal) -> None: ...

    socketio = SocketIO(Flask(__name__))
    socketio.on_event("event", handler)
    socketio.on_event("unchecked", unchecked, validate=False)
    assert list(recwarn) == []


# Error handlers


@pytest.mark.parametrize("kind", ["coroutine", "function", "any event in a thread", "method: a function"])
@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("answer", [None, {"sorry": 1}], ids=["returns nothing", "answers"])
def test_the_error_handler_gets_it_in_the_context_of_the_event_and_may_answer(
    kind: str, asynchronous: bool, answer: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    event = register(socketio, kind)
    got: list[Any] = []

    def failed(error: InvalidPayload) -> Any:
        got.append((error.event, error.path, error.expected, request.sid))  # type: ignore[attr-defined]
        return answer

    async def failed_asynchronously(error: InvalidPayload) -> Any:
        return failed(error)

    socketio.on_error()(failed_asynchronously if asynchronous else failed)
    client = socketio.test_client(app)
    assert client.emit(event, {"text": 1}, callback=True) == (answer or BAD)
    assert got == [(event, "$[0].text", "Expected `str`, got `int`", client.sid())]
    assert len(recorded(caplog, 30)) == (1 if answer is None else 0)


def test_the_method_error_of_a_class_gets_it_too() -> None:
    class WithError(Chat):
        def error(self, error: Exception) -> str:
            return type(error).__name__

    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on_namespace(WithError("/"))
    assert socketio.test_client(app).emit("function", 1, callback=True) == "InvalidPayload"


def test_an_error_handler_that_fails_is_logged_as_ever(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    event = register(socketio, "coroutine")

    @socketio.on_error_default
    def failed(error: Exception) -> None:
        raise KeyError("again")

    with pytest.raises(KeyError):
        socketio.test_client(app).emit(event, 1, callback=True)
    assert errors(caplog) == ["KeyError('again')"]


def test_a_handler_may_refuse_in_the_same_form() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)

    @socketio.on("join")
    def join(room: str) -> None:
        raise InvalidPayload("join", "$[0]", "There is no such room")

    answer = socketio.test_client(app).emit("join", "x", callback=True)
    assert answer == {
        "error": {"code": "invalid_payload", "path": "$[0]", "message": "There is no such room"}
    }


@pytest.mark.parametrize("kind", ["coroutine", "function"])
def test_what_a_client_sends_wrong_is_not_reported_as_an_error_of_the_application(kind: str) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    event = register(socketio, kind)
    told: list[Any] = []

    def hear(sender: Flask, exception: BaseException, **_: Any) -> None:
        told.append(exception)

    with got_request_exception.connected_to(hear, app):
        assert socketio.test_client(app).emit(event, {"text": 1}, callback=True) == BAD
    assert told == []


def test_one_client_causes_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    event = register(socketio, "coroutine")
    client = socketio.test_client(app)
    for _ in range(50):
        client.emit(event, 1)
    assert len(recorded(caplog, 30)) == 10


def test_what_a_client_sends_does_not_break_the_line(caplog: pytest.LogCaptureFixture) -> None:
    class Closed(msgspec.Struct, forbid_unknown_fields=True):
        pass

    def handler(event: str, data: Any) -> None: ...

    handler.__annotations__["data"] = Closed
    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on_event("*", handler)
    socketio.test_client(app).emit("\nERROR forged", {"\nERROR \x1b[31m" + "x" * 1000: 1})
    (line,) = recorded(caplog, 30)
    assert line.isprintable()
    assert len(line) < 600


# Connecting


class Auth(msgspec.Struct):
    token: str


REFUSAL = {
    "message": "Invalid payload",
    "data": {"code": "invalid_payload", "path": "$.token", "message": "Expected `str`, got `int`"},
}


def connect_handler(kind: str, seen: list[Any]) -> Handler:
    async def coroutine(auth: Auth) -> None:
        seen.append(auth)

    def function(auth: Auth) -> None:
        seen.append(auth)

    def optional(auth: Auth | None = None) -> None:
        seen.append(auth)

    return {"coroutine": coroutine, "function": function, "optional": optional}[kind]


@pytest.mark.parametrize("kind", ["coroutine", "function", "optional"])
@pytest.mark.parametrize("has_error_handler", [False, True])
async def test_auth_is_validated_and_the_client_told_what_was_wrong(
    kind: str, has_error_handler: bool, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Any] = []
    told: list[Any] = []
    socketio = SocketIO(Flask(__name__))
    socketio.on_event("connect", connect_handler(kind, seen))
    if has_error_handler:
        socketio.on_error_default(told.append)
    async with opened(socketio.server) as client:
        client.send('40{"token":1}')
        packet = await client.receive()
        assert packet.startswith("44")
        assert msgspec.json.decode(packet[2:]) == REFUSAL
        await client.connect(auth={"token": "t"})
    assert seen == [Auth("t")]
    assert [type(error) for error in told] == [InvalidPayload] * has_error_handler
    (line,) = recorded(caplog, 30)
    assert line.endswith("is refused: its auth is not what the connect handler takes: " + LINE_END)


LINE_END = "Expected `str`, got `int` at $.token"


async def test_without_auth_a_handler_that_needs_none_is_called_with_its_default() -> None:
    seen: list[Any] = []
    socketio = SocketIO(Flask(__name__))
    socketio.on_event("connect", connect_handler("optional", seen))
    socketio.on_event("connect", connect_handler("coroutine", seen), namespace="/strict")
    socketio.on_event("connect", lambda: None, namespace="/none", validate=True)
    async with opened(socketio.server) as client:
        await client.connect()
        await client.connect("/none", {"what": "ever"})
        client.send("40/strict,")
        packet = await client.receive()
        assert '"path":"$","message":"Expected `object`, got `null`"' in packet
    assert seen == [None]


class Options(msgspec.Struct):
    language: str = "en"


@pytest.mark.parametrize("auth", ["", "{}"])
async def test_a_class_of_which_nothing_is_required_needs_no_auth(auth: str) -> None:
    seen: list[Any] = []
    server = AsyncServer()

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Options) -> None:
        seen.append(auth)

    async with opened(server) as client:
        client.send(f"40{auth}")
        assert (await client.receive()).startswith("40")
    assert seen == [Options()]


def test_the_test_client_is_refused_too() -> None:
    app = Flask(__name__)
    socketio = SocketIO(app)
    socketio.on_event("connect", connect_handler("function", []))
    assert not socketio.test_client(app, auth={"token": 1}).is_connected()
    assert socketio.test_client(app, auth={"token": "t"}).is_connected()


# A bare server


class ServerChat(python_socketio.AsyncNamespace):  # type: ignore[misc]
    async def on_event(self, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    def on_function(self, sid: str, message: Message) -> str:
        return message.text


class Dispatching(ServerChat):
    async def trigger_event(self, event: str, *args: Any) -> Any:
        return await super().trigger_event(event, *args)


class AnyNamespace(python_socketio.AsyncNamespace):  # type: ignore[misc]
    async def on_event(self, namespace: str, sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text


def bare(kind: str) -> AsyncServer:
    server = AsyncServer(namespaces="*")

    async def coroutine(sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    def function(sid: str, message: Message) -> str:
        assert isinstance(message, Message)
        return message.text

    def any_event(event: str, sid: str, message: Message) -> str:
        assert event == "event"
        return function(sid, message)

    async def any_namespace(namespace: str, sid: str, message: Message) -> str:
        assert namespace == "/"
        return function(sid, message)

    def anything(event: str, namespace: str, sid: str, message: Message) -> str:
        assert (event, namespace) == ("event", "/")
        return function(sid, message)

    register: dict[str, Callable[[], Any]] = {
        "coroutine": lambda: server.on("event", coroutine),
        "function": lambda: server.on("event")(function),
        "any event": lambda: server.on("*", any_event),
        "any namespace": lambda: server.on("event", any_namespace, namespace="*"),
        "anything": lambda: server.on("*", anything, namespace="*"),
        "class": lambda: server.register_namespace(ServerChat("/")),
        "dispatching class": lambda: server.register_namespace(Dispatching("/")),
        "class of any namespace": lambda: server.register_namespace(AnyNamespace("*")),
    }
    register[kind]()
    return server


@pytest.mark.parametrize(
    "kind",
    [
        "coroutine",
        "function",
        "any event",
        "any namespace",
        "anything",
        "class",
        "dispatching class",
        "class of any namespace",
    ],
)
async def test_a_handler_of_a_bare_server_gets_what_it_takes(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with connected(bare(kind)) as client:
        assert await client.ask("event", {"text": "hi"}) == ["hi"]
        assert await client.ask("event", {"text": 1}) == [BAD]
        client.send('42["event",{"text":1}]')
        assert await client.ask("event", {"text": "still there"}) == ["still there"]
    assert len(recorded(caplog, 30)) == 2
    assert errors(caplog) == []


async def test_a_bare_server_validates_auth() -> None:
    server = AsyncServer()
    seen: list[Any] = []

    @server.event
    async def connect(sid: str, environ: dict[str, Any], auth: Auth) -> None:
        seen.append(auth)

    async with opened(server) as client:
        client.send('40{"token":1}')
        assert msgspec.json.decode((await client.receive())[2:]) == REFUSAL
        await client.connect(auth={"token": "t"})
    assert seen == [Auth("t")]


async def test_a_bare_server_checks_every_annotation_if_it_is_to() -> None:
    server = AsyncServer(validate=True)

    @server.event
    def asked(sid: str, number: int) -> int:
        return number

    @server.event(validate=False)
    def unchecked(sid: str, number: int) -> int:
        return number

    @server.on("disconnect")
    def disconnected(sid: str, reason: int) -> None: ...

    async with connected(server) as client:
        assert (await client.ask("asked", "1"))[0]["error"]["path"] == "$[0]"
        assert await client.ask("unchecked", "1") == ["1"]


async def test_binary_data_in_a_struct_arrive_as_bytes_in_json_and_msgpack() -> None:
    class Photo(msgspec.Struct):
        data: bytes

    async def photo(sid: str, photo: Any) -> Any:
        assert isinstance(photo, Photo)
        return photo

    photo.__annotations__["photo"] = Photo
    server, packed = AsyncServer(), AsyncServer(serializer="msgpack")
    server.on("photo", photo)
    packed.on("photo", photo)
    async with connected(server) as client:
        client.send('451-7["photo",{"data":{"_placeholder":true,"num":0}}]')
        client.send(b"\0")
        assert await client.receive() == '461-7[{"data":{"_placeholder":true,"num":0}}]'
        assert await client.receive() == b"\0"
        assert (await client.ask("photo", {"data": "AA=="}))[0]["error"]["path"] == "$[0].data"
    async with msgpack_client(packed) as other:
        other.send(2, ["photo", {"data": b"\0"}], 3)
        assert await other.receive() == (3, [{"data": b"\0"}], 3)
        other.send(2, ["photo", {"data": 1}], 4)
        _, (answer,), _ = await other.receive()
        assert answer["error"]["message"] == "Expected `bytes`, got `int`"
