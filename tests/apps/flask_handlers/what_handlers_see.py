"""Request, session, g and the rest in handlers, and what ends with an event."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from typing import Any

from flask import current_app, flash, g, get_flashed_messages, render_template_string, session, url_for

from tests.apps.flask_handlers.application import WAIT, app, both, here, here_in_threads, request, socketio


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
