"""A chat: rooms, private messages, who is online, typing notices, delivered ticks, reconnecting.

Run it with ``python examples/chat/app.py`` or ``uvicorn --app-dir examples/chat app:asgi``,
then open the page in two browsers.

Everything lives in the memory of this one process, is bounded, and is gone when it stops. It is one file, so
that it can be read from top to bottom and copied.
"""

from __future__ import annotations

import os
import random
import re
import secrets
import threading
import time
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from flask import Flask, redirect, render_template, request, session, url_for
from werkzeug.wrappers import Response

from asyncsock import ConnectionRefusedError, SocketIO, emit, join_room, leave_room

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
    repository = Path(__file__).resolve().parents[2]
    places = [Path(os.environ["SOCKET_IO_CLIENT"])] if os.environ.get("SOCKET_IO_CLIENT") else []
    for folder in (repository, repository / "tests" / "js"):
        places.append(folder / "node_modules" / "socket.io-client" / "dist" / "socket.io.min.js")
    return next((str(place) for place in places if place.is_file()), None)


local_client = find_client()
app = Flask(__name__)
# With a key that stays the same, people are still logged in after a restart.
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only good enough for trying it out")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
socketio = SocketIO(app, serve_client=local_client)
asgi = socketio.asgi_app


# --- What the chat knows -------------------------------------------------------------------------------


class Refused(Exception):
    """Something a person may not do; its text is what they are told."""


@dataclass
class Person:
    id: str
    name: str
    tabs: dict[str, set[str]] = field(default_factory=dict)  # each open page (its sid) and the rooms it is in

    def card(self) -> dict[str, str]:
        return {"id": self.id, "name": self.name}


class Chat:
    """Who is here, which rooms there are, and what was said lately.

    Coroutine handlers run on the event loop, `def` handlers and Flask's views in threads, and all of them
    come here. So each method holds a lock, and only briefly: nothing is awaited or read from a disk inside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._people: dict[str, Person] = {}  # by id, those with a page open
        self._topics: dict[str, str] = dict(STARTING_ROOMS)
        self._histories: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    def is_taken(self, name: str, person_id: str | None) -> bool:
        """Whether somebody else is here by that name; upper and lower case make no difference."""
        with self._lock:
            return self._is_taken(name, person_id)

    def _is_taken(self, name: str, person_id: str | None) -> bool:
        people = self._people.values()
        return any(other.id != person_id and other.name.casefold() == name.casefold() for other in people)

    def arrive(self, person_id: str, name: str, sid: str) -> None:
        with self._lock:
            if self._is_taken(name, person_id):
                raise Refused(f"Somebody else is here as {name} now.")
            self._people.setdefault(person_id, Person(person_id, name)).tabs[sid] = set()

    def depart(self, person_id: str, sid: str) -> None:
        with self._lock:
            person = self._people.get(person_id)
            if person is None:
                return
            left = person.tabs.pop(sid, set())
            if not person.tabs:
                del self._people[person_id]
            for room in left:
                self._forget_if_empty(room)

    def enter(self, person_id: str, sid: str, room: str) -> None:
        with self._lock:
            rooms = self._rooms_of(person_id, sid)
            if room not in self._topics:
                if len(self._topics) >= MAX_ROOMS:
                    raise Refused(f"There are {MAX_ROOMS} rooms already, so this one cannot be added.")
                self._topics[room] = f"Opened by {self._people[person_id].name}"
            rooms.add(room)

    def leave(self, person_id: str, sid: str, room: str) -> None:
        with self._lock:
            self._rooms_of(person_id, sid).discard(room)
            self._forget_if_empty(room)

    def people(self) -> list[dict[str, str]]:
        with self._lock:
            cards = [person.card() for person in self._people.values()]
        return sorted(cards, key=lambda card: card["name"].casefold())

    def rooms(self) -> list[dict[str, Any]]:
        with self._lock:
            inside = [set().union(*person.tabs.values()) for person in self._people.values()]
            return [
                {"name": name, "topic": topic, "people": sum(name in rooms for rooms in inside)}
                for name, topic in self._topics.items()
            ]

    def recent(self, person_id: str, sid: str, to: str) -> list[dict[str, Any]]:
        with self._lock:
            return list(self._histories.get(self._conversation(person_id, sid, to), ()))

    def check(self, person_id: str, sid: str, to: str) -> None:
        """Raise Refused where this page may not write to `to`."""
        with self._lock:
            self._conversation(person_id, sid, to)

    def record(
        self, person_id: str, sid: str, to: str, nonce: str, text: str, kind: str
    ) -> tuple[dict[str, Any], bool]:
        """Keep a message; returns it and whether it is new.

        A page that lost its connection before the ack sends the message again, so `nonce`, which the page
        chose, tells whether this is such a second time.
        """
        with self._lock:
            conversation = self._conversation(person_id, sid, to)
            if to.startswith("person:") and to.removeprefix("person:") not in self._people:
                raise Refused("They are not online any more.")
            if conversation not in self._histories and len(self._histories) >= KEPT_CONVERSATIONS:
                self._histories.popitem(last=False)
            history = self._histories.setdefault(conversation, deque(maxlen=KEPT_MESSAGES))
            self._histories.move_to_end(conversation)
            message_id = f"{person_id}/{nonce}"
            for message in history:
                if message["id"] == message_id:
                    return message, False
            message = {
                "id": message_id,
                "from": self._people[person_id].card(),
                "to": to,
                "text": text,
                "kind": kind,
                "at": round(time.time() * 1000),
            }
            history.append(message)
            return message, True

    def _rooms_of(self, person_id: str, sid: str) -> set[str]:
        person = self._people.get(person_id)
        if person is None or sid not in person.tabs:
            raise Refused("This page is not connected any more.")
        return person.tabs[sid]

    def _conversation(self, person_id: str, sid: str, to: str) -> str:
        rooms = self._rooms_of(person_id, sid)
        kind, _, name = to.partition(":")
        if kind == "room":
            if name not in rooms:
                raise Refused(f"You are not in the room {name}.")
            return to
        if kind == "person" and name != person_id:
            return "|".join(sorted((person_id, name)))
        raise Refused("There is nobody by that address.")

    def _forget_if_empty(self, room: str) -> None:
        tabs = (rooms for person in self._people.values() for rooms in person.tabs.values())
        if room not in STARTING_ROOMS and not any(room in rooms for rooms in tabs):
            self._topics.pop(room, None)
            self._histories.pop(f"room:{room}", None)


chat = Chat()


def checked_name(value: Any, what: str) -> str:
    """A name for a person or a room, tidied up; raises Refused where it will not do."""
    name = " ".join(value.split()) if isinstance(value, str) else ""
    if not name:
        raise Refused(f"Please give {what} a name.")
    if len(name) > MAX_NAME:
        raise Refused(f"That name is too long: {MAX_NAME} characters at most.")
    if not name.isprintable():
        raise Refused("That name has characters in it that cannot be shown.")
    return name


def checked_text(data: Any) -> str:
    text = data.get("text") if isinstance(data, dict) else None
    text = text.strip() if isinstance(text, str) else ""
    if not text:
        raise Refused("There is nothing in that message.")
    if len(text) > MAX_TEXT:
        raise Refused(f"That message is too long: {MAX_TEXT:,} characters at most.")
    return text


# --- Pages: ordinary Flask views -----------------------------------------------------------------------


def page(error: str | None = None, typed: str = "") -> str:
    me = {"id": session["id"], "name": session["name"]} if "id" in session else None
    config = {"me": me, "maxText": MAX_TEXT, "maxName": MAX_NAME, "keep": KEPT_MESSAGES}
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
        if chat.is_taken(name, session.get("id")):
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
        socketio.emit("logged out", to=f"person:{session['id']}")
    session.clear()
    return redirect(url_for("index"))


# --- Events --------------------------------------------------------------------------------------------
# A client's Flask session is the one that its login made. `person:ID` is the Socket.IO room of all the tabs
# of one person, `room:NAME` that of a chat room. What a handler returns is the ack that the page waits for.


@socketio.on("connect")
async def connect(auth: Any = None) -> None:
    # A coroutine: it only touches memory and emits.
    if "id" not in session:
        raise ConnectionRefusedError("You are not logged in any more.")
    try:
        chat.arrive(session["id"], session["name"], request.sid)
    except Refused as refusal:
        raise ConnectionRefusedError(str(refusal)) from None
    await join_room(f"person:{session['id']}")
    # A page that comes back says which rooms it was in; a new one starts in the lobby.
    wanted = auth.get("rooms") if isinstance(auth, dict) else None
    joined: list[str] = []
    for name in wanted[:MAX_ROOMS] if isinstance(wanted, list) else ["lobby"]:
        try:
            room = await enter(name)
        except Refused:
            continue  # no place for that room any more: the page sees that it is not in the answer
        if room not in joined:
            joined.append(room)
    await tell_everyone()
    await emit("welcome", {"joined": joined})


@socketio.on("disconnect")
async def left(reason: Any = None) -> None:
    if "id" in session:
        chat.depart(session["id"], request.sid)
        await tell_everyone()


@socketio.on("join")
async def join(data: Any = None) -> dict[str, Any]:
    joined = await enter(data)
    await tell_everyone()
    return {"joined": joined}


@socketio.on("leave")
async def leave(data: Any = None) -> dict[str, Any]:
    room = checked_name(data, "the room")
    chat.leave(session["id"], request.sid, room)
    await leave_room(f"room:{room}")
    await tell_everyone()
    return {"left": room}


@socketio.on("say")
async def say(data: Any = None) -> dict[str, Any]:
    # A coroutine: the one that is called most, and there is nothing in it to wait for.
    message, to, is_new = keep(data, checked_text(data), "text")
    if is_new:
        await emit("message", message, to=to)
    return {"message": message}


@socketio.on("history")
async def history(data: Any = None) -> dict[str, Any]:
    # A coroutine: the history is in memory. With a database it would await an asynchronous driver.
    return {"messages": chat.recent(session["id"], request.sid, str(data))}


@socketio.on("typing")
async def typing(data: Any = None) -> None:
    # A coroutine: it comes often and answers nobody.
    to, me = str(data), {"id": session["id"], "name": session["name"]}
    chat.check(me["id"], request.sid, to)
    await emit("typing", {"from": me, "to": to}, to=to, include_self=False)


@socketio.on("command")
def command(data: Any = None) -> dict[str, Any]:
    # Not a coroutine: looking a city up walks the files of the time zone database, and blocks while it does.
    # As a `def` it runs in a thread, and everybody else's messages go on meanwhile.
    name, _, rest = checked_text(data).partition(" ")
    if name == "/roll":
        text = roll(rest)
    elif name == "/time":
        text = time_in(rest)
    else:
        raise Refused(f"There is no command {name[:20]}. Try /roll 2d6 or /time Tokyo.")
    message, to, is_new = keep(data, text, "action")
    if is_new:
        emit("message", message, to=to)  # the same emit as in a coroutine, with nothing to await
    return {"message": message}


@socketio.on_error_default
def refused(error: Exception) -> dict[str, str]:
    """What a handler raised; the return value is the ack."""
    if isinstance(error, Refused):
        return {"error": str(error)}
    app.logger.error("A handler failed", exc_info=error)
    return {"error": "That did not work: something is wrong with the server."}


async def enter(name: Any) -> str:
    room = checked_name(name, "the room")
    chat.enter(session["id"], request.sid, room)
    await join_room(f"room:{room}")
    return room


async def tell_everyone() -> None:
    await emit("here", {"people": chat.people(), "rooms": chat.rooms()}, broadcast=True)


def keep(data: dict[str, Any], text: str, kind: str) -> tuple[dict[str, Any], list[str], bool]:
    """Record a message; returns it, the Socket.IO rooms it goes to, and whether it is new."""
    to, nonce = str(data.get("to")), str(data.get("nonce"))[:64]
    message, is_new = chat.record(session["id"], request.sid, to, nonce, text, kind)
    # A private message also goes to the other tabs of the one who wrote it.
    rooms = [to, f"person:{session['id']}"] if to.startswith("person:") else [to]
    return message, rooms, is_new


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
