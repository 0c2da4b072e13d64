"""A broker as a process of its own on a free loopback port: start, stop, kill, pause (see brokers.py)."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from tests.support.ports import free_port
from tests.support.required_parts import require
from tests.support.server_process import make_certificate

HOST = "127.0.0.1"
STOP_TIMEOUT = 30.0

Self = TypeVar("Self", bound="Broker")
Opened = TypeVar("Opened")
Own = Callable[[AbstractContextManager[Opened]], Opened]  # the fixture `own`


class Group:
    """A program that leads a process group, which is killed when the test run ends in whatever way."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str]) -> None:
        with (folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        # its input ends when our process does, which may be killed before any fixture could close
        self.guard = subprocess.Popen(
            ["sh", "-c", f"cat >/dev/null; kill -s KILL -- -{self.process.pid}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def signal(self, number: signal.Signals) -> None:
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        self.guard.kill()  # before the process id is free for others
        self.guard.communicate()
        self.process.wait()


class Broker:
    """A broker process with a folder that it keeps until `close()`, over kills and restarts.

    `start()` returns when the broker answers in its own protocol, and blocks meanwhile: in a coroutine
    whose loop must go on, use `asyncio.to_thread`. A `with` block starts it and closes it in the end.

    Args:
        port: the port to listen on; a free one below 32768 by default. It stays the same over restarts.
        user, password: what clients have to log in with; None for a broker that asks for nothing.
        tls: listen with TLS (and only so), with a certificate that `authority` signed.
    """

    program: str
    boot_timeout = 30.0

    def __init__(
        self,
        *,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: bool = False,
    ) -> None:
        self.port = port or free_port()
        self.user = user
        self.password = password
        self.process: subprocess.Popen[bytes] | None = None
        self._group: Group | None = None
        self._temporary = tempfile.TemporaryDirectory(prefix="broker-", ignore_cleanup_errors=True)
        self.folder = Path(self._temporary.name)
        self.authority: Path | None = None
        """The certificate file that a TLS client has to trust."""
        if tls:
            self.authority, self.certificate, self.key = make_certificate(self.folder)

    def __enter__(self: Self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL that a client connects with, login and certificate to trust included."""
        return self.url_at(self.port)

    def url_at(self, port: int) -> str:
        """The same with another port, a proxy's."""
        raise NotImplementedError

    @property
    def login(self) -> str:
        """The "user:password@" of the URL."""
        return f"{self.user or ''}:{self.password}@" if self.password else ""

    @property
    def running(self) -> bool:
        """Whether the process is there (paused or not)."""
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        """All that the broker has written so far, both streams, over all its starts."""
        path = self.folder / "log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the broker, on what it stored before, and wait until it answers.

        Raises:
            RuntimeError: it ended, or did not answer within `boot_timeout` seconds; the message has its log.
        """
        assert not self.running, "it runs already"
        require(shutil.which(self.program), Path(self.program).name)
        self._group = Group(self.command(), self.folder, self.environment())
        self.process = self._group.process
        deadline = time.monotonic() + self.boot_timeout
        while not self.answers():
            ended = self.process.poll()
            if ended is not None or time.monotonic() > deadline:
                state = "did not answer" if ended is None else f"ended with {ended}"
                log_text = self.log()
                self.close()
                raise RuntimeError(f"{self.program} {state}:\n{log_text}")
            time.sleep(0.02)

    def stop(self) -> None:
        """End the broker cleanly (SIGTERM), and wait until it has ended."""
        if not self.running:
            return
        assert self.process is not None
        self.resume()
        self.process.terminate()
        try:
            self.process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
            raise RuntimeError(f"{self.program} did not stop on SIGTERM:\n{self.log()}") from None
        self.kill()  # what it may have left behind

    def kill(self) -> None:
        """End the broker and its children with SIGKILL, and wait until it has ended."""
        if self._group is not None:
            self._group.kill()
            self._group = None

    def pause(self) -> None:
        """SIGSTOP: it answers nothing, while the system goes on accepting connections to it."""
        assert self.process is not None
        assert self._group is not None
        self._group.signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def resume(self) -> None:
        """SIGCONT: it goes on where it was paused."""
        assert self._group is not None
        self._group.signal(signal.SIGCONT)

    def close(self) -> None:
        """Kill the broker, if it runs, and delete what it stored."""
        self.kill()
        self._temporary.cleanup()

    def command(self) -> list[str]:
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        return dict(os.environ)

    def hello(self) -> tuple[bytes, bytes]:
        """Bytes to send on a new connection, and what a broker that is ready answers with."""
        raise NotImplementedError

    def connect(self, timeout: float = 2.0) -> socket.socket:
        """A new TCP connection to the broker, with TLS where it asks for that."""
        plain = socket.create_connection((HOST, self.port), timeout)
        if self.authority is None:
            return plain
        return ssl.create_default_context(cafile=self.authority).wrap_socket(plain, server_hostname=HOST)

    def answers(self) -> bool:
        """Whether the broker answers in its own protocol now (asked for at most 2 s)."""
        question, answer = self.hello()
        received = b""
        try:
            with self.connect() as connection:
                connection.sendall(question)
                while answer not in received:
                    data = connection.recv(4096)
                    if not data:
                        return False
                    received += data
        except OSError:
            return False
        return True
