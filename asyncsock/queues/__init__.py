"""Fan-out between processes, through Redis, RabbitMQ, Kafka and other brokers."""

from .base import QueueManager
from .driver import LoginRefused, MessageRefused
from .emitter import NotPublished
from .urls import from_url

__all__ = ["LoginRefused", "MessageRefused", "NotPublished", "QueueManager", "from_url"]
