"""Acknowledgements: what handlers return, callbacks and call()."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest

from tests.support.flask_visitors import KINDS, both_kinds
from tests.support.python_socketio_client import Client, arrived


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("text", "text"),
        ("number", 1.5),
        ("tuple", ("one", {"two": 2})),
        ("list", [1, [2]]),
        ("none", None),
        ("dict", {"a": {"b": None}}),
        ("bytes", b"\x00\xff"),
        ("bytes deeper", {"a": [b"\x00", "text"]}),
    ],
)
@both_kinds
async def test_a_client_gets_what_the_handler_returns(
    client: Client, kind: str, name: str, expected: Any
) -> None:
    assert await client.call(f"{kind} answer", name) == expected


@pytest.mark.parametrize("callback", KINDS)
@both_kinds
async def test_the_callback_of_emit_runs_in_the_flask_context(
    client: Client, kind: str, callback: str
) -> None:
    client.answer("question", lambda data: ({"heard": data}, b"2"))
    answered = client.arrivals("answered")
    await client.emit(f"{kind} ask", callback, "how")
    assert await arrived(answered) == (
        {
            "sid": client.socket.get_sid("/"),
            "app": "tests.apps.flask_handlers",
            "answer": [{"heard": "how"}, b"2"],
        },
    )


@both_kinds
async def test_call_in_a_handler_returns_the_clients_answer(client: Client, kind: str) -> None:
    client.answer("question", lambda data: {"heard": data})
    assert await client.call(f"{kind} call", [1, b"2"]) == {"answer": {"heard": [1, b"2"]}}


@both_kinds
async def test_call_in_a_view_returns_the_clients_answer(
    client: Client, http: httpx.AsyncClient, kind: str
) -> None:
    client.answer("question", lambda data: {"heard": data})
    answer = await http.get(f"/call/{kind}/{client.socket.get_sid('/')}")
    assert answer.json() == {"answer": {"heard": "from a view"}}


@pytest.mark.parametrize("place", ["coroutine", "function", "view"])
async def test_call_raises_timeout_error_where_no_answer_comes(
    client: Client, http: httpx.AsyncClient, place: str
) -> None:
    over = asyncio.Event()
    client.answer("silence", over.wait)
    if place == "view":
        raised = (await http.get(f"/call-in-vain/{client.socket.get_sid('/')}")).text
    else:
        raised = await client.call(f"{place} call in vain")
    over.set()
    assert raised == "socketio.exceptions.TimeoutError"
