"""Run an application of tests/apps under a real ASGI server, in a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import trustme

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "support" / "started")])
START_TIMEOUT = 50.0
STOP_TIMEOUT = 10.0


@dataclass
class Server:
    """A running server process."""

    process: subprocess.Popen[bytes]
    port: int
    log_path: Path
    tls: bool = False
    authority: Path | None = None  # the certificate that a TLS client has to trust

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws{'s' if self.tls else ''}://127.0.0.1:{self.port}"

    def log(self) -> str:
        """All that the process has written so far, both streams."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def wait_for_log(self, text: str, timeout: float = 10.0, *, start: int = 0) -> str:
        """Wait until the log holds a text after position `start`, and return the log.

        Raises:
            AssertionError: the text did not come within `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            log = self.log()
            if text in log[start:]:
                return log
            if time.monotonic() > deadline:
                raise AssertionError(f"{text!r} is not in the server's log:\n{log[start:]}")
            time.sleep(0.02)


def command(
    target: str, server: str, port: int, certificate: Path | None = None, key: Path | None = None
) -> list[str]:
    """The command line that serves `target` on a loopback port.

    A program gets its port and certificate from the environment; see `serve`.
    """
    tls = certificate is not None
    python = sys.executable
    if server in ("uvicorn", "uvicorn-websockets", "uvicorn-wsproto"):
        line = [python, "-m", "uvicorn", target, "--host", "127.0.0.1", "--port", str(port)]
        if server != "uvicorn":
            line += ["--ws", server.removeprefix("uvicorn-")]
        if tls:
            line += ["--ssl-certfile", str(certificate), "--ssl-keyfile", str(key)]
    elif server == "hypercorn":
        # no worker process: the pid that we end is the server's own
        line = [python, "-m", "hypercorn", target, "--bind", f"127.0.0.1:{port}", "--workers", "0"]
        if tls:
            line += ["--certfile", str(certificate), "--keyfile", str(key)]
    elif server == "granian":
        line = [python, "-m", "granian", "--interface", "asgi", "--host", "127.0.0.1"]
        line += ["--port", str(port)]
        if tls:
            line += ["--ssl-certificate", str(certificate), "--ssl-keyfile", str(key)]
        line.append(target)
    elif server in ("flask run", "flask socketio run"):
        line = [python, "-m", "flask", "--app", target, *server.split()[1:], "--port", str(port)]
        if tls:
            line += ["--cert", str(certificate), "--key", str(key)]
    elif server == "python":
        line = [python, target]
    else:
        raise ValueError(f"unknown server {server!r}")
    return line


def make_certificate(folder: Path) -> tuple[Path, Path, Path]:
    """An authority to trust, and the certificate and key that it gave to a server on 127.0.0.1."""
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    ca, certificate, key = folder / "ca.pem", folder / "certificate.pem", folder / "key.pem"
    authority.cert_pem.write_to_path(ca)
    issued.cert_chain_pems[0].write_to_path(certificate)
    issued.private_key_pem.write_to_path(key)
    return ca, certificate, key


def wait_for_port(server: Server, timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        if server.process.poll() is not None:
            raise RuntimeError(f"the server ended with {server.process.returncode}:\n{server.log()}")
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start:\n{server.log()}") from None
            time.sleep(0.05)


def stop(process: subprocess.Popen[bytes], timeout: float = STOP_TIMEOUT) -> None:
    """SIGTERM, then SIGKILL to the process and its children after `timeout` seconds."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout)
            return
        except subprocess.TimeoutExpired:
            pass
        os.killpg(process.pid, signal.SIGKILL)  # it leads its own process group
        process.wait()


@contextmanager
def serve(
    target: str,
    *,
    server: str = "uvicorn",
    args: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
    tls: bool = False,
) -> Iterator[Server]:
    """Serve an application on a free loopback port until the block ends.

    Args:
        target: the application as an import string, like "tests.apps.echo:asgi", or for "python" the path of
            a program that serves itself on PORT, with CERTIFICATE and KEY if there are such variables.
        server: "uvicorn" (no WebSocket flag), "uvicorn-websockets", "uvicorn-wsproto",
            "hypercorn", "granian", "flask run", "flask socketio run" or "python".
        args: further command-line arguments of that server.
        env: environment variables beside those of this process.
        tls: serve https and wss with a certificate that `Server.authority` vouches for.
    """
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="asyncsock-test-") as name:
        folder = Path(name)
        authority, *pair = make_certificate(folder) if tls else (None,)
        line = command(target, server, port, *pair) + list(args)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": PYTHONPATH, "PORT": str(port)}
        if tls:
            environment |= {"CERTIFICATE": str(pair[0]), "KEY": str(pair[1])}
        environment |= env or {}
        log_path = folder / "log"
        with log_path.open("wb") as log:
            process = subprocess.Popen(
                line,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        running = Server(process, port, log_path, tls=tls, authority=authority)
        try:
            wait_for_port(running, START_TIMEOUT)
            yield running
        finally:
            stop(process)


# the fixture `running`
Start = Callable[..., Server]
