"""track, untrack and presence in handlers of each kind, in views and in threads."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from asyncsock import SocketIO, presence, track, untrack
from tests.apps import presence as application
from tests.support.python_socketio_client import arrived, connected
from tests.support.server_process import Start

ADA = {"name": "Ada"}


@pytest.mark.parametrize("namespace", ["/", "/threads", "/class"])
async def test_handlers_of_each_kind_say_who_their_client_is(running: Start, namespace: str) -> None:
    url, room = running("tests.apps.presence:asgi", "uvicorn").url, f"room of {namespace}"
    async with connected(url, mode="websocket", namespaces=[namespace]) as ada:
        states, diffs = (ada.arrivals(f"presence_{name}", namespace) for name in ("state", "diff"))
        assert await ada.call("track", "ada", ADA, room, namespace=namespace) == {"ada": [ADA]}
        assert await arrived(states) == ({"ada": [ADA]}, room)
        async with connected(url, mode="websocket", namespaces=[namespace]) as grace:
            both = {"ada": [ADA], "grace": [None]}
            assert await grace.call("track", "grace", None, room, namespace=namespace) == both
            assert await arrived(diffs) == ({"joins": {"grace": [None]}, "leaves": {}}, room)
            assert await grace.call("untrack", room, namespace=namespace) == {"ada": [ADA]}
            assert await arrived(diffs) == ({"joins": {}, "leaves": {"grace": [None]}}, room)


async def test_a_view_knows_who_is_there(running: Start) -> None:
    url = running("tests.apps.presence:asgi", "uvicorn").url
    async with connected(url) as ada, httpx.AsyncClient(base_url=url, trust_env=False) as http:
        await ada.call("track", "ada", ADA, "seen by a view")
        assert (await http.get("/presence/seen by a view")).json() == {"ada": [ADA]}


@pytest.mark.parametrize("function", [track, untrack, presence])
def test_outside_of_an_event_there_is_one_clear_error(function: Any) -> None:
    with application.app.app_context(), pytest.raises(RuntimeError, match=r"socketio\.presence\(\)"):
        function("ada")


def test_the_option_is_checked() -> None:
    with pytest.raises(TypeError, match="leave_after"):
        SocketIO(application.app, path="other", presence={"leave": 5})
