"""Which requests come from a proxy whose word counts."""

from __future__ import annotations

import ipaddress
from typing import Protocol

from .http import Request, Scope

FORWARDED = (b"x-forwarded-proto", b"x-forwarded-host")


class Addresses(Protocol):
    """A set of addresses, such as uvicorn's of the proxies that it believes."""

    def __contains__(self, address: str | None) -> bool:
        """Whether an address is among them; a connection over a Unix socket has none."""


class ThisMachine:
    """The addresses of this machine."""

    def __contains__(self, address: str | None) -> bool:
        try:
            return address is None or ipaddress.ip_address(address).is_loopback
        except ValueError:
            return False


class Proxies:
    """Knows the proxies that are believed.

    Servers have options for them, and middleware that puts a client's address and scheme into the scope. The
    port in that address is 0, which no connection has. What such a middleware has let pass is believed. If
    there is none, a proxy on this machine is believed, as uvicorn does by default.

    Attributes:
        trusted: The addresses of the proxies that are believed.
    """

    def __init__(self) -> None:
        self.trusted: Addresses = ThisMachine()

    def are_believed(self, scope: Scope) -> bool:
        """Whether what a proxy has written into a request's headers counts."""
        address, port = scope.get("client") or (None, None)
        return port == 0 or address in self.trusted

    def unheard(self, request: Request) -> str:
        """Whose headers of a proxy do not count in a request; an empty string if there are none."""
        if not any(name in request.headers for name in FORWARDED):
            return ""
        scope = request.make_scope()
        return "" if self.are_believed(scope) else str((scope.get("client") or ("a Unix socket",))[0])
