"""Ports to listen on, of which each is given out once."""

from __future__ import annotations

import os
import random
import socket

# Of the ports each process of the tests has its own.
SHARE = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
SHARES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_given: set[int] = set()


def free_port() -> int:
    """A loopback port that nothing listens on, below those that the system gives to clients and for port 0.

    The program that is to listen there starts some seconds later, and nobody else may get the port meanwhile.
    And a client that redials a dead server at a port of the system's range can meet itself, and then blocks
    the port.
    """
    while True:
        port = random.SystemRandom().randrange(15000 + SHARE, 32000, SHARES)
        if port in _given:
            continue
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        _given.add(port)
        return port
