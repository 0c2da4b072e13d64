"""Which messages were here before: a publisher that lost its connection publishes some again."""

from __future__ import annotations

from collections import OrderedDict
from itertools import islice

from .wire import Message

KNOWN_SENDERS = 10_000  # whose last sequence number is kept


class Repetitions:
    """What has come to one place, where each sender's messages keep their order."""

    def __init__(self) -> None:
        self._last_seq: OrderedDict[str, int] = OrderedDict()  # by sender

    def include(self, message: Message) -> bool:
        """Note a message, and return whether it was here before."""
        sender = message.sender
        if sender is None:  # python-socketio does not number its messages
            return False
        if message.seq <= self._last_seq.get(sender, 0):
            return True
        self._last_seq[sender] = message.seq
        self._last_seq.move_to_end(sender)
        if len(self._last_seq) > KNOWN_SENDERS:
            self._last_seq.popitem(last=False)
        return False

    def last(self, most: int) -> dict[str, int]:
        """The number of the last message of each sender, of those that have sent something last."""
        senders = islice(reversed(self._last_seq), most)
        return {sender: self._last_seq[sender] for sender in senders}
