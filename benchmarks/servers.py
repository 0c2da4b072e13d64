"""The servers that are compared: how each is started, and on which core."""

from __future__ import annotations

import os
import re
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pythons
from install import APPS, BUN, PEER_PYTHON, another, earlier
from measure import tree

LOGS = Path(__file__).resolve().parent / "results" / "raw"
START_TIMEOUT = 30.0
FILE = LOGS / "file.bin"  # for workloads that send one
FILE_SIZE = 1024 * 1024
OTHER_FILES = 100  # that a program has open beside its clients' sockets
THREADS = 1100  # of Flask-SocketIO's threading mode: each WebSocket holds one


def _uvicorn(python: str, *target: str) -> Callable[[int], list[str]]:
    return lambda port: [python, "-m", "uvicorn", *target, "--port", str(port)]


def _gunicorn(target: str, *options: str) -> Callable[[int], list[str]]:
    return lambda port: [
        *(PEER_PYTHON, "-m", "gunicorn", "--workers", "1", "--bind", f"127.0.0.1:{port}"),
        *options,
        target,
    ]


@dataclass(frozen=True)
class Peer:
    """One of the servers: its command for a port, and what it needs in its environment."""

    title: str
    command: Callable[[int], list[str]]
    environ: dict[str, str] = field(default_factory=dict)
    most_clients: int = 1_000_000
    channel: str = ""  # the Redis channel that it listens on, for the queue
    foreign: bool | None = None  # a group: whether requests come in at another worker than the session's


PEERS = {
    "asyncsock": Peer("asyncsock", _uvicorn(sys.executable, "asyncsock_app:asgi"), channel="flask-socketio"),
    "asyncsock-bare": Peer(
        "asyncsock, AsyncServer alone", _uvicorn(sys.executable, "asyncsock_bare_app:asgi")
    ),
    "asyncsock-quiet": Peer(
        "asyncsock, --no-access-log", _uvicorn(sys.executable, "asyncsock_app:asgi", "--no-access-log")
    ),
    "asyncsock-websockets": Peer(
        "asyncsock, --ws websockets", _uvicorn(sys.executable, "asyncsock_app:asgi", "--ws", "websockets")
    ),
    "python-socketio": Peer(
        "python-socketio, uvicorn", _uvicorn(PEER_PYTHON, "python_socketio_app:asgi"), channel="socketio"
    ),
    "flask-gevent": Peer(
        "Flask-SocketIO, gevent",
        lambda port: [PEER_PYTHON, "flask_socketio_app.py"],
        {"FLASK_SOCKETIO_MODE": "gevent"},
        channel="flask-socketio",
    ),
    "flask-threading": Peer(
        "Flask-SocketIO, threading (gunicorn gthread)",
        _gunicorn(
            "flask_socketio_app:app",
            *(
                "--worker-class",
                "gthread",
                "--threads",
                str(THREADS),
                "--worker-connections",
                str(2 * THREADS),
                "--keep-alive",
                "75",  # as its users have it behind a proxy; with 2 s it cuts clients that wait for a turn
            ),
        ),
        {"FLASK_SOCKETIO_MODE": "threading"},
        most_clients=1000,
        channel="flask-socketio",
    ),
    "node": Peer("Node, socket.io", lambda port: ["node", "node.mjs"], channel="socket.io#/#"),
    "bun": Peer("Bun, socket.io on bun-engine", lambda port: [BUN, "bun.mjs"], channel="socket.io#/#"),
    "floor": Peer("one send() per client", lambda port: [sys.executable, "floor.py"]),
    "gunicorn-gthread": Peer(
        "gunicorn, gthread", _gunicorn("wsgi_app:app", "--worker-class", "gthread", "--threads", "32")
    ),
    "gunicorn-gevent": Peer("gunicorn, gevent", _gunicorn("wsgi_app:app", "--worker-class", "gevent")),
    "granian-wsgi": Peer(
        "granian, WSGI",
        lambda port: [
            PEER_PYTHON,
            "-m",
            "granian",
            "--interface",
            "wsgi",
            "--port",
            str(port),
            "wsgi_app:app",
        ],
    ),
    "express": Peer("Node, express", lambda port: ["node", "express.mjs"]),
    "a2wsgi": Peer("a2wsgi, uvicorn", _uvicorn(PEER_PYTHON, "--factory", "wsgi_app:a2wsgi")),
    "wsgi-to-asgi": Peer(
        "asgiref WsgiToAsgi, uvicorn", _uvicorn(PEER_PYTHON, "--factory", "wsgi_app:wsgi_to_asgi")
    ),
}

_group = Peer(
    "asyncsock, 2 workers",
    _uvicorn(sys.executable, "asyncsock_app:asgi", "--workers", "2"),
    foreign=False,
)
PEERS |= {
    "asyncsock-recovery": replace(
        PEERS["asyncsock"], title="asyncsock, connection state recovery", environ={"RECOVERY": "1"}
    ),
    "asyncsock-admin": replace(
        PEERS["asyncsock"], title="asyncsock, Admin UI, production", environ={"ADMIN": "production"}
    ),
    "asyncsock-metrics": replace(PEERS["asyncsock"], title="asyncsock, metrics", environ={"METRICS": "1"}),
    "node-recovery": replace(
        PEERS["node"], title="Node, connection state recovery", environ={"RECOVERY": "1"}
    ),
    "asyncsock-workers": _group,
    "asyncsock-foreign": replace(_group, title="asyncsock, 2 workers, the other's sessions", foreign=True),
    "asyncsock-redis": replace(_group, title="asyncsock, 2 workers, Redis", channel="flask-socketio"),
    "node-workers": Peer("Node, 2 workers, @socket.io/sticky", lambda port: ["node", "node_workers.mjs"]),
}

OURS = "asyncsock"
BEFORE = "asyncsock-before"
ON_PYTHON = "asyncsock-python"


def add_before(commit: str) -> str:
    """Make asyncsock as it was at a commit one of the peers, with the programs of today. The name of that."""
    folder = earlier(commit)
    PEERS[BEFORE] = replace(PEERS[OURS], title=f"asyncsock at {commit}", environ={"PYTHONPATH": str(folder)})
    return BEFORE


def add_python(python: str) -> str:
    """Make asyncsock on another Python one of the peers. The name of that."""
    asked = subprocess.run([python, pythons.__file__, "--build"], capture_output=True, text=True, check=True)
    version, _, how = asked.stdout.strip().partition(" ")
    PEERS[ON_PYTHON] = replace(
        PEERS[OURS],
        title=f"asyncsock, Python {version} ({how})",
        command=_uvicorn(another(python), "asyncsock_app:asgi"),
    )
    return ON_PYTHON


def _cores() -> tuple[int, int]:
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[1 % len(allowed)]


SERVER_CORE, LOAD_CORE = _cores()  # the same where there is only one


def free_port() -> int:
    """A loopback port below the range that the load's own connections take theirs from."""
    for port in range(20000, 32000):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError("no free port between 20000 and 32000")


def raise_file_limit() -> None:
    """Let this process open as many files as this user may."""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def too_many(clients: int, name: str) -> str:
    """Why a server, or this program, cannot have as many clients. "" where they can."""
    if clients > (most := PEERS[name].most_clients):
        return f"at most {most:,} clients"
    needed, most = clients + OTHER_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if needed > most:
        return f"needs {needed:,} open files, and {most:,} is the most here (ulimit -Hn)"
    return ""


def start_process(
    command: list[str], core: int, log: Path, environ: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a program on one core, with as many open files as this user may have."""

    def prepare() -> None:
        os.sched_setaffinity(0, {core})
        raise_file_limit()

    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        return subprocess.Popen(
            command,
            cwd=APPS,
            env={**os.environ, **(environ or {})},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            preexec_fn=prepare,
            start_new_session=True,  # Ctrl-C is for this program, which then ends the servers
        )


class Server:
    """A peer that runs, alone on the server's core: the others are stopped meanwhile."""

    def __init__(self, name: str, queue: str | None = None) -> None:
        peer = PEERS[name]
        self.name = name
        self.port = free_port()
        self.log = LOGS / f"{name}.log"
        if not FILE.exists():
            FILE.parent.mkdir(parents=True, exist_ok=True)
            FILE.write_bytes(os.urandom(FILE_SIZE))
        environ = {**peer.environ, "PORT": str(self.port), "FILE": str(FILE)}
        if queue is not None:
            environ["QUEUE"] = queue
        self.process = start_process(peer.command(self.port), SERVER_CORE, self.log, environ)
        self.pid = self.process.pid
        try:
            self._wait()
        except BaseException:
            self.end()
            raise

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            if self.process.poll() is not None or time.monotonic() > deadline:
                text = self.log.read_text(errors="replace")[-2000:]
                raise OSError(f"{self.name} did not start:\n{text}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                    return
            except OSError:
                time.sleep(0.02)

    def signal(self, number: int) -> None:
        for pid in tree(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def rest(self) -> None:
        """Stop it, so that it takes no time from another."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def end(self) -> None:
        """End it and its children, at once: they have nothing to save."""
        self.resume()
        members = tree(self.pid)
        for pid in reversed(members):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


class Pool:
    """Servers that stay up between rounds and workloads, resting when it is not their turn."""

    def __init__(self) -> None:
        self._running: dict[tuple[str, str | None], Server] = {}

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for key in list(self._running):
            self.drop(*key)

    def get(self, name: str, queue: str | None = None) -> Server:
        """The server of a name, running; `Server.rest` it afterwards."""
        server = self._running.get((name, queue))
        if server is None:
            server = self._running[name, queue] = Server(name, queue)
        else:
            server.resume()
        return server

    def drop(self, name: str, queue: str | None = None) -> None:
        """End a server: the next round that wants it starts it anew."""
        server = self._running.pop((name, queue), None)
        if server is not None:
            server.end()


def versions() -> dict[str, str]:
    """The versions of all that is compared."""
    packages = (
        "python-socketio",
        "python-engineio",
        "flask-socketio",
        "flask",
        "uvicorn",
        "uvloop",
        "gevent",
    )
    packages += ("simple-websocket", "gunicorn", "granian", "a2wsgi", "asgiref")
    code = f"from importlib.metadata import version\nfor p in {packages!r}: print(p, version(p))"
    found: dict[str, str] = {"asyncsock's Python": f"{sys.version.split()[0]} ({pythons.build()})"}
    from importlib.metadata import version

    for package in ("asyncsock", "uvicorn", "uvloop", "flask"):
        found[f"{package} (with asyncsock)" if package != "asyncsock" else package] = version(package)
    output = subprocess.run([PEER_PYTHON, "-c", code], capture_output=True, text=True, check=True).stdout
    for line in output.splitlines():
        name, _, number = line.partition(" ")
        found[name] = number
    for name, command in (("node", ["node", "--version"]), ("bun", [BUN, "--version"])):
        found[name] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for package in (
        "socket.io",
        "express",
        "@socket.io/bun-engine",
        "@socket.io/redis-adapter",
        "@socket.io/sticky",
    ):
        text = (APPS / "node_modules" / package / "package.json").read_text()
        match = re.search(r'"version": "([^"]+)"', text)
        found[package] = match[1] if match else "?"
    return found
