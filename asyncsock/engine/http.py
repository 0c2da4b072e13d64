"""Requests to the engine and their answers: query, CORS, cookie, compression."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_plus

from .log import shown
from .signatures import accepts

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
ASGI = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

TEXT = b"text/plain; charset=UTF-8"
JSON = b"application/json"
TWO_HOSTS = "More than one Host header"


class HTTPError(Exception):
    """A request that is answered with an error status.

    Args:
        status: The HTTP status.
        message: What is wrong, for the client.
        code: The error code of Engine.IO, as Node's server has it.
        remedy: What the log advises to do about it.
        logged: Whether the log already has a line about it.
    """

    def __init__(
        self, status: int, message: str, code: int = 3, *, remedy: str = "", logged: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.remedy = remedy
        self.logged = logged

    @property
    def body(self) -> bytes:
        """The error as Node's server writes it: its status says all of a body that is too large."""
        if self.status == 413:
            return b""
        return json.dumps({"code": self.code, "message": self.message}, separators=(",", ":")).encode()


def unknown_session(*, logged: bool = False) -> HTTPError:
    """The answer to a request for a session that is not there, at which clients connect anew."""
    return HTTPError(400, "Session ID unknown", 1, logged=logged)


class Request:
    """The parts of a request that the engine looks at.

    Args:
        method: The HTTP method.
        headers: Values by lower-case name; the last value of a header that is repeated.
        query: The query string.
        make_scope: Makes the ASGI scope, which most WebSockets never need.
    """

    __slots__ = ("headers", "make_scope", "method", "query")

    def __init__(
        self, method: str, headers: dict[bytes, bytes], query: bytes, make_scope: Callable[[], Scope]
    ) -> None:
        self.make_scope = make_scope
        self.method = method
        self.headers = headers
        self.query = _parse(query.decode("latin-1"))

    @property
    def wants_base64(self) -> bool:
        """Whether the client wants binary messages as base64 text: its option ``forceBase64``."""
        return bool(self.query.get("b64"))

    def header(self, name: bytes) -> str:
        """The value of a header, or an empty string."""
        return self.headers.get(name, b"").decode("latin-1")


def _parse(text: str) -> dict[str, str]:
    """The names and values of a query."""
    query: dict[str, str] = {}
    pairs = text.split("&")
    for pair in pairs:
        name, _, value = pair.partition("=")
        query[name] = value
    if len(query) == len(pairs) and not ("%" in text or "+" in text):
        return query
    query.clear()
    for pair in pairs:
        name, _, value = pair.partition("=")
        name, value = unquote_plus(name), unquote_plus(value)
        if name in query and name in ("EIO", "transport", "sid"):
            value = "?"  # given twice, with perhaps different values: refused as unknown
        query[name] = value
    return query


def request_of(scope: Scope) -> Request:
    """The request of an ``http`` or ``websocket`` scope."""
    headers = {name.lower(): value for name, value in scope["headers"]}
    return Request(scope.get("method", "GET"), headers, scope["query_string"], lambda: scope)


def has_two_hosts(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request has more than one Host header (RFC 9112, 3.2): a proxy may believe the other one."""
    return [name for name, _ in headers].count(b"host") > 1


async def refuse_two_hosts(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer a request, or a request for a WebSocket, with 400."""
    if scope["type"] == "websocket":
        await receive()  # websocket.connect
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close"})
            return
        to_websocket = send

        async def send(message: Message) -> None:
            await to_websocket({**message, "type": f"websocket.{message['type']}"})

    await answer(send, 400, TWO_HOSTS.encode(), [])


async def answer(send: Send, status: int, body: bytes, headers: Headers, content_type: bytes = TEXT) -> None:
    """Send a whole HTTP response."""
    length = str(len(body)).encode()
    start = [(b"content-type", content_type), (b"content-length", length), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": start + headers})
    await send({"type": "http.response.body", "body": body})


@lru_cache
def status_line(status: int) -> bytes:
    """The first line of a response, with its line break."""
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:  # an application may have statuses of its own
        phrase = ""
    return b"HTTP/1.1 %d %s\r\n" % (status, phrase.encode())


def accepts_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header has gzip."""
    return "gzip" in _encodings(accepted)


def _encodings(accepted: str) -> list[str]:
    return [name for name, weight in map(_encoding, accepted.split(",")) if weight]


def compress(body: bytes, accepted: str) -> tuple[bytes, Headers]:
    """The body in gzip or deflate if the client accepts one of them, and the headers that say so."""
    names = _encodings(accepted)
    if "gzip" in names:
        return gzip.compress(body, 1), [(b"content-encoding", b"gzip"), (b"vary", b"accept-encoding")]
    if "deflate" in names:
        return zlib.compress(body, 1), [(b"content-encoding", b"deflate"), (b"vary", b"accept-encoding")]
    return body, []


def _encoding(part: str) -> tuple[str, float]:
    """One encoding of an Accept-Encoding header and its weight (RFC 9110 section 12.5.3)."""
    name, _, weight = part.partition(";")
    try:
        return name.strip().lower(), float(weight.strip().removeprefix("q=") or 1)
    except ValueError:
        return name.strip().lower(), 0


def session_cookie(cookie: str | dict[str, Any], sid: str) -> str:
    """The value of ``Set-Cookie`` for a session.

    Args:
        cookie: The cookie's name, or a dictionary of ``name`` and attributes; an attribute's value is a
            string, a callable that returns one, or ``True`` for an attribute without a value.
        sid: The session id.
    """
    if isinstance(cookie, str):
        cookie = {"name": cookie, "path": "/", "SameSite": "Lax"}
    parts = [f"{cookie['name']}={sid}"]
    for name, value in cookie.items():
        if name == "name":
            continue
        if callable(value):
            value = _call(value)
        if value is True:
            parts.append(name)
        elif value is not False and value is not None:
            parts.append(f"{name}={value}")
    return "; ".join(parts)


Origins = str | Iterable[str] | Callable[..., bool] | None


class CORS:
    """Which origins may use the server, and the headers that tell browsers so.

    Args:
        allowed: An origin, several, ``'*'`` for all, a callable that takes an origin (and, if it has a
            second parameter, the WSGI environ) and returns whether it is allowed, an empty list to check
            no origin at all, or None for the server's own origin only.
        credentials: Whether browsers may send cookies.
    """

    def __init__(self, allowed: Origins, credentials: bool) -> None:
        self.allowed = allowed
        if not (allowed is None or isinstance(allowed, Collection) or callable(allowed)):
            self.allowed = tuple(allowed)  # an iterator can be read only once
        self.credentials = credentials

    @property
    def _disabled(self) -> bool:
        return isinstance(self.allowed, list) and not self.allowed

    def allows(
        self,
        request: Request,
        environ: Callable[[], dict[str, Any]],
        own_origins: Callable[[], Collection[str]],
    ) -> bool:
        """Whether the request's origin, if it has one, may use the server.

        Args:
            request: The request.
            environ: Makes its WSGI environ.
            own_origins: Makes the server's own origins, as this request has them.
        """
        if b"origin" not in request.headers:
            return True
        origin = request.header(b"origin")
        allowed = self.allowed
        if not origin or self._disabled:
            return True
        if callable(allowed):
            return _ask(allowed, origin, environ)
        if allowed is None:
            return _normal(origin) in own_origins()
        names = [allowed] if isinstance(allowed, str) else [name for name in allowed if isinstance(name, str)]
        return "*" in names or origin in names or _normal(origin) in map(_normal, names)

    def remedy(self, request: Request, own_origins: Iterable[str], unheard: str) -> str:
        """How to allow the origin of a request that was refused, for the log.

        Args:
            request: The request.
            own_origins: The server's own origins, as this request has them.
            unheard: The address of a proxy that is not believed, if the request has headers of one.
        """
        known = ""
        if self.allowed is None:
            own = " or ".join([f"'{shown(origin)}'" for origin in own_origins])
            known = (
                f" (the server's own is {own}; a proxy has to pass the Host and X-Forwarded-Proto headers)"
            )
            if unheard:
                known = (
                    f" (the server's own is {own}; the server does not believe the X-Forwarded headers of"
                    f" {shown(unheard)}: uvicorn does with --forwarded-allow-ips)"
                )
        return f"name '{shown(request.header(b'origin'))}' in cors_allowed_origins to let it in{known}"

    def headers(self, request: Request) -> Headers:
        """The CORS headers of an answer to an allowed request."""
        origin = request.headers.get(b"origin")
        if not origin or self._disabled:
            return []
        headers = [(b"access-control-allow-origin", origin), (b"vary", b"origin")]
        if self.credentials:
            headers.append((b"access-control-allow-credentials", b"true"))
        if request.method == "OPTIONS":
            headers.append((b"access-control-allow-methods", b"OPTIONS, GET, POST"))
            wanted = request.headers.get(b"access-control-request-headers")
            if wanted:
                headers.append((b"access-control-allow-headers", wanted))
        return headers


def _ask(allowed: Callable[..., bool], origin: str, environ: Callable[[], dict[str, Any]]) -> bool:
    return bool(_call(allowed, origin, environ()) if accepts(allowed, 2) else _call(allowed, origin))


def _call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of the program in the middle of a request.

    Raises:
        RuntimeError: It raised SystemExit or the like, which would end the event loop.
        Exception: Whatever else it raised.
    """
    try:
        return function(*args)
    except Exception:
        raise
    except BaseException as error:
        raise RuntimeError(f"{function!r} raised {error!r}") from error


_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def _normal(origin: str) -> str:
    """An origin as browsers write it: in lower case, without the scheme's default port (RFC 6454)."""
    scheme, separator, host = origin.lower().partition("://")
    return scheme + separator + host.removesuffix(_DEFAULT_PORTS.get(scheme, ""))


def _own_origin(scheme: str, host: str) -> str:
    # A proxy that ends TLS may pass the port on, but not the scheme.
    scheme = "https" if host.endswith(":443") else scheme.replace("ws", "http")
    return _normal(f"{scheme}://{host}")


def own_origins(request: Request, proxy_is_believed: bool) -> list[str]:
    """The server's origin by the Host header, and by the headers of a proxy that is believed."""
    scheme = request.make_scope().get("scheme", "http")
    host = request.header(b"host")
    origins = [_own_origin(scheme, host)]
    if proxy_is_believed:
        scheme = request.header(b"x-forwarded-proto").split(",")[0].strip() or scheme
        host = request.header(b"x-forwarded-host").split(",")[0].strip() or host
        origins.append(_own_origin(scheme, host))
    return list(dict.fromkeys(origins))
