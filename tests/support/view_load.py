"""Clients that request Flask views of tests/apps/workers.py all the time, and what went wrong for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from tests.support.server_process import Server

PATHS = ["/worker", "/slow"]
PAUSE = 0.01  # seconds between an answer and the next request
PATIENCE = 60.0  # seconds for one answer: workers may have ended, and the next ones have to start
# Seconds without a request after which a connection may have ended: a worker that ends and has nobody to hand
# it over to waits for one second. A busy machine may take so long, and HTTP clients ask again then.
IDLE = 0.5


@dataclass
class Views:
    """What the clients have seen.

    Attributes:
        workers: The processes that answered them.
        failures: Answers other than 200, and errors.
    """

    workers: set[int] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)


@asynccontextmanager
async def views_requested(server: Server, keep: int, new: int) -> AsyncIterator[Views]:
    """Request views until the block ends.

    Args:
        server: Whose.
        keep: How many clients of each view keep their connection.
        new: How many of each open a new one for each request.
    """
    views = Views()
    ends = asyncio.Event()
    kept: list[dict[str, str]] = [{}] * keep + [{"Connection": "close"}] * new
    tasks = [
        asyncio.ensure_future(_request(server, path, headers, views, ends))
        for path in PATHS
        for headers in kept
    ]
    try:
        yield views
    finally:
        ends.set()
        await asyncio.gather(*tasks)


async def _request(
    server: Server, path: str, headers: dict[str, str], views: Views, ends: asyncio.Event
) -> None:
    async with httpx.AsyncClient(
        base_url=server.url, headers=headers, trust_env=False, timeout=PATIENCE
    ) as http:
        time = asyncio.get_running_loop().time
        answered = time()
        while not ends.is_set():
            was_idle = time() - answered > IDLE
            try:
                response = await http.get(path)
                if response.status_code == 200:
                    views.workers.add(response.json()["worker"])
                else:
                    views.failures.append(f"{path} {headers}: {response.status_code} {response.text}")
            except httpx.TransportError as error:
                if not was_idle:
                    views.failures.append(f"{path} {headers}: {error!r}")
            answered = time()
            await asyncio.sleep(PAUSE)
