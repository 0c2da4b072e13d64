"""Flask-Login with asyncsock: everybody reads the notes, who is logged in pins and takes down their own.

Run it with ``uvicorn --app-dir examples/login app:asgi``. The accounts are in this file; a real application
has them in its database.
"""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from flask import Flask, redirect, render_template, request, url_for
from flask_login import LoginManager, UserMixin, current_user, login_required, login_user, logout_user
from werkzeug.security import check_password_hash, generate_password_hash
from werkzeug.wrappers import Response

from asyncsock import SocketIO, disconnect, emit, join_room

CDN_CLIENT = {
    "url": "https://cdn.socket.io/4.8.3/socket.io.min.js",
    "integrity": "sha384-kzavj5fiMwLKzzD1f8S7TeoVIEi7uKHvbTA3ueZkrzYq75pNQUiUi6Dy98Q3fxb0",
}
MAX_NOTES = 100
MAX_TEXT = 200  # characters in a note


def find_client() -> str | None:
    """The path of a copy of the JavaScript client on this machine, which then need not ask the CDN."""
    installed = Path(__file__).resolve().parents[2] / "tests/js/node_modules/socket.io-client/dist"
    place = Path(os.environ.get("SOCKET_IO_CLIENT", installed / "socket.io.min.js"))
    return str(place) if place.is_file() else None


local_client = find_client()
app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only good enough for trying it out")
app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
socketio = SocketIO(app, serve_client=local_client)
asgi = socketio.asgi_app


# --- Who there is --------------------------------------------------------------------------------------


class User(UserMixin):
    def __init__(self, name: str, password: str) -> None:
        self.id = name.lower()
        self.name = name
        self.password_hash = generate_password_hash(password)


users = {user.id: user for user in (User("Ada", "engine"), User("Grace", "compiler"))}

login_manager = LoginManager(app)
login_manager.login_view = "index"


@login_manager.user_loader
def load_user(user_id: str) -> User | None:
    # `current_user` calls this where the handler runs. In a coroutine that is the event loop, so a loader
    # that asks a database belongs with `def` handlers.
    return users.get(user_id)


# --- Pages: Flask-Login as ever ------------------------------------------------------------------------


def page(error: str | None = None) -> str:
    return render_template(
        "notes.html", error=error, max_text=MAX_TEXT, cdn=None if local_client else CDN_CLIENT
    )


@app.get("/")
def index() -> str:
    return page()


@app.post("/login")
def login() -> Response | tuple[str, int]:
    user = users.get(request.form.get("name", "").strip().lower())
    if user is None or not check_password_hash(user.password_hash, request.form.get("password", "")):
        return page(error="That name and password do not belong together."), 422
    login_user(user)
    return redirect(url_for("index"))


@app.post("/logout")
@login_required
def logout() -> Response:
    room = f"user:{current_user.id}"
    logout_user()
    response = redirect(url_for("index"))
    # A connection keeps the session that it began with, so the other pages of this person have to begin anew:
    # when this answer has gone out, as they would still send the old cookie before.
    response.call_on_close(lambda: socketio.emit("logged out", to=room))
    return response


# --- Events --------------------------------------------------------------------------------------------

notes: dict[int, dict[str, Any]] = {}
numbers = itertools.count(1)


def authenticated_only(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Disconnect who is not logged in. With `functools.wraps` it does around a coroutine function as well."""

    @functools.wraps(handler)
    def wrapped(*args: Any) -> Any:
        if not current_user.is_authenticated:
            disconnect()
            return None
        return handler(*args)

    return wrapped


@socketio.on("connect")
async def connect() -> None:
    if current_user.is_authenticated:
        await join_room(f"user:{current_user.id}")
    await emit("notes", list(notes.values()))


@socketio.on("pin")
@authenticated_only
async def pin(text: Any) -> dict[str, str]:
    text = text.strip() if isinstance(text, str) else ""
    if not 1 <= len(text) <= MAX_TEXT:
        return {"error": f"A note has 1 to {MAX_TEXT} characters."}
    if len(notes) >= MAX_NOTES:
        return {"error": "The board is full."}
    number = next(numbers)
    notes[number] = {"number": number, "by": current_user.name, "text": text}
    await emit("notes", list(notes.values()), broadcast=True)
    return {}


@socketio.on("take down")
@authenticated_only
def take_down(number: Any) -> dict[str, str]:
    note = notes.get(number) if isinstance(number, int) else None
    if note is None or note["by"] != current_user.name:
        return {"error": "That is not a note of yours."}
    notes.pop(number, None)
    emit("notes", list(notes.values()), broadcast=True)
    return {}


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
