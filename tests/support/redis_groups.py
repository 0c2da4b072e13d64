"""Several Redis servers together: a master with its replica under Sentinel, and a small cluster."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

import redis

from tests.support.broker_process import HOST
from tests.support.brokers import Redis
from tests.support.ports import free_port

SERVICE = "mymaster"
SETTLE_TIMEOUT = 30.0


def wait_until(condition: Callable[[], object], what: str) -> None:
    """Ask until it is so.

    Raises:
        RuntimeError: it was not so within `SETTLE_TIMEOUT` seconds.
    """
    deadline = time.monotonic() + SETTLE_TIMEOUT
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{what} did not come about within {SETTLE_TIMEOUT:g} s")
        time.sleep(0.05)


class Sentinel(Redis):
    """One Redis Sentinel, whose word alone is enough to move the service to another server."""

    def __init__(self, master: int) -> None:
        super().__init__()
        (self.folder / "sentinel.conf").write_text(
            f"port {self.port}\nbind {HOST}\ndir {self.folder}\n"
            f"sentinel monitor {SERVICE} {HOST} {master} 1\n"
            f"sentinel down-after-milliseconds {SERVICE} 500\n"
            f"sentinel failover-timeout {SERVICE} 3000\n"
        )

    def url_at(self, port: int) -> str:
        return f"redis+sentinel://{HOST}:{port}/0/{SERVICE}"

    def client(self) -> redis.Redis:
        return redis.Redis(host=HOST, port=self.port)

    def command(self) -> list[str]:
        return [self.program, str(self.folder / "sentinel.conf"), "--sentinel"]


class RedisSentinel:
    """A master, its replica and a Sentinel that watches them, until the block ends.

    Kill the master, and within about 2 s Sentinel makes the replica the service's server.
    """

    def __enter__(self) -> RedisSentinel:
        with ExitStack() as stack:
            self.master = stack.enter_context(Redis())
            self.replica = stack.enter_context(Redis("--replicaof", f"{HOST} {self.master.port}"))
            self.sentinel = stack.enter_context(Sentinel(self.master.port))
            wait_until(self._linked, "a replica in step with its master")
            wait_until(self._known, "a replica that Sentinel knows as healthy")
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """redis+sentinel://127.0.0.1:port/0/mymaster"""
        return self.sentinel.url

    def current_port(self) -> int:
        """The port of the server that Sentinel names as the master now."""
        with self.sentinel.client() as client:
            _, port = client.sentinel_get_master_addr_by_name(SERVICE)
            return int(port)

    def _linked(self) -> bool:
        with self.replica.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    def _known(self) -> bool:
        with self.sentinel.client() as client:
            replicas = client.sentinel_slaves(SERVICE)
        healthy = [known for known in replicas if known["flags"] == "slave"]
        return any(known["master-link-status"] == "ok" for known in healthy)


class RedisCluster:
    """Three masters with a third of the slots each and no replicas, until the block ends."""

    def __enter__(self) -> RedisCluster:
        with ExitStack() as stack:
            self.nodes = [stack.enter_context(self._node()) for _ in range(3)]
            clients = [stack.enter_context(node.client()) for node in self.nodes]
            bounds = [0, 5461, 10923, 16384]
            for client, first, after in zip(clients, bounds, bounds[1:], strict=False):
                client.execute_command("CLUSTER ADDSLOTSRANGE", first, after - 1)
            for number, client in enumerate(clients):
                client.execute_command("CLUSTER SET-CONFIG-EPOCH", number + 1)  # or they have to settle that
            for node in self.nodes[1:]:
                clients[0].execute_command("CLUSTER MEET", HOST, node.port, node.port + 1)
            for client in clients:
                wait_until(partial(self._agrees, client), "a cluster that agrees on its slots")
                client.close()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The URL of the first node."""
        return self.nodes[0].url

    @staticmethod
    def _node() -> Redis:
        port = free_port()
        args = ["--cluster-enabled", "yes", "--cluster-node-timeout", "2000"]
        return Redis(*args, "--cluster-port", str(port + 1), port=port)

    @staticmethod
    def _agrees(client: redis.Redis) -> bool:
        state: dict[str, str] = client.execute_command("CLUSTER INFO")  # type: ignore[no-untyped-call]
        return bool(state["cluster_state"] == "ok" and int(state["cluster_known_nodes"]) == 3)
