"""Browsers that have just come, and the list of all clients that each gets first."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

HERE = ""  # stands for this process among the names of processes
PATIENCE = 1.0  # seconds to wait for the other processes
LIST = "all_sockets"  # the Admin UI takes it once: a second one would make it forget the first
STATS = "server_stats"
Message = list[Any]  # the name of an event and its arguments


class Arrivals:
    """Joins the lists of all processes into one for each browser, and keeps what comes meanwhile until then.

    Args:
        deliver: Called with messages and the sid of a browser.
    """

    def __init__(self, deliver: Callable[[list[Message], str], None]) -> None:
        self._deliver = deliver
        self._arriving: dict[str, Arrival] = {}

    def add(self, sid: str, processes: Iterable[str]) -> None:
        """A browser has come, and these other processes will send it their lists."""
        self._arriving[sid] = Arrival({HERE, *processes})
        asyncio.get_running_loop().call_later(PATIENCE, self._finish, sid)

    def discard(self, sid: str) -> None:
        """A browser has left."""
        self._arriving.pop(sid, None)

    def among(self, sids: Iterable[str]) -> tuple[list[str], list[str]]:
        """Which of these browsers wait for the list, and which do not."""
        arriving = [sid for sid in sids if sid in self._arriving]
        return arriving, [sid for sid in sids if sid not in self._arriving]

    def lost(self, process: str) -> None:
        """Wait no more for a process."""
        for sid, arrival in list(self._arriving.items()):
            arrival.waiting.discard(process)
            self._finish_if_complete(sid, arrival)

    def take(self, process: str, messages: list[Message], sid: str, is_for_all: bool) -> list[Message]:
        """Take messages of a process for a browser. Returns those that it gets at once."""
        arrival = self._arriving.get(sid)
        if arrival is None:
            return [late for message in messages for late in _without_list(message)]
        at_once = []
        for message in messages:
            if message[0] == LIST:
                arrival.sockets += message[1]
                arrival.waiting.discard(process)
            elif message[0] != STATS and process not in arrival.waiting:
                arrival.held.append(message)
            elif message[0] == STATS or not is_for_all:
                at_once.append(message)
            # The others are about what happened before the process made its list.
        self._finish_if_complete(sid, arrival)
        return at_once

    def _finish_if_complete(self, sid: str, arrival: Arrival) -> None:
        if not arrival.waiting:
            self._finish(sid)

    def _finish(self, sid: str) -> None:
        arrival = self._arriving.pop(sid, None)
        if arrival is not None:
            self._deliver([[LIST, arrival.sockets], *arrival.held], sid)


class Arrival:
    """One browser that has just come.

    Attributes:
        waiting: The processes whose lists have not come.
        sockets: What was in those that have.
        held: What has happened since then.
    """

    def __init__(self, waiting: set[str]) -> None:
        self.waiting = waiting
        self.sockets: list[Any] = []
        self.held: list[Message] = []


def _without_list(message: Message) -> list[Message]:
    """A message for a browser that has got its list; another one becomes the news of each client in it."""
    if message[0] != LIST:
        return [message]
    return [["socket_connected", socket, socket["handshake"]["time"]] for socket in message[1]]
