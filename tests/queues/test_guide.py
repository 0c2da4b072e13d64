"""The program of docs/howto/cluster.md does what it says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.python_socketio_client import arrived, connected
from tests.support.server_log import trouble
from tests.support.server_process import ROOT, Server, serve
from tests.support.worker_processes import wait_for_workers

PAGE = (ROOT / "docs" / "howto" / "cluster.md").read_text()


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Server]:
    """The program, on two workers."""
    (tmp_path / "shop.py").write_text(*re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL))
    with serve("shop:asgi", args=["--app-dir", str(tmp_path), "--workers", "2"]) as server:
        wait_for_workers(server, 2, "Application startup complete")
        yield server
        assert not trouble(server), server.log()


async def test_the_shop(shop: Server) -> None:
    async with AsyncExitStack() as stack:
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=shop.url, trust_env=False))
        people = []
        for user in ("ada", "ada", "grace"):
            opening = connected(shop.url, mode="websocket", auth={"user": user})
            people.append(await stack.enter_async_context(opening))
        welcome = [person.arrivals("welcome") for person in people]
        gone = [person.arrivals("disconnect") for person in people]
        for person, opinion in zip(people, ("yes", "no", "yes"), strict=True):
            person.answer("vote", lambda question, opinion=opinion: opinion)

        found: list[Any] = (await http.get("/people")).json()
        assert sorted(each["user"] for each in found) == ["ada", "ada", "grace"]
        assert {each["from"] for each in found} == {"127.0.0.1"}
        for user in ("ada", "grace"):
            await http.post(f"/invite/{user}/lunch")
        assert [await arrived(queue) for queue in welcome] == [("lunch",)] * 3
        assert (await http.get("/vote/lunch")).json() == {"yes": 2, "no": 1, "missing": 0}
        answers = await asyncio.gather(*[http.post(f"/price/apple/{price}") for price in range(3)])
        assert [answer.json() for answer in answers] == [{"workers": 2}] * 3
        await http.post("/ban/ada")
        assert [await arrived(queue) for queue in gone[:2]] == [("server disconnect",)] * 2
        assert [each["user"] for each in (await http.get("/people")).json()] == ["grace"]
