"""What jobs of a scheduler and of an executor emit reaches the clients: tests/apps/flask_jobs.py."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.support.python_socketio_client import WAIT, arrived, connected, tags
from tests.support.server_process import Server, serve

COUNT = 30  # of flask_jobs.py, whose import would start its scheduler here

both = pytest.mark.parametrize("how", ["APScheduler", "concurrent.futures"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve("tests.apps.flask_jobs:asgi") as running:
        yield running


@both
@pytest.mark.parametrize("origin", ["view", "handler"])
async def test_what_a_job_emits_arrives_in_order(server: Server, how: str, origin: str) -> None:
    event = next(tags)
    async with connected(server.url) as client:
        numbers = client.arrivals(event)
        if origin == "view":
            async with httpx.AsyncClient(base_url=server.url, trust_env=False, timeout=WAIT) as http:
                assert (await http.get(f"/{how}/{event}")).text == "started"
        else:
            await client.emit("count up", how, event)
        assert [(await arrived(numbers))[0] for _ in range(COUNT)] == list(range(COUNT))


@both
async def test_a_job_gets_a_clients_answer(server: Server, how: str) -> None:
    async with connected(server.url) as client:
        answers = client.arrivals("answer")
        client.answer("question", lambda: "because")
        await client.emit("ask me", how)
        assert await arrived(answers) == ("because",)
