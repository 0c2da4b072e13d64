"""What clients get that close their WebSocket, and when."""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
import uvloop

from asyncsock import ASGIApp
from asyncsock.engine import EngineServer
from asyncsock.uvicorn.frame_writer import CORK
from tests.support.raw_clients import CLOSE, RawSocket, frame, upgrade_request, within
from tests.support.server_process import make_certificate
from tests.support.uvicorn_in_process import running

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
NORMAL = b"\x03\xe8"


async def got_before_the_end(context: ssl.SSLContext | None = None, **options: Any) -> bool:
    """Whether a client that leaves has got the server's close frame before that ends the stream.

    Args:
        context: For TLS.
        options: uvicorn's.
    """
    engine = EngineServer()
    readable = select.poll()
    seen: list[Any] = []
    engine.on("disconnect", lambda sid, reason: seen.append(readable.poll(0)))  # called before that
    async with running(ASGIApp(engine), **options) as local:
        if "uds" in options:
            streams = await asyncio.open_unix_connection(options["uds"])
        else:
            streams = await asyncio.open_connection("127.0.0.1", local.port, ssl=context)
        async with RawSocket(*streams) as raw:
            await raw.send(upgrade_request("/socket.io/"))
            await raw.response_head()
            await raw.read_frame()
            readable.register(raw.writer.get_extra_info("socket").fileno(), select.POLLIN)
            await raw.send(frame(CLOSE, NORMAL))
            assert await raw.read_frame() == (CLOSE, NORMAL)
            assert await within(raw.reader.read()) == b""
    return bool(seen[0])


def run(loop: str, main: Coroutine[Any, Any, bool]) -> bool:
    running_loop = LOOPS[loop]()
    try:
        return running_loop.run_until_complete(main)
    finally:
        running_loop.close()


@pytest.mark.skipif(CORK is None, reason="only Linux can be told to wait with a packet")
@pytest.mark.parametrize("loop", LOOPS)
def test_a_close_frame_leaves_in_one_packet_with_the_end_of_the_stream(loop: str) -> None:
    assert not run(loop, got_before_the_end())


@pytest.mark.parametrize("loop", LOOPS)
def test_over_a_unix_socket_a_close_frame_does_not_wait_for_the_end_of_the_stream(
    loop: str, tmp_path: Path
) -> None:
    """There are no packets."""
    assert run(loop, got_before_the_end(uds=str(tmp_path / "server")))


@pytest.mark.parametrize("loop", LOOPS)
def test_with_tls_a_close_frame_does_not_wait_for_the_end_of_the_stream(loop: str, tmp_path: Path) -> None:
    """TLS may wait for the client before it ends that."""
    authority, certificate, key = make_certificate(tmp_path)
    context = ssl.create_default_context(cafile=authority)
    assert run(loop, got_before_the_end(context, ssl_certfile=certificate, ssl_keyfile=key))
