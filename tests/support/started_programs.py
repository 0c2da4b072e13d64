"""Programs of documents, started with the commands that the documents say, in folders of their own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port


def environment(**more: str) -> dict[str, str]:
    """The one in which commands of a document find the tools beside this Python, and this asyncsock."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **more}


class Started:
    """A server that a command of a document starts.

    Args:
        command: The command. Its port is added, as all of them have the same one in the documents.
        folder: Where it is run.
    """

    def __init__(self, command: str, folder: Path, env: Mapping[str, str]) -> None:
        self.port = free_port()
        words = shlex.split(command)
        at = ["--bind", f"127.0.0.1:{self.port}"] if words[0] == "gunicorn" else ["--port", str(self.port)]
        self._line = [*words, *at]
        self._folder = folder
        self._env = environment(**env)
        self._log = folder / "server.log"
        self._server: Server | None = None

    def start(self) -> Server:
        """Start it, and wait until it serves."""
        with self._log.open("ab") as log:
            process = subprocess.Popen(
                self._line,
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._server = Server(process, self.port, self._log)
        wait_for_port(self._server, START_TIMEOUT)
        return self._server

    def stop(self) -> None:
        """End it, if it runs."""
        if self._server is not None:
            stop(self._server.process)


@contextmanager
def started(
    command: str, folder: Path, *, tracebacks: bool = False, **env: str
) -> Iterator[tuple[Started, Server]]:
    """A command of a document, whose server runs until the block ends; it must log no tracebacks."""
    program = Started(command, folder, env)
    try:
        server = program.start()
        yield program, server
        assert tracebacks or "Traceback" not in server.log(), server.log()
    finally:
        program.stop()
