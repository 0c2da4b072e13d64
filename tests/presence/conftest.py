"""The servers of tests/server, and the Redis of tests/queues."""

from tests.queues.conftest import channel, redis_broker
from tests.server.conftest import any_server, server

__all__ = ["any_server", "channel", "redis_broker", "server"]
