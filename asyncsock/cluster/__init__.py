"""Messages and questions between the processes that share a message queue, and which of them are there."""

from .cluster import ASK_TIMEOUT, Cluster
from .envelope import Malformed
from .questions import NotAllAnswered

__all__ = ["ASK_TIMEOUT", "Cluster", "Malformed", "NotAllAnswered"]
