# ruff: noqa: UP007, UP045 - applications write Optional and Union, too
"""`flask socketio typescript`: what is said about events, names and texts, compiled with the real client."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple, Optional, TypedDict, Union

import msgspec

from asyncsock import Namespace
from asyncsock.engine.awaitables import Sent
from asyncsock.typed.description import Description, describe
from asyncsock.typed.event_type import EventType
from asyncsock.typed.typescript import RESERVED, to_typescript
from tests.support.node_tools import compile_typescript

HEAD = """\
import { io, type Socket } from "socket.io-client";
import type * as types from "./events";
const socket: Socket<types.ServerToClientEvents, types.ClientToServerEvents> = io();
"""


class Message(msgspec.Struct):
    text: str


class Receipt(msgspec.Struct):
    id: int


class Refusal(msgspec.Struct):
    error: str


class Place(NamedTuple):
    x: int
    label: str


class Reply(msgspec.Struct):
    text: str = ""


class Thread(msgspec.Struct):
    replies: list[Reply]


class Login(TypedDict):
    token: str


def sent(name: str, *kinds: Any, namespace: str = "/") -> EventType[Any]:
    return EventType(None, name, kinds, namespace)  # type: ignore[arg-type] # nothing is emitted


def described(handlers: Sequence[Callable[..., Any]]) -> Description:
    """Handlers whose arguments are not checked."""
    registered = [(each.__name__, each, "/") for each in handlers]
    return describe(registered, validations=[False] * len(registered))


def errors(document: str, program: str, folder: Path) -> dict[int, str]:
    """What the compiler says about a program that uses a document, by the numbers of its lines."""
    (folder / "events.ts").write_text(document)
    (folder / "program.ts").write_text(HEAD + program)
    return {
        number - HEAD.count("\n"): error for number, error in compile_typescript(folder, "program.ts").items()
    }


async def answers(message: Message) -> Receipt: ...
async def answers_maybe(message: Message) -> Optional[Receipt]: ...
async def answers_several(message: Message) -> tuple[int, str]: ...
async def answers_named() -> Place: ...
async def answers_any_number() -> tuple[int, ...]: ...
async def answers_either() -> Union[tuple[int, str], Receipt, None]: ...
async def answers_nothing(message: Message) -> None: ...
def emits(message: Message) -> Sent: ...
def awaitable(message: Message) -> Coroutine[Any, Any, Receipt]: ...
async def unknown(message: Message): ...  # type: ignore[no-untyped-def]
async def untyped(data, more=None, *others): ...  # type: ignore[no-untyped-def]
async def optional(message: Message, count: int = 1) -> Receipt: ...
async def variadic(message: Message, *more: int) -> Receipt: ...
async def variadic_without_answer(*more: int) -> None: ...


HANDLERS = (
    answers,
    answers_maybe,
    answers_several,
    answers_named,
    answers_any_number,
    answers_either,
    answers_nothing,
    emits,
    awaitable,
    unknown,
    untyped,
    optional,
    variadic,
    variadic_without_answer,
)

RIGHT = """\
type Of<T> = [answer: T];
const message = { text: "hi" };
async function program() {
  const a: Of<types.Receipt> = [await socket.emitWithAck("answers", message)];
  const b: Of<types.Receipt | undefined> = [await socket.emitWithAck("answers_maybe", message)];
  const c: Of<types.Receipt> = [await socket.emitWithAck("optional", message)];
  const d: Of<types.Receipt> = [await socket.emitWithAck("optional", message, 2)];
  const e: Of<types.Receipt> = [await socket.emitWithAck("variadic", message, 2, 3)];
}
socket.emit("answers", message, (answer) => { const id: number = answer.id; });
socket.emit("awaitable", message, (answer) => { const id: number = answer.id; });
socket.timeout(9).emit("answers", message, (error, answer) => { const id: number = answer.id; error.stack; });
socket.emit("answers_several", message, (a, b) => { const all: [number, string] = [a, b]; });
socket.emit("answers_named", (x, label) => { const all: [number, string] = [x, label]; });
socket.emit("answers_any_number", (...all) => { const numbers: number[] = all; });
socket.emit("answers_either", (...all) => { const one: [number, string] | [types.Receipt] | [] = all; });
socket.emit("answers_nothing", message);
socket.emit("answers_nothing", message, () => {});
socket.emit("emits", message, () => {});
socket.emit("unknown", message);
socket.emit("unknown", message, (first: number, second: string) => {});
socket.emit("untyped", 1);
socket.emit("untyped", 1, "two", 3, 4);
socket.emit("untyped", 1, "two", 3, 4, (answer: number) => {});
socket.emit("optional", message, 2, (answer) => { const id: number = answer.id; });
socket.emit("variadic_without_answer");
socket.emit("variadic_without_answer", 1, 2);
socket.emit("variadic_without_answer", 1, 2, () => {});
"""

WRONG = """\
const message = { text: "hi" };
async function program() {
  const a: string = await socket.emitWithAck("answers", message);
  const b: types.Receipt = await socket.emitWithAck("answers_maybe", message);
  const c: string = await socket.emitWithAck("optional", message);
  await socket.emitWithAck("optional", message, "2");
}
socket.emit("answers", message);
socket.emit("answers", message, (answer: string) => {});
socket.emit("answers", (answer) => {});
socket.emit("answers_several", message, (first: string, second: string) => {});
socket.emit("answers_nothing", message, (answer: string) => {});
socket.emit("untyped");
socket.emit("variadic_without_answer", "1");
"""


def test_acknowledgements_are_what_handlers_return(tmp_path: Path) -> None:
    document = to_typescript(described(HANDLERS))
    assert errors(document, RIGHT, tmp_path) == {}


def test_other_acknowledgements_are_errors(tmp_path: Path) -> None:
    document = to_typescript(described(HANDLERS))
    calls = [number for number, line in enumerate(WRONG.splitlines(), 1) if "socket." in line]
    assert sorted(errors(document, WRONG, tmp_path)) == calls


def refused(error: Exception) -> Refusal: ...


def maybe_refused(error: Exception) -> Refusal | None: ...


def test_a_checked_event_may_be_acknowledged_with_what_does_not_fit(tmp_path: Path) -> None:
    async def count(by: int) -> int: ...

    class Checked(Namespace):
        validate = True

        async def on_count(self, by: int) -> int: ...

    handlers = [
        ("say", answers, "/"),
        ("count", count, "/"),
        ("checked", count, "/"),
        ("unchecked", answers, "/"),
    ]
    validations = [None, None, True, False]
    document = to_typescript(describe(handlers, [Checked("/checked")], validations=validations))
    program = """\
        const message = { text: "hi" };
        async function program() {
          const said = await socket.emitWithAck("say", message);
          const either: string | number = "error" in said ? said.error.path : said.id;
          const wrong: "invalid_payload" | undefined = "error" in said ? said.error.code : undefined;
          const counted: number = await socket.emitWithAck("count", 1);
          const checked: number | types.InvalidPayload = await socket.emitWithAck("checked", 1);
          const unchecked: types.Receipt = await socket.emitWithAck("unchecked", message);
          // @ts-expect-error
          const surely: types.Receipt = said;
        }
        let other!: Socket<types.CheckedServerToClientEvents, types.CheckedClientToServerEvents>;
        other.emit("count", 1, (answer: number | types.InvalidPayload) => {});
        // @ts-expect-error
        other.emit("count", 1, (answer: number) => {});
    """
    assert errors(document, program, tmp_path) == {}


def test_the_server_may_check_all_events(tmp_path: Path) -> None:
    document = to_typescript(describe([("maybe", answers_nothing, "/")], validate=True))
    program = 'socket.emit("maybe", { text: "" }, (wrong) => { wrong?.error.message; });'
    assert errors(document, program, tmp_path) == {}


def test_an_error_handler_without_an_answer_leaves_that_to_the_server(tmp_path: Path) -> None:
    document = to_typescript(describe([("say", answers, "/")], error_handler=lambda namespace: maybe_refused))
    program = """\
        socket.emit("say", { text: "hi" }, (answer) => {
          if ("error" in answer) { const error: string | { message: string } = answer.error; }
        });
        // @ts-expect-error
        socket.emit("say", { text: "hi" }, (answer: types.Receipt | types.Refusal) => {});
    """
    assert errors(document, program, tmp_path) == {}


def test_an_event_may_be_acknowledged_with_what_the_error_handler_returns(tmp_path: Path) -> None:
    document = to_typescript(describe([("say", answers, "/")], error_handler=lambda namespace: refused))
    program = """\
        socket.emit("say", { text: "hi" }, (answer) => {
          const either: string | number = "error" in answer ? answer.error : answer.id;
        });
        // @ts-expect-error
        socket.emit("say", { text: "hi" }, (answer) => answer.id);
    """
    assert errors(document, program, tmp_path) == {}


def test_names_that_are_no_identifiers_are_quoted_or_changed(tmp_path: Path) -> None:
    async def handle(default: int, function: str, callback: float) -> Receipt: ...

    names = ["new message", "a-b", "1", 'say "hi"', "back\\slash", "привет", "x²", "delete", ""]
    document = to_typescript(describe([(name, handle, "/") for name in names]))
    program = "".join(
        f"socket.emit({json.dumps(name)}, 1, 'a', 2, (answer) => answer.id);\n" for name in names
    )
    assert errors(document, program, tmp_path) == {}


def test_docstrings_are_comments_that_nothing_ends_early(tmp_path: Path) -> None:
    class Evil(msgspec.Struct):
        """A class. */ alert(1)"""

        text: Annotated[str, msgspec.Meta(description="*/ alert(2)\n*/")]

    async def handle(evil: Evil) -> None:
        """Say it. */ alert(3)

        And more: */ alert(4)
        """

    handle.__annotations__["evil"] = Evil
    document = to_typescript(describe([("evil", handle, "/")]))
    assert "  /**\n   * Say it. *\\/ alert(3)\n   *\n   * And more: *\\/ alert(4)\n   */\n" in document
    assert errors(document, "socket.emit('evil', { text: '' });", tmp_path) == {}


def test_each_namespace_has_its_own_interfaces(tmp_path: Path) -> None:
    class Admin(Namespace):
        """For those who may."""

        def on_connect(self, auth: Login) -> None: ...

        def on_close(self, room: str) -> None:
            """Close a room."""

        async def on_list(self) -> list[str]: ...

    document = to_typescript(
        describe(
            [("say", answers, "/"), ("list", answers_named, "/admin/rooms-2"), ("any", answers_nothing, "*")],
            [Admin("/admin/rooms-2"), Namespace("/2")],
            [sent("said", Message), sent("closed", str, int, namespace="/admin/rooms-2")],
        )
    )
    program = """\
        let admin!: Socket<types.AdminRooms2ServerToClientEvents, types.AdminRooms2ClientToServerEvents>;
        const auth: types.AdminRooms2HandshakeAuth = { token: "t" };
        admin.emit("close", "room");
        admin.emit("list", (x, label) => { const all: [number, string] = [x, label]; });
        admin.on("closed", (room, count) => { const all: [string, number] = [room, count]; });
        socket.on("said", (message) => message.text);
        let any!: Socket<types.AnyNamespaceServerToClientEvents, types.AnyNamespaceClientToServerEvents>;
        any.emit("any", { text: "hi" });
        any.on("whatever", (data: number) => {});
        let two!: Socket<types.Namespace2ServerToClientEvents, types.Namespace2ClientToServerEvents>;
        // @ts-expect-error
        admin.emit("connect");
        // @ts-expect-error
        socket.emit("close", "room");
        // @ts-expect-error
        socket.on("closed", () => {});
    """
    assert errors(document, program, tmp_path) == {}
    assert "   * Close a room.".strip() in document
    assert "For those who may." in document


def test_handlers_of_any_event_are_noted(tmp_path: Path) -> None:
    def anything(event: str, *data: object) -> None: ...

    document = to_typescript(describe([("*", anything, "/"), ("say", answers, "/"), ("*", anything, "/all")]))
    assert "It takes events of other names, too." in document
    program = """\
        const all: Socket<types.AllServerToClientEvents, types.AllClientToServerEvents> = io("/all");
        all.emit("whatever", 1);
        // @ts-expect-error
        socket.emit("whatever", 1);
    """
    assert errors(document, program, tmp_path) == {}


def test_what_is_sent_but_not_declared_is_not_typed(tmp_path: Path) -> None:
    document = to_typescript(describe([("say", answers, "/")]))
    assert errors(document, 'socket.on("whatever", (a: number, b: string) => {});', tmp_path) == {}


def test_a_class_that_differs_where_it_is_sent_has_two_names(tmp_path: Path) -> None:
    async def handle(thread: Thread, message: Message) -> Message: ...

    document = to_typescript(
        describe([("open", handle, "/")], event_types=[sent("opened", Thread)], validations=[False])
    )
    program = """\
        const wanted: types.ThreadInput = { replies: [{}] };
        socket.emit("open", wanted, { text: "hi" }, (message) => { const same: types.Message = message; });
        socket.on("opened", (thread: types.Thread) => { const text: string = thread.replies[0]!.text; });
        // @ts-expect-error
        const sent: types.Thread = wanted;
    """
    assert errors(document, program, tmp_path) == {}


def test_binary_data_are_an_array_buffer(tmp_path: Path) -> None:
    class File(msgspec.Struct):
        data: bytes

    async def upload(name: str, data: bytes, more: list[bytes]) -> File: ...

    upload.__annotations__["return"] = File
    document = to_typescript(describe([("upload", upload, "/")], event_types=[sent("file", File, bytearray)]))
    program = """\
        const data = new ArrayBuffer(3);
        socket.emit("upload", "a", data, [data], (file) => { const size: number = file.data.byteLength; });
        socket.on("file", (file, data) => { const all: ArrayBuffer[] = [file.data, data]; });
        // @ts-expect-error
        socket.emit("upload", "a", "data", [], (file) => {});
    """
    assert errors(document, program, tmp_path) == {}


def test_what_cannot_be_described_is_any_value(tmp_path: Path) -> None:
    class Odd:
        pass

    async def handle(odd: Odd, either: Odd | int, functions: Callable[[int], int]) -> complex: ...

    async def handle_text(text: "no type") -> None: ...  # type: ignore[valid-type] # noqa: F722

    handle.__annotations__.update(odd=Odd, either=Union[Odd, int])
    handle_text.__annotations__["return"] = [int]
    document = to_typescript(describe([("odd", handle, "/"), ("text", handle_text, "/")]))
    program = """\
        socket.emit("odd", {}, 3, null, (answer) => answer.real);
        socket.emit("text", 1, (answer) => answer[0]);
    """
    assert errors(document, program, tmp_path) == {}


def test_an_application_without_events_has_empty_interfaces(tmp_path: Path) -> None:
    document = to_typescript(describe([]))
    assert errors(document, "// @ts-expect-error\nsocket.emit('anything');", tmp_path) == {}


def test_classes_keep_out_of_the_way_of_the_interfaces(tmp_path: Path) -> None:
    names = ["ServerToClientEvents", "HandshakeAuth", "Array", "default", "ChatClientToServerEvents"]
    classes = [msgspec.defstruct(name, [("text", list[int | None])]) for name in names]
    document = to_typescript(
        describe(
            [("say", answers, "/chat")],
            event_types=[sent(name, cls) for name, cls in zip(names, classes, strict=True)],
            reserved=RESERVED,
        )
    )
    program = """\
        const chat: Socket<types.Chat_ServerToClientEvents, types.Chat_ClientToServerEvents> = io("/chat");
        socket.on("ServerToClientEvents", (data) => { const all: (number | null)[] = data.text; });
        socket.on("default", (data) => { const all: (number | null)[] = data.text; });
        chat.emit("say", { text: "hi" }, (answer: types.Receipt | types.InvalidPayload) => {});
    """
    assert errors(document, program, tmp_path) == {}
