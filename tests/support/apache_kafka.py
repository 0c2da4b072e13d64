"""Apache Kafka itself, for what the other tests' small broker cannot do: keep its topics over a restart."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import uuid

from tests.support.broker_process import HOST
from tests.support.brokers import Kafka
from tests.support.ports import free_port


def installed() -> bool:
    """Whether Kafka's own programs are on the PATH."""
    return all(shutil.which(program) for program in ("kafka-server-start.sh", "kafka-storage.sh"))


class ApacheKafka(Kafka):
    """One Apache Kafka node (KRaft: broker and controller), whose topics and offsets survive `kill()`."""

    boot_timeout = 50.0

    def __init__(self, *, port: int | None = None, advertised: int | None = None) -> None:
        super().__init__(port=port, advertised=advertised)
        controller = free_port()
        self.properties = self.folder / "server.properties"
        self.properties.write_text(
            "process.roles=broker,controller\n"
            "node.id=1\n"
            f"controller.quorum.voters=1@{HOST}:{controller}\n"
            "controller.listener.names=CONTROLLER\n"
            f"listeners=PLAINTEXT://{HOST}:{self.port},CONTROLLER://{HOST}:{controller}\n"
            f"advertised.listeners=PLAINTEXT://{HOST}:{self.advertised}\n"
            "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\n"
            f"log.dirs={self.folder}/data\n"
            "num.partitions=1\n"
            "offsets.topic.replication.factor=1\n"
            "offsets.topic.num.partitions=1\n"
            "transaction.state.log.replication.factor=1\n"
            "transaction.state.log.min.isr=1\n"
            "group.initial.rebalance.delay.ms=0\n"
        )

    def find_program(self) -> str:
        return "kafka-server-start.sh"

    def start(self) -> None:
        if not (self.folder / "data").exists():
            cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
            command = ["kafka-storage.sh", "format", "-t", cluster, "-c", str(self.properties)]
            subprocess.run(command, check=True, env=self.environment(), stdout=subprocess.DEVNULL)
        super().start()

    def command(self) -> list[str]:
        return [self.program, str(self.properties)]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "LOG_DIR": str(self.folder / "logs")}
