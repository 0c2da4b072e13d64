"""How a server joins the other processes that it has, when it starts."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

from ..engine.elsewhere import Elsewhere
from ..engine.server import EngineServer
from .directory import SUPPORTED, inherited_sockets, private_directory, shared_directory
from .hosts import Hosts
from .members import make_name
from .strangers import Strangers
from .workers import Workers


class Joining:
    """The other processes of a server: the workers of its host, and those of other hosts.

    Args:
        server: The server, which may have a message queue.
        engine: The engine under it.
        path: Its path, as servers of one process at other paths have other workers.

    Attributes:
        directory: Where the workers meet, if there may be any.
        group: What the workers of this server have in common.
    """

    def __init__(self, server: Any, engine: EngineServer, path: str) -> None:
        self._server = server
        self._engine = engine
        self._workers: Workers | None = None
        self._hosts: Hosts | None = None
        self.directory: Path | None = None
        self.group = path
        if not SUPPORTED and multiprocessing.parent_process() is not None:
            engine.logger.warning(
                "workers find each other on Linux only: if this server has more than one, start one, or let "
                "clients use WebSockets only and give it a message_queue"
            )
        try:
            self._find()
        except OSError as error:
            self._warn(error)

    def _find(self) -> None:
        """Find the directory: of the socket that workers share, or that a ``local://`` queue names."""
        place = getattr(self._server, "meeting_place", None)
        if place is None:
            self.directory = shared_directory()
        else:
            directory, channel = place
            self.directory = private_directory(directory)
            self.group = f"{channel} {self.group}"

    def _warn(self, error: OSError) -> None:
        self._engine.logger.warning(
            "this worker does not find the others: it refuses requests for their sessions, and its events "
            "reach its own clients only. Start one worker, or let XDG_RUNTIME_DIR name a directory of this "
            "user's: %s",
            error,
        )

    def join(self) -> None:
        """Serve as one of several processes, once the message queue has been started."""
        self._engine.shares_port = bool(inherited_sockets())
        manager = getattr(self._server, "manager", None)
        inbox_name: str | None = getattr(manager, "inbox_name", None)
        if self.directory is not None:
            name = getattr(manager, "process_name", None) or make_name()
            try:
                self._workers = Workers(self._engine, self.directory, self.group, name)
                self._engine.logger.info("worker %s, in %s", name, self.directory)
            except OSError as error:
                self._warn(error)
        others: Elsewhere | None = self._workers
        if manager is not None and inbox_name is not None:
            others = self._hosts = Hosts(self._engine, manager, inbox_name, self._workers)
        elif getattr(manager, "needs_affinity", False):
            others = Strangers(self._engine, self._workers)
        self._engine.join(others)

    def leave(self) -> None:
        """Have nothing to do with other processes any more."""
        for others in (self._hosts, self._workers):
            if others is not None:
                others.stop()
        self._engine.join(None)
