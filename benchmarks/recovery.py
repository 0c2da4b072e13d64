"""Clients that come back at once to a server that keeps many events, of which each has missed a few."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass

from clients import CONNECT, READ, Client, LoadError, Swarm, frame
from measure import Meter, Outcome, settle
from servers import Server

MISSED = 3  # events, by each client
ROOM = 10  # clients in each room
ROOMS = 5  # that each client is in
STEP = 7  # clients who share one room are in different ones otherwise
BATCH = 100  # events that the server is asked for at once


@dataclass
class Claim:
    """What a client says when it comes back."""

    pid: str = ""
    offset: str = ""
    sid: str = ""


class Members(Swarm):
    """Clients in the order of their claims. Those that have one come back, and wait for what they missed."""

    def __init__(self, port: int, claims: list[Claim]) -> None:
        super().__init__(port)
        self._claims = claims
        self._claim_of: dict[int, Claim] = {}

    def add(self, client: Client) -> None:
        claim = self._claim_of[id(client)] = self._claims[len(self.clients)]
        client.wants = MISSED if claim.pid else 0
        super().add(client)

    def _greeting(self, client: Client) -> bytes:
        claim = self._claim_of[id(client)]
        if not claim.pid:
            return CONNECT
        return frame(b"40" + json.dumps({"pid": claim.pid, "offset": claim.offset}).encode())

    def _greeted(self, client: Client, payload: bytes) -> None:
        claim = self._claim_of[id(client)]
        if payload[:2] == b"40":
            answer = json.loads(payload[2:])
            if claim.pid and (answer["sid"], answer["pid"]) != (claim.sid, claim.pid):
                raise LoadError("a client was not recovered")
            claim.sid, claim.pid = answer["sid"], answer["pid"]
        else:
            self._note(claim, payload)
            client.wants -= 1
        if client.wants == 0:
            self._connected(client)

    def hear(self, sender: Client, packet: bytes) -> None:
        """Send an event for which everybody gets a message, and note the offset of that."""
        self.on_readable = self._hearing
        self.pending = len(self.clients)
        sender.sock.send(packet)
        self.run()

    def _hearing(self, client: Client) -> None:
        for _, payload in client.frames(client.sock.recv(READ)):
            self._note(self._claim_of[id(client)], payload)
            self.pending -= 1

    @staticmethod
    def _note(claim: Claim, payload: bytes) -> None:
        claim.offset = json.loads(payload[2:])[-1]


def come_back(server: Server, size: int, seconds: float, kept: int, net: bool) -> Outcome:
    """All lose their connections; events are emitted to their rooms and to others; all come back.

    Args:
        server: It must be new: what it keeps of an earlier round would count.
        size: How many clients there are.
        seconds: Not of use here.
        kept: How many events are emitted meanwhile, which the server keeps.
        net: Whether the CPU time is only what this takes more than new clients that connect.
    """
    claims = [Claim() for _ in range(size)]
    with Swarm(server.port) as others:
        others.connect(1)
        sender = others.clients[0]
        others.acknowledged([sender], [frame(b'421["join","others"]')])
        with Members(server.port, claims) as members:
            members.connect(size)
            for kind in range(ROOMS):
                rooms = [_room(kind, number * STEP**kind % size) for number in range(size)]
                members.acknowledged(members.clients, [frame(b'421["join","%s"]' % room) for room in rooms])
            others.expect([sender], 1)
            members.hear(sender, frame(b'42["go",1]'))
            others.run()
            members.leave(members.clients)
        settle(server.pid)
        _emit(others, [_room(0, number) for number in range(0, size, ROOM)], kept)
        new = _connect(server, size).cpu if net else 0.0
        with Members(server.port, claims) as members:
            with Meter(server.pid, settle_after=True) as outcome:
                outcome.latencies = members.connect(size)
            members.leave(members.clients)
        others.leave(others.clients)
    outcome.operations = size
    outcome.cpu -= new
    return outcome


def _connect(server: Server, size: int) -> Outcome:
    """New clients connect, and leave."""
    with Swarm(server.port) as swarm:
        with Meter(server.pid, settle_after=True) as outcome:
            swarm.connect(size)
        swarm.leave(swarm.clients)
    settle(server.pid)
    return outcome


def _room(kind: int, number: int) -> bytes:
    return b"room-%d-%d" % (kind, number // ROOM)


def _emit(others: Swarm, rooms: list[bytes], count: int) -> None:
    """Have one client cause all events: those of the rooms evenly among those of its own."""
    step = count // (MISSED * len(rooms))
    names = [b"others"] * count
    for number in range(MISSED * len(rooms)):
        names[number * step] = rooms[number % len(rooms)]
    sender = others.clients[0]
    for start in range(0, count, BATCH):
        batch = names[start : start + BATCH]
        packets = b"".join(frame(b'42["room","%s"]' % name) for name in batch)
        others.expect([sender], batch.count(b"others"))
        sender.sock.send(packets)
        others.run()
    time.sleep(0.1)
