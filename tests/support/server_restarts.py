"""Stop a test server and start it again on its port."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

# Hypercorn lets connections live on for this many seconds before it tells the application to stop.
QUICK_STOP = {"hypercorn": ("--graceful-timeout", "1")}


@contextmanager
def restarted(server: Server) -> Iterator[Server]:
    """The server, ended with SIGTERM and started anew with the same command line, until the block ends."""
    stop(server.process)
    with server.log_path.open("ab") as log:
        process = subprocess.Popen(
            server.process.args,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    again = replace(server, process=process)
    try:
        wait_for_port(again, START_TIMEOUT)
        yield again
    finally:
        stop(process)
