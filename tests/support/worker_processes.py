"""Several worker processes of one application at one port, under what supervises them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any

from tests.support.ports import free_port
from tests.support.python_socketio_client import Client, connected
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

SUPERVISORS = {
    "gunicorn": ["gunicorn", "--worker-class", "uvicorn_worker.UvicornWorker"],
    "gunicorn --preload": ["gunicorn", "--preload", "--worker-class", "uvicorn_worker.UvicornWorker"],
    "uvicorn": ["uvicorn"],
}
SERVES = "websocket door: direct"


@contextmanager
def supervised(
    name: str, target: str, workers: int, folder: Path, env: Mapping[str, str], started: str = SERVES
) -> Iterator[Server]:
    """Serve an application with some workers on a free loopback port; the log of each says `started`."""
    port = free_port()
    line = [sys.executable, "-m", *SUPERVISORS[name], target, "--workers", str(workers)]
    if name == "uvicorn":
        line += ["--port", str(port)]
    else:
        line += ["--bind", f"127.0.0.1:{port}", "--worker-tmp-dir", str(folder)]
    log_path = folder / "log"
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            line,
            cwd=ROOT,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "HOME": str(folder), **env},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(process, port, log_path)
    try:
        wait_for_port(server, START_TIMEOUT)
        wait_for_workers(server, workers, started)
        yield server
    finally:
        stop(process)


def wait_for_workers(server: Server, workers: int, started: str) -> None:
    """Wait until each worker has started."""
    deadline = time.monotonic() + START_TIMEOUT
    while server.log().count(started) < workers:
        assert time.monotonic() < deadline, server.log()
        time.sleep(0.05)


async def clients_of_both(
    server: Server, stack: AsyncExitStack, mode: str = "websocket", **options: Any
) -> list[Client]:
    """A client of each of two workers, whose application tells ``where`` its handlers run."""
    clients: dict[int, Client] = {}
    for _ in range(200):
        client = await stack.enter_async_context(connected(server.url, mode=mode, **options))
        process = (await client.call("where"))["process"]
        if clients.setdefault(process, client) is not client:
            await client.disconnect()
        if len(clients) == 2:
            return list(clients.values())
    raise AssertionError("one worker serves them all")
