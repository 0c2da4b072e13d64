"""Fan-out between processes, through Redis, RabbitMQ, Kafka and other brokers."""

from .driver import LoginRefused, MessageRefused
from .emitter import NotPublished
from .manager import QueueManager
from .urls import from_url

__all__ = ["LoginRefused", "MessageRefused", "NotPublished", "QueueManager", "from_url"]
