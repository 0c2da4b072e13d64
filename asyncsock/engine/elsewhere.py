"""What the engine needs of the other processes of its server: some requests are for their sessions."""

from __future__ import annotations

import socket
from typing import Protocol, TypedDict

from .http import Request
from .transports.poll_request import PollRequest


class WorkersReport(TypedDict):
    """What a server tells of its processes.

    Attributes:
        name: The name of this one, with which the ids of its sessions begin; empty if it is alone.
        sessions: How many sessions it has.
        others: How many sessions the others have, by their names.
        relayed: Requests of clients here that others have answered.
        handed_over: Connections of clients that others have taken.
        taken: Those that this one has taken from others.
    """

    name: str
    sessions: int
    others: dict[str, int]
    relayed: int
    handed_over: int
    taken: int


def alone(sessions: int, name: str = "", relayed: int = 0) -> WorkersReport:
    """What the only process of a host tells."""
    return {
        "name": name,
        "sessions": sessions,
        "others": {},
        "relayed": relayed,
        "handed_over": 0,
        "taken": 0,
    }


class Owner(Protocol):
    """Another process of this server."""

    def answer(self, poll_request: PollRequest, sid: str) -> None:
        """Answer a polling request for one of its sessions, as it does itself."""

    def open_websocket(self, request: Request, sid: str, key: bytes) -> socket.socket:
        """Ask for a WebSocket of one of its sessions.

        Args:
            request: The request for it, which has been checked.
            sid: The session.
            key: The ``Sec-WebSocket-Accept`` to answer with.

        Returns:
            A socket, which does not block. From it come the answer to the handshake and the frames for the
            client, and it takes the frames of the client.

        Raises:
            OSError: That process does not answer.
        """

    def take_connection(self, descriptor: int, request: bytes) -> bool:
        """Take over the connection of a client.

        Args:
            descriptor: The connection, of which it gets a duplicate.
            request: What has been read from it and is not answered.

        Returns:
            Whether it takes it.
        """


class Door(Protocol):
    """What takes connections that other processes hand over, and hands over its own."""

    async def adopt(self, connection: socket.socket, request: bytes) -> None:
        """Serve a client on a connection, of which a request may have been read.

        Raises:
            OSError: The client has left.
        """

    def hand_over_idle(self) -> None:
        """Hand over the connections on which no request waits for its answer."""


class SessionElsewhere(Exception):
    """A WebSocket is for a session of another process.

    Args:
        owner: That process.
        sid: The session.
    """

    def __init__(self, owner: Owner, sid: str) -> None:
        super().__init__(sid)
        self.owner = owner
        self.sid = sid


class Elsewhere(Protocol):
    """The other processes of this server.

    Attributes:
        name: The name of this process, with which the ids of its sessions begin.
    """

    name: str

    def use_door(self, door: Door) -> None:
        """Let others hand over connections, for ``door`` to serve."""

    def lighter(self) -> Owner | None:
        """The process that should have a new session, if that is not this one."""

    def owner(self, sid: str) -> Owner | None:
        """The process that has made an id; None if that is this one, or is not there."""

    def leave(self) -> None:
        """Have the others take what is new, because this process stops."""

    def report(self) -> WorkersReport:
        """What there is of processes, and what this one had others do."""

    async def release(self) -> None:
        """Have the polls answered that wait here for sessions of others, and hand over idle connections."""
