"""The ways to start several workers of one application on one host."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.support.nginx import nginx, round_robin
from tests.support.ports import free_port
from tests.support.required_parts import require
from tests.support.server_process import (
    PYTHONPATH,
    ROOT,
    Server,
    make_certificate,
    stop,
    wait_for_port,
)

# Whether every case is tested, as `make test-launchers` has it, or only a few of them.
WHOLE_TABLE = "WHOLE_TABLE" in os.environ
APP = "tests.apps.workers:asgi"
UVICORN = f"uvicorn {APP} --workers {{workers}}"
GUNICORN = (
    f"gunicorn {APP} --worker-class uvicorn_worker.UvicornWorker --workers {{workers}}"
    " --bind 127.0.0.1:{port} --worker-tmp-dir {folder} --access-logfile -"
)
# Commands, without `python -m`. Of two, each serves alone, and `local://` makes them a group.
LAUNCHERS: dict[str, list[str]] = {
    "uvicorn": [f"{UVICORN} --port {{port}}"],
    "uvicorn asyncio": [f"{UVICORN} --port {{port}} --loop asyncio"],
    "uvicorn h11": [f"{UVICORN} --port {{port}} --http h11"],
    "uvicorn wsproto": [f"{UVICORN} --port {{port}} --ws wsproto"],
    "uvicorn TLS": [f"{UVICORN} --port {{port}} --ssl-certfile {{certificate}} --ssl-keyfile {{key}}"],
    "uvicorn uds": [f"{UVICORN} --uds {{folder}}/socket"],
    "uvicorn fd": [f"{UVICORN} --fd {{fd}}"],
    "gunicorn": [GUNICORN],
    "gunicorn --preload": [f"{GUNICORN} --preload"],
    "hypercorn": [f"hypercorn {APP} --workers {{workers}} --bind 127.0.0.1:{{port}} --access-logfile -"],
    "granian": [f"granian --interface asgi --workers {{workers}} --port {{port}} --access-log {APP}"],
    "systemd": [f"{UVICORN} --fd 3"],
    "two ports": [f"uvicorn {APP} --port {{port1}}", f"uvicorn {APP} --port {{port2}}"],
    "run": ["tests.apps.workers"],
}
# Where nginx finds what does not serve at the address itself.
BEHIND_NGINX = {
    "uvicorn uds": ["unix:{folder}/socket"],
    "two ports": ["127.0.0.1:{port1}", "127.0.0.1:{port2}"],
}
START_TIME = 60.0  # seconds; each worker imports everything, and a machine may be busy
SERVES = re.compile(r"DEBUG (\d+) asyncsock\.engine: websocket door")


def workers_of(server: Server) -> list[int]:
    """The processes of the workers that have started, in that order."""
    return [int(process) for process in SERVES.findall(server.log())]


def wait_for_workers(server: Server, count: int) -> list[int]:
    """Wait until so many workers have started in all, and return their processes."""
    deadline = time.monotonic() + START_TIME
    while len(workers := workers_of(server)) < count:
        assert time.monotonic() < deadline, f"{workers} of {count} workers serve:\n{server.log()}"
        time.sleep(0.05)
    return workers


@contextmanager
def launched(name: str, workers: int, **env: str) -> Iterator[Server]:
    """Start tests/apps/workers.py with some workers in the way of a launcher, until the block ends.

    Args:
        name: A key of LAUNCHERS. "two ports" always has two workers.
        workers: How many.
        env: Further variables of the environment.

    Returns:
        The server's address, or that of an nginx before it, which gives each request to another of two ports;
        and its first process.
    """
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asyncsock-test-")))
        ports = {"port": free_port(), "port1": free_port(), "port2": free_port()}
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": PYTHONPATH,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(folder),
            **_own_environment(name, workers, ports["port"], folder),
            **env,
        }
        tls = name == "uvicorn TLS"
        authority, certificate, key = make_certificate(folder) if tls else (None, None, None)
        listening = stack.enter_context(_listening(ports["port"])) if name == "uvicorn fd" else None
        values = {
            **ports,
            "workers": workers,
            "folder": folder,
            "certificate": certificate,
            "key": key,
            "fd": listening.fileno() if listening else None,
        }
        log_path = folder / "log"
        processes = []
        for command in LAUNCHERS[name]:
            line = [sys.executable, "-m", *shlex.split(command.format(**values))]
            with log_path.open("ab") as log:
                process = subprocess.Popen(
                    _activated(line, ports["port"]) if name == "systemd" else line,
                    cwd=ROOT,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    pass_fds=[listening.fileno()] if listening else [],
                )
            stack.callback(stop, process)
            processes.append(process)
        stack.callback(lambda: [process.terminate() for process in processes])  # all at once
        server = Server(processes[0], ports["port"], log_path, tls=tls, authority=authority)
        if name in BEHIND_NGINX:
            addresses = [address.format(**values) for address in BEHIND_NGINX[name]]
            stack.enter_context(nginx(folder, server.port, round_robin(server.port, addresses)))
        wait_for_port(server, START_TIME)
        wait_for_workers(server, 2 if name == "two ports" else workers)
        yield server


def _own_environment(name: str, workers: int, port: int, folder: Path) -> dict[str, str]:
    if name == "run":
        return {"PORT": str(port), "WORKERS": str(workers)}
    if name == "two ports":
        return {"QUEUE": f"local://{folder}/group"}
    return {}


@contextmanager
def _listening(port: int) -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", port), backlog=128) as listening:
        yield listening


def _activated(line: list[str], port: int) -> list[str]:
    """The command line with which systemd's own program opens the socket and hands it over, as 3."""
    program = shutil.which("systemd-socket-activate")
    require(program, "systemd-socket-activate")
    return [str(program), f"--listen=127.0.0.1:{port}", *_passed_on("PYTHONPATH", "XDG_RUNTIME_DIR"), *line]


def _passed_on(*names: str) -> list[str]:
    return [f"--setenv={name}" for name in names]
