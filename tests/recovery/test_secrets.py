"""What goes over a message queue when clients come back to another host: no private id."""

from __future__ import annotations

import asyncio
import signal
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import redis

from tests.support.brokers import Redis
from tests.support.recovering_clients import Welcome, visitor
from tests.support.recovery_load import two_hosts
from tests.support.server_process import Server


@contextmanager
def watched(broker: Redis) -> Iterator[list[str]]:
    """All commands that a Redis server gets, until the block ends."""
    commands: list[str] = []
    with broker.client() as client, client.monitor() as monitor:

        def watch() -> None:
            try:
                commands.extend(command["command"] for command in monitor.listen())
            except (redis.ConnectionError, ValueError, OSError):
                pass  # it has ended

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        yield commands
        broker.stop()
        thread.join()


def is_in(text: str, commands: list[str]) -> bool:
    """Whether a text is in the commands, as it is or within what is encoded in base64."""
    whole = "\n".join(commands)
    encoded = [b64encode(b"\0" * before + text.encode()).decode() for before in range(3)]
    return any(form in whole for form in [text, *(form[4:-4] for form in encoded)])


async def come(server: Server, claim: dict[str, str] | None = None) -> tuple[Welcome, dict[str, str]]:
    """Come, or come back, get an event and lose the connection; the claim to come back with."""
    async with visitor(server) as client:
        welcome = await client.connect(claim)
        await client.emit("say", [["told", ["something"], {"to": welcome.sid}]])
        await client.event()
        await client.drop()
    await asyncio.to_thread(server.wait_for_log, f"{welcome.sid} has gone")
    return welcome, client.claim


@pytest.mark.parametrize("scheme", ["redis", "redis+streams"])
async def test_no_private_id_is_in_a_message(scheme: str) -> None:
    with Redis() as broker, watched(broker) as commands:
        with two_hosts(broker.url.replace("redis", scheme, 1)) as (first, second):
            welcome, claim = await come(first)
            again, claim = await come(second, claim)
            second.process.send_signal(signal.SIGTERM)
            await asyncio.to_thread(second.process.wait, 20)
            last, _ = await come(first, claim)
    assert welcome == again == last
    assert is_in(welcome.sid, commands)
    assert not is_in(welcome.pid, commands)
