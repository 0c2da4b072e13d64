"""What handlers return, and what they ask clients."""

from __future__ import annotations

import asyncio
from typing import Any

from flask import current_app

from asyncsock import call, emit
from tests.apps.flask_handlers.application import app, both, name_of, request, socketio

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
