"""JavaScript clients that are too old, in pages and in package.json."""

from __future__ import annotations

import re

from .tree import SourceFile

PAGES = (".html", ".htm", ".j2", ".jinja", ".jinja2", ".js")
OLD_CLIENTS = re.compile(
    r"socket\.io(?:-client)?(?:/|@|-)v?[\^~]?(?P<address>[012](?:\.[\w.]+)?)(?![\w])"  # in an address
    r"|Socket\.IO v(?P<banner>[012]\.[\w.]+)"
)
PACKAGE = re.compile(r"\"socket\.io-client\"\s*:\s*\"[\^~>=v ]*(?P<package>[012](?:\.[\w.x-]+)?)")


def remark_clients(file: SourceFile) -> None:
    """Remark each place that has a client of Socket.IO 1 or 2."""
    pattern = PACKAGE if file.name.rpartition("/")[2] == "package.json" else OLD_CLIENTS
    if pattern is OLD_CLIENTS and not file.name.lower().endswith((*PAGES, ".py")):
        return
    for found in pattern.finditer(file.content):
        version = next(filter(None, found.groupdict().values()))
        file.remark(
            found.start(),
            f"A JavaScript client {version.rstrip('.')} cannot connect: use socket.io-client 4 (version 3 "
            "works, too).",
        )
