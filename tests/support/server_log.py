"""What a server's log says of trouble."""

from __future__ import annotations

from tests.support.server_process import Server

SIGNS = ("Traceback", "ERROR", "never awaited", "never retrieved")
SHOWN = 25  # lines


def trouble(server: Server) -> str:
    """The first error in the log with the lines after it; nothing where there is none."""
    lines = server.log().splitlines()
    for number, line in enumerate(lines):
        if any(sign in line for sign in SIGNS):
            return "\n".join(lines[number : number + SHOWN])
    return ""
