"""A program frozen by PyInstaller: it has the message queues' drivers, and what uvicorn imports by name."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

import pytest

from asyncsock import SocketIO
from tests.support.brokers import Redis
from tests.support.ports import free_port
from tests.support.python_socketio_client import arrived, connected
from tests.support.required_parts import require
from tests.support.server_process import ROOT, START_TIMEOUT, Server, stop, wait_for_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

URLS = {
    "redis://localhost": "RedisDriver",
    "redis+streams://localhost": "RedisStreamsDriver",
    "amqp://localhost": "RabbitMQDriver",
    "kafka://localhost": "KafkaDriver",
    "nats://localhost": "NatsDriver",
    "zmq+tcp://localhost:5555+5556": "ZmqDriver",
    "memory://": "KombuDriver",
}
# Kombu imports its transports by name; docs/howto/deploy.md says so.
OPTIONS = ["--hidden-import", "kombu.transport.memory"]
# What other packages of these tests would bring along.
LEFT_OUT = ["celery", "cryptography", "eventlet", "gevent", "numpy", "setuptools", "tkinter"]


@pytest.fixture(scope="module")
def frozen(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program."""
    require(find_spec("PyInstaller"), "pyinstaller")
    if not sysconfig.get_config_var("Py_ENABLE_SHARED") and not find_library(
        f"python{sys.version_info.major}.{sys.version_info.minor}"
    ):
        pytest.skip("PyInstaller needs a Python with a shared library")
    folder = tmp_path_factory.mktemp("frozen")
    line = [sys.executable, "-m", "PyInstaller", "--noconfirm", "--log-level", "ERROR", "--distpath", "dist"]
    line += ["--paths", str(ROOT), *OPTIONS]
    line += [option for name in LEFT_OUT for option in ("--exclude-module", name)]
    subprocess.run([*line, str(ROOT / "tests" / "apps" / "frozen.py")], cwd=folder, check=True)
    return folder / "dist" / "frozen" / "frozen"


@pytest.fixture
def server(frozen: Path, tmp_path: Path, redis: Redis) -> Iterator[Server]:
    port, log_path = free_port(), tmp_path / "log"
    environment = {**os.environ, "PORT": str(port), "QUEUE": redis.url, "CHANNEL": "frozen"}
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [str(frozen)],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    running = Server(process, port, log_path)
    try:
        wait_for_port(running, 2 * START_TIMEOUT)
        yield running
    finally:
        stop(process)


@pytest.fixture
def redis() -> Iterator[Redis]:
    with Redis() as broker:
        yield broker


def test_a_frozen_program_has_each_driver(frozen: Path) -> None:
    ended = subprocess.run([str(frozen), *URLS], capture_output=True, text=True, check=False)
    assert ended.stderr == ""
    assert dict(line.split() for line in ended.stdout.splitlines()) == URLS


async def test_a_frozen_program_serves_clients_and_hears_the_queue(server: Server, redis: Redis) -> None:
    writer = SocketIO(message_queue=redis.url, channel="frozen")
    for mode in ("polling", "websocket", "upgrade"):
        async with connected(server.url, mode=mode) as client:
            told = client.arrivals("told")
            assert await client.call("echo", b"\x00\xff") == (b"\x00\xff", "/socket.io/")
            await client.emit("tell", mode)
            assert await arrived(told) == (mode,)
            await writer.emit("told", "by another process")
            assert await arrived(told) == ("by another process",)
    server.process.terminate()
    assert server.process.wait(15) == 0
    assert "Traceback" not in server.log()
