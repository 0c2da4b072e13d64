"""A chat: rooms, private messages, who is online, typing notices, delivered ticks, reconnecting.

Run it with ``python examples/chat/app.py`` or ``uvicorn --app-dir examples/chat app:asgi``,
then open the page in two browsers. With CHAT_FILE=/tmp/chat and ``--workers 4`` it runs on four cores.

Who is online, and in which rooms, is the server's presence: each page tracks its person. What was said lately
is bounded, and in a SQLite database: in memory, so that it is gone when the process stops, or in a file for
workers, which share no memory. The program is one file, so that it can be read from top to bottom and copied.

What pages and the server send each other is checked by type. ``flask --app examples/chat/app.py socketio
typescript`` prints these types for pages in TypeScript, and ``... socketio asyncapi`` a document for others.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, available_timezones

import msgspec
from flask import Flask, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from asyncsock import (
    ConnectionRefusedError,
    InvalidPayload,
    SocketIO,
    join_room,
    leave_room,
    presence,
    rooms,
    track,
    untrack,
)

MAX_NAME = 24  # characters, for people and rooms
MAX_TEXT = 2000  # characters in a message
MAX_ROOMS = 50
KEPT_MESSAGES = 100  # per conversation
KEPT_CONVERSATIONS = 500
STARTING_ROOMS = {
    "lobby": "Everyone starts here",
    "knitting": "Patterns, yarn and dropped stitches",
    "python": "async def and other ways to wait",
}

# The page comes with a fixed version of the client, checked by its hash. A copy found on this machine is
# served by the application itself instead, so the chat also works with no way out to the internet.
CDN_CLIENT = {
    "url": "https://cdn.socket.io/4.8.3/socket.io.min.js",
    "integrity": "sha384-kzavj5fiMwLKzzD1f8S7TeoVIEi7uKHvbTA3ueZkrzYq75pNQUiUi6Dy98Q3fxb0",
}


def find_client() -> str | None:
    """The path of a local copy of the JavaScript client, if there is one."""
    if named := os.environ.get("SOCKET_IO_CLIENT"):
        return named if Path(named).is_file() else None
    repository = Path(__file__).resolve().parents[2]
    package = Path("node_modules", "socket.io-client", "dist", "socket.io.min.js")
    places = [folder / package for folder in (repository, repository / "tests" / "js")]
    return next((str(place) for place in places if place.is_file()), None)


local_client = find_client()
app = Flask(__name__)
# With a key that stays the same, people are still logged in after a restart.
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only good enough for trying it out")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
# Whoever reloads the page is back within three seconds, and the others do not see them leave and come.
# `validate`: a handler is called with what its annotations say, or not at all.
socketio = SocketIO(app, serve_client=local_client, presence={"leave_after": 3}, validate=True)
asgi = socketio.asgi_app


# --- What pages and the server say to each other -------------------------------------------------------
# A page may also send a room's name or an address, which is text: "room:NAME" or "person:ID".


class Person(msgspec.Struct):
    id: str
    name: str


class Back(msgspec.Struct):
    """What a page connects with: the rooms that it was in, if it comes back."""

    rooms: list[str] | None = None


class Words(msgspec.Struct):
    """What somebody says to an address. A page that sends it again chooses the same `nonce` again."""

    to: str
    text: str
    nonce: str


class Message(msgspec.Struct, rename={"from_": "from"}):
    """What somebody has said, `at` milliseconds after the beginning of 1970."""

    id: str
    from_: Person
    to: str
    text: str
    kind: Literal["text", "action"]
    at: int


class Said(msgspec.Struct):
    message: Message


class Joined(msgspec.Struct):
    joined: str


class Left(msgspec.Struct):
    left: str


class Messages(msgspec.Struct):
    messages: list[Message]


class Refusal(msgspec.Struct):
    """The answer to what a person may not do, for them to read."""

    error: str


class Welcome(msgspec.Struct):
    """The rooms that the page is in, and which of how many workers has it."""

    joined: list[str]
    worker: str | None
    of: int


class Typing(msgspec.Struct, rename={"from_": "from"}):
    from_: Person
    to: str


class Tab(msgspec.Struct):
    """What others see of a page."""

    name: str
    rooms: list[str]


class Changes(msgspec.Struct):
    joins: dict[str, list[Tab]]
    leaves: dict[str, list[Tab]]


welcomed = socketio.event_type("welcome", Welcome)
was_said = socketio.event_type("message", Message)
types = socketio.event_type("typing", Typing)
logged_out = socketio.event_type("logged out")
# These two come from the presence of the server.
socketio.event_type("presence_state", dict[str, list[Tab]])
socketio.event_type("presence_diff", Changes)


# --- What was said -------------------------------------------------------------------------------------


class Refused(Exception):
    """Something a person may not do; its text is what they are told."""


TABLES = """
CREATE TABLE IF NOT EXISTS messages (number INTEGER PRIMARY KEY, conversation TEXT, id TEXT, message TEXT);
CREATE INDEX IF NOT EXISTS of_conversation ON messages (conversation, id);
"""


class History:
    """What was said lately in each conversation.

    Coroutine handlers run on the event loop and `def` handlers in threads, and all of them come here. So each
    method is one transaction, and a brief one: nothing is awaited inside, and nothing waits for a disk.
    """

    def __init__(self, file: str | None) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(
            file or ":memory:", timeout=10, isolation_level=None, check_same_thread=False
        )
        self._db.execute("PRAGMA synchronous = OFF")  # what is said is not worth a wait for the disk
        with self._transaction():
            for statement in TABLES.strip().split("\n"):
                self._db.execute(statement)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")

    def _rows(self, query: str, *values: Any) -> list[Any]:
        return self._db.execute(query, values).fetchall()

    def recent(self, conversation: str) -> list[Message]:
        with self._transaction():
            said = "SELECT message FROM messages WHERE conversation = ? ORDER BY number"
            return [
                msgspec.json.decode(message, type=Message) for (message,) in self._rows(said, conversation)
            ]

    def record(self, conversation: str, message: Message) -> tuple[Message, bool]:
        """Keep a message, unless there is one of that id already; returns it and whether it is new."""
        with self._transaction():
            same = "SELECT message FROM messages WHERE conversation = ? AND id = ?"
            for (known,) in self._rows(same, conversation, message.id):
                return msgspec.json.decode(known, type=Message), False
            self._db.execute(
                "INSERT INTO messages (conversation, id, message) VALUES (?, ?, ?)",
                (conversation, message.id, msgspec.json.encode(message)),
            )
            self._forget_old(conversation)
            return message, True

    def forget(self, conversation: str) -> None:
        with self._transaction():
            self._db.execute("DELETE FROM messages WHERE conversation = ?", (conversation,))

    def _forget_old(self, conversation: str) -> None:
        """Keep the latest messages of a conversation, and the latest conversations."""
        self._db.execute(
            "DELETE FROM messages WHERE number IN"
            " (SELECT number FROM messages WHERE conversation = ? ORDER BY number DESC LIMIT -1 OFFSET ?)",
            (conversation, KEPT_MESSAGES),
        )
        self._db.execute(
            "DELETE FROM messages WHERE conversation IN (SELECT conversation FROM messages"
            " GROUP BY conversation ORDER BY MAX(number) DESC LIMIT -1 OFFSET ?)",
            (KEPT_CONVERSATIONS,),
        )


said = History(os.environ.get("CHAT_FILE"))


# --- Who is here ---------------------------------------------------------------------------------------
# `track` shows everybody a person, under their id, with what is in `meta`: their name and the rooms that this
# page is in. Two tabs of one person are there once. The pages get `presence_state` and `presence_diff`.


def is_taken(name: str, person_id: str | None) -> bool:
    """Whether somebody else is here by that name; upper and lower case make no difference."""
    return any(
        person != person_id and tab["name"].casefold() == name.casefold()
        for person, tabs in socketio.presence().items()
        for tab in tabs
    )


def open_rooms() -> set[str]:
    """The rooms that are always there, and those that somebody is in."""
    return set(STARTING_ROOMS).union(*(tab["rooms"] for tabs in presence().values() for tab in tabs))


def own_rooms() -> list[str]:
    """The chat rooms that this page is in: see "Events" for how the server calls them."""
    return [room.removeprefix("room:") for room in rooms() if room.startswith("room:")]


async def show() -> None:
    """Show everybody who this is and where; again when that has changed."""
    await track(session["id"], {"name": session["name"], "rooms": own_rooms()})


def checked_name(value: str, what: str) -> str:
    """A name for a person or a room, tidied up; raises Refused where it will not do."""
    name = " ".join(value.split())
    if not name:
        raise Refused(f"Please give {what} a name.")
    if len(name) > MAX_NAME:
        raise Refused(f"That name is too long: {MAX_NAME} characters at most.")
    if not name.isprintable():
        raise Refused("That name has characters in it that cannot be shown.")
    return name


def checked_text(text: str) -> str:
    text = text.strip()
    if not text:
        raise Refused("There is nothing in that message.")
    if len(text) > MAX_TEXT:
        raise Refused(f"That message is too long: {MAX_TEXT:,} characters at most.")
    return text


# --- Pages: ordinary Flask views -----------------------------------------------------------------------


def page(error: str | None = None, typed: str = "") -> str:
    me = {"id": session["id"], "name": session["name"]} if "id" in session else None
    config = {
        "me": me,
        "maxText": MAX_TEXT,
        "maxName": MAX_NAME,
        "keep": KEPT_MESSAGES,
        "rooms": list(STARTING_ROOMS.items()),
    }
    return render_template(
        "chat.html", config=config, me=me, error=error, typed=typed, cdn=None if local_client else CDN_CLIENT
    )


@app.get("/")
def index() -> str:
    return page()


@app.get("/login")
def login_form() -> Response:
    return redirect(url_for("index"))  # somebody reloads the page that told them about a mistake


@app.post("/login")
def login() -> Response | tuple[str, int]:
    typed = request.form.get("name", "")
    try:
        name = checked_name(typed, "yourself")
        if is_taken(name, session.get("id")):
            raise Refused(f"Somebody is here as {name} already. Please pick another name.")
    except Refused as refusal:
        return page(error=str(refusal), typed=typed[: MAX_NAME * 2]), 422
    if session.get("name") != name:
        session["id"] = secrets.token_hex(8)
    session["name"] = name
    return redirect(url_for("index"))


@app.post("/logout")
def logout() -> Response:
    if "id" in session:
        # A view has no client of its own: it emits through `socketio`, from whichever thread it runs in.
        logged_out.emit(to=f"person:{session['id']}")
    session.clear()
    return redirect(url_for("index"))


# --- Events --------------------------------------------------------------------------------------------
# A client's Flask session is the one that its login made. `person:ID` is the Socket.IO room of all the tabs
# of one person, `room:NAME` that of a chat room. What a handler returns is the ack that the page waits for.


@socketio.on("connect")
async def connect(auth: Back | None = None) -> None:
    # A coroutine: it only touches memory and emits.
    if "id" not in session:
        raise ConnectionRefusedError("You are not logged in any more.")
    if is_taken(session["name"], session["id"]):
        raise ConnectionRefusedError(f"Somebody else is here as {session['name']} now.")
    await join_room(f"person:{session['id']}")
    # A page that comes back says which rooms it was in; a new one starts in the lobby.
    wanted = auth.rooms if auth else None
    joined: list[str] = []
    for name in ["lobby"] if wanted is None else wanted[:MAX_ROOMS]:
        try:
            room = await enter(name)
        except Refused:
            continue  # no place for that room any more: the page sees that it is not in the answer
        if room not in joined:
            joined.append(room)
    await show()
    workers = socketio.server.workers()
    await welcomed.emit(Welcome(joined, workers["name"], 1 + len(workers["others"])), to=request.sid)


@socketio.on("disconnect")
async def gone(reason: str) -> None:
    # Who closes the page may be back in a moment. Who has logged out is not: nobody waits for them.
    if reason == socketio.reason.CLIENT_DISCONNECT:
        await untrack()


@socketio.on("join")
async def join(name: str) -> Joined:
    """Enter a room, and open it if nobody is in it."""
    room = await enter(name)
    await show()
    return Joined(room)


@socketio.on("leave")
async def leave(name: str) -> Left:
    """Leave a room."""
    room = checked_name(name, "the room")
    await leave_room(f"room:{room}")
    await show()
    return Left(room)


@socketio.on("say")
async def say(words: Words) -> Said:
    """Say something to a room or a person."""
    # A coroutine: the one that is called most, and there is nothing in it to wait for.
    message, to, is_new = keep(words, checked_text(words.text), "text")
    if is_new:
        await was_said.emit(message, to=to)
    return Said(message)


@socketio.on("history")
async def history(to: str) -> Messages:
    """What was said lately to a room, or with a person."""
    # A coroutine: the history is in memory, or as good as. With a database server it would await a driver.
    return Messages(said.recent(conversation(to)))


@socketio.on("typing")
async def typing(to: str) -> None:
    """Show a room or a person that somebody is writing to them."""
    # A coroutine: it comes often and answers nobody.
    conversation(to)  # which raises if this page may not write there
    await types.emit(Typing(Person(session["id"], session["name"]), to), to=to, skip_sid=request.sid)


@socketio.on("command")
def command(words: Words) -> Said:
    """Have the server do something: /roll or /time."""
    # Not a coroutine: looking a city up walks the files of the time zone database, and blocks while it does.
    # As a `def` it runs in a thread, and everybody else's messages go on meanwhile.
    name, _, rest = checked_text(words.text).partition(" ")
    if name == "/roll":
        text = roll(rest)
    elif name == "/time":
        text = time_in(rest)
    else:
        raise Refused(f"There is no command {name[:20]}. Try /roll 2d6 or /time Tokyo.")
    message, to, is_new = keep(words, text, "action")
    if is_new:
        was_said.emit(message, to=to)  # the same emit as in a coroutine, with nothing to await
    return Said(message)


@socketio.on_error_default
def refused(error: Exception) -> Refusal:
    """What a handler raised; the return value is the ack."""
    if isinstance(error, Refused):
        return Refusal(str(error))
    if isinstance(error, InvalidPayload):  # a page that is not ours, or an old one
        return Refusal(f"That is not what the server takes: {error.message} at {error.path}.")
    app.logger.error("A handler failed", exc_info=error)
    return Refusal("That did not work: something is wrong with the server.")


async def enter(name: str) -> str:
    room, known = checked_name(name, "the room"), open_rooms()
    if room not in known:
        if len(known) >= MAX_ROOMS:
            raise Refused(f"There are {MAX_ROOMS} rooms already, so this one cannot be added.")
        said.forget(f"room:{room}")  # by those who had a room of that name before
    await join_room(f"room:{room}")
    return room


def conversation(to: str) -> str:
    """The name of the conversation that this page has at an address, as the history knows it."""
    kind, _, name = to.partition(":")
    if kind == "room":
        if to not in rooms():
            raise Refused(f"You are not in the room {name}.")
        return to
    if kind == "person" and name != session["id"]:
        return "|".join(sorted((session["id"], name)))
    raise Refused("There is nobody by that address.")


def keep(words: Words, text: str, kind: Literal["text", "action"]) -> tuple[Message, list[str], bool]:
    """Record a message; returns it, the Socket.IO rooms it goes to, and whether it is new.

    A page that lost its connection before the ack sends the message again, so `nonce`, which the page chose,
    tells whether this is such a second time.
    """
    to = words.to
    where = conversation(to)
    if to.startswith("person:") and to.removeprefix("person:") not in presence():
        raise Refused("They are not online any more.")
    me = Person(session["id"], session["name"])
    new = Message(f"{me.id}/{words.nonce[:64]}", me, to, text, kind, at=round(time.time() * 1000))
    message, is_new = said.record(where, new)
    # A private message also goes to the other tabs of the one who wrote it.
    return message, [to, f"person:{me.id}"] if to.startswith("person:") else [to], is_new


def roll(dice: str) -> str:
    match = re.fullmatch(r"(\d{0,2})d(\d{1,4})", dice.strip().lower() or "1d6")
    if not match or not 1 <= int(match[1] or 1) <= 20 or int(match[2]) < 2:
        raise Refused("Dice look like 2d6: up to 20 dice of 2 to 9999 sides.")
    count, sides = int(match[1] or 1), int(match[2])
    thrown = [random.randint(1, sides) for _ in range(count)]
    sum_of = f"{' + '.join(map(str, thrown))} = " if count > 1 else ""
    return f"rolled {count}d{sides}: {sum_of}{sum(thrown)}"


def time_in(city: str) -> str:
    wanted = re.sub(r"\s+", "_", city.strip().casefold())
    zones = sorted(zone for zone in available_timezones() if zone.casefold().rpartition("/")[2] == wanted)
    if not zones:
        raise Refused("That city is not in the time zone database. Try /time Tokyo.")
    place = zones[0].rpartition("/")[2].replace("_", " ")
    return f"looked at the clock in {place}: {datetime.now(ZoneInfo(zones[0])):%H:%M on %A}"


if __name__ == "__main__":
    socketio.run(app, host="127.0.0.1", port=int(os.environ.get("PORT", 5000)), log_output=True)
