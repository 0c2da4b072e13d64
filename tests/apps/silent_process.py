"""A process of a cluster that does nothing: the URL of the queue and the channel are its arguments."""

from __future__ import annotations

import asyncio
import sys

from asyncsock import AsyncServer
from asyncsock.queues import from_url


async def main() -> None:
    await AsyncServer(client_manager=from_url(*sys.argv[1:])).startup()
    await asyncio.Event().wait()


asyncio.run(main())
