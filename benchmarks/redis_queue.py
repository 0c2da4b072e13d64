"""A Redis server of the benchmark's own, and messages that are put on it as the peers' emitters do."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from clients import LoadError
from install import APPS, PEER_PYTHON, redis_server
from servers import LOAD_CORE, LOGS, free_port, start_process


class Redis:
    """redis-server on the load's core."""

    def __init__(self) -> None:
        program = redis_server()
        if not program:
            raise LoadError("redis-server is missing: apt-get install redis-server")
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._folder = tempfile.TemporaryDirectory()
        command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        command += ["--dir", self._folder.name]
        self._process = start_process(command, LOAD_CORE, LOGS / "redis.log")
        deadline = time.monotonic() + 10
        while True:
            try:
                self._socket = socket.create_connection(("127.0.0.1", self.port), timeout=10)
                break
            except OSError:
                if time.monotonic() > deadline:
                    self._process.kill()
                    raise
                time.sleep(0.02)

    def end(self) -> None:
        self._socket.close()
        self._process.kill()
        self._process.wait()
        self._folder.cleanup()

    def publish(self, channel: bytes, payload: bytes, count: int) -> None:
        """Publish one message `count` times, in one go."""
        command = _command(b"PUBLISH", channel, payload)
        self._socket.sendall(command * count)
        left = count  # answers: ":<receivers>\r\n" each
        while left > 0:
            left -= self._socket.recv(65536).count(b"\n")

    def wait_for_listener(self, channel: bytes, payload: bytes) -> None:
        """Publish until somebody listens: some servers subscribe after their first client has come."""
        deadline = time.monotonic() + 10
        while True:
            self._socket.sendall(_command(b"PUBLISH", channel, payload))
            if self._socket.recv(64) != b":0\r\n":
                return
            if time.monotonic() > deadline:
                raise LoadError(f"no server listens to {channel!r}")
            time.sleep(0.05)

    def record(self, peer_channel: str) -> tuple[bytes, bytes]:
        """The channel and payload of the message that the emitter of a server's kind publishes."""
        node = peer_channel.startswith("socket.io#")
        script = [os.path.join(APPS, "publish.mjs" if node else "publish.py"), self.url]
        command = ["node", *script] if node else [PEER_PYTHON, *script, peer_channel]
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as listener:
            listener.sendall(_command(b"PSUBSCRIBE", b"*"))
            listener.recv(4096)
            subprocess.run(command, cwd=Path(APPS), check=True, timeout=60, stdin=subprocess.DEVNULL)
            reader = listener.makefile("rb")
            values = []
            for _ in range(int(reader.readline()[1:])):  # pmessage, pattern, channel, payload
                size = int(reader.readline()[1:])
                values.append(reader.read(size + 2)[:-2])
        return values[2], values[3]


def _command(*words: bytes) -> bytes:
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)
