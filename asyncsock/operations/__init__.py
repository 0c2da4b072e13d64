"""What a server does with the clients of all processes, and what the processes do for each other."""

from .answers import AnswersMissing
from .remote_socket import RemoteSocket

__all__ = ["AnswersMissing", "RemoteSocket"]
