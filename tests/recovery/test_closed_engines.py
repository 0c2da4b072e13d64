"""The JavaScript client loses its connection again and again, and misses nothing of what is emitted.

A few cases here; `make recovery` has all of them, with 200 losses each.
"""

from __future__ import annotations

import os
from dataclasses import replace

import pytest

from tests.support.recovery_load import QUEUES, Losing, losing, one_server, queue_of, troubles, two_hosts
from tests.support.server_log import trouble
from tests.support.server_process import Server

WHOLE = "RECOVERY" in os.environ
LOAD = Losing() if WHOLE else Losing(closes=25, events=300)
HOSTS = [*QUEUES, "local"] if WHOLE else ["redis"]
pytestmark = [pytest.mark.javascript, pytest.mark.timeout(600 if WHOLE else 120)]


async def check(servers: list[Server], load: Losing) -> None:
    async with losing(servers, load) as running:
        wrong = troubles(await running.finish(), load)
    assert not wrong, "\n".join([f"{len(wrong)} things went wrong:", *wrong[:20]])
    for server in servers:
        assert not trouble(server)


async def test_at_one_worker() -> None:
    with one_server() as servers:
        await check(servers, LOAD)


async def test_with_msgpack() -> None:
    with one_server(SERIALIZER="msgpack") as servers:
        await check(servers, replace(LOAD, version="msgpack", clients=3))


async def test_at_four_workers() -> None:
    with one_server(workers=4) as servers:
        await check(servers, replace(LOAD, drivers=3))


@pytest.mark.parametrize("name", HOSTS)
async def test_at_two_hosts(name: str) -> None:
    with queue_of(name) as queue, two_hosts(queue) as servers:
        await check(servers, replace(LOAD, drivers=2))
