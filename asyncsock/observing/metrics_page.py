"""The page that Prometheus reads, for those who may."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from ..engine.core import Core
from ..engine.http import Headers, Receive, Scope, Send, answer
from ..engine.log import shown
from ..engine.log_lines import LINES_OF_ADDRESS
from ..static_files import HeadOnly
from .reading import Reading

ANYBODY = "*"
FORWARDED = {b"forwarded", b"via", b"x-forwarded-for", b"x-real-ip"}  # what proxies add to a request
METHODS = ("GET", "HEAD")
TEXT = b"text/plain; charset=utf-8"

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Allowed:
    """Who may read the metrics: the addresses of clients.

    Args:
        allowed: Addresses and networks, such as ``'10.0.0.0/8'``, one or several; ``'*'`` for anybody; None
            for this machine only.

    Raises:
        ValueError: One of them is none.
    """

    def __init__(self, allowed: str | Iterable[str] | None) -> None:
        names = [] if allowed is None else [allowed] if isinstance(allowed, str) else list(allowed)
        self._anybody = ANYBODY in names
        self._networks: list[Network] = []
        for name in names:
            if name != ANYBODY:
                try:
                    self._networks.append(ipaddress.ip_network(name, strict=False))
                except ValueError:
                    raise ValueError(
                        f"metrics_allowed={name!r:.100}: it has to be an address, a network or '*'"
                    ) from None

    def includes(self, scope: Scope) -> bool:
        """Whether who has sent a request may.

        This machine always may. But a proxy on it passes on the requests of others, and says so in a header.
        """
        if self._anybody:
            return True
        try:
            address = ipaddress.ip_address((scope.get("client") or [""])[0])
        except ValueError:
            return False
        address = getattr(address, "ipv4_mapped", None) or address
        if address.is_loopback:
            return not any(name in FORWARDED for name, _ in scope["headers"])
        return any(address in network for network in self._networks)


class MetricsPage:
    """Answers with the metrics of all processes.

    Args:
        core: Has the log.
        allowed: Who may read them.
        gather: Returns the numbers of all processes.
        write: Makes a text and its content type of them, for an ``Accept`` header.
    """

    def __init__(
        self,
        core: Core,
        allowed: Allowed,
        gather: Callable[[], Awaitable[tuple[list[Reading], int]]],
        write: Callable[[list[Reading], int, str], tuple[bytes, str]],
    ) -> None:
        self._core = core
        self._allowed = allowed
        self._gather = gather
        self._write = write

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve an HTTP request."""
        headers: Headers = []
        if not self._allowed.includes(scope):
            self._log_refusal(scope)
            status, body, content_type = 403, b"Forbidden\n", TEXT
        elif scope["method"] not in METHODS:
            status, body, content_type = 405, b"Method Not Allowed\n", TEXT
            headers.append((b"allow", ", ".join(METHODS).encode()))
        else:
            accept = dict(scope["headers"]).get(b"accept", b"").decode("latin-1")
            # In a thread: it takes long where there are many workers and names.
            body, kind = await asyncio.to_thread(self._write, *await self._gather(), accept)
            status, content_type = 200, kind.encode()
        await answer(
            send if scope["method"] != "HEAD" else HeadOnly(send), status, body, headers, content_type
        )

    def _log_refusal(self, scope: Scope) -> None:
        client: Any = scope.get("client") or ("", 0)
        if self._core.log_lines.allow(client[0], LINES_OF_ADDRESS):
            self._core.logger.warning(
                "%s refused to %s: the metrics are for this machine, and for what metrics_allowed names",
                shown(scope["path"]),
                client[0] or "a Unix socket",
            )
