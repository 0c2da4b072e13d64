"""A WSGI environ (PEP 3333) from an ASGI connection scope."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, MutableMapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

# The key of a scope under which its receive and send functions are; the environ names them as engineio does.
CHANNEL = "asyncsock.channel"
_SCHEMES = {"ws": "http", "wss": "https"}
try:
    SOFTWARE = f"asyncsock/{version('asyncsock')}"
except PackageNotFoundError:  # not installed, but packed into a program
    SOFTWARE = "asyncsock"
_SINGLE = frozenset(("CONTENT_TYPE", "CONTENT_LENGTH"))

# Header name as ASGI gives it -> environ key, "" for a header that must not get in.
# Bounded, and filled with the usual names first, so that a client cannot crowd them out.
_KEYS: dict[bytes, str] = {}
_MAX_KEYS = 512
_MAX_NAME = 64
_USUAL_NAMES = (
    "accept accept-encoding accept-language authorization cache-control connection content-length "
    "content-type cookie dnt expect forwarded from host if-match if-modified-since if-none-match if-range "
    "if-unmodified-since keep-alive origin pragma priority proxy range referer save-data sec-ch-ua "
    "sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user "
    "sec-gpc sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version te "
    "traceparent tracestate transfer-encoding upgrade upgrade-insecure-requests user-agent via x-api-key "
    "x-csrf-token x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-prefix x-forwarded-proto "
    "x-real-ip x-request-id x-requested-with"
)


def _key(name: bytes) -> str:
    """The environ key of a header that is not in the cache yet."""
    text = name.decode("latin-1").upper()
    if "_" in text or text == "PROXY":
        # "X_Real_Ip" would pass for "X-Real-Ip"; HTTP_PROXY is where HTTP clients look for their own setting.
        key = ""
    else:
        key = text.replace("-", "_")
        if key not in _SINGLE:
            key = "HTTP_" + key
    if len(_KEYS) < _MAX_KEYS and len(name) <= _MAX_NAME:
        _KEYS[name] = key
    return key


for _name in _USUAL_NAMES.split():
    _key(_name.encode())


def _latin1(text: str) -> str:
    """PEP 3333's form of a text: its UTF-8 bytes, each as one character."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("latin-1")


def build_environ(scope: MutableMapping[str, Any]) -> dict[str, Any]:
    """Build the WSGI environ of an HTTP request or a WebSocket handshake.

    Args:
        scope: an ASGI scope of type "http" or "websocket". It is kept as `environ["asgi.scope"]`, and the two
            functions that `CHANNEL` names, if any, as `environ["asgi.receive"]` and `environ["asgi.send"]`.

    Returns:
        A new dict. `wsgi.input` is empty: whoever serves a request body puts its own stream there.
    """
    # Over 50 lines, because it fills one dictionary key by key.
    scheme = scope.get("scheme", "http")
    scheme = _SCHEMES.get(scheme, scheme)
    path = scope["path"]
    root = scope.get("root_path", "").rstrip("/")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        path = path[len(root) :]
    query = scope.get("query_string", b"").decode("latin-1")
    name, port = scope.get("server") or ("localhost", None)
    if port is None:
        # A UNIX socket has neither; CGI asks for both.
        name, port = "localhost", 443 if scheme == "https" else 80

    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope.get("method", "GET"),
        "SCRIPT_NAME": _latin1(root),
        "PATH_INFO": _latin1(path),
        "QUERY_STRING": query,
        "SERVER_NAME": name,
        "SERVER_PORT": str(port),
        "SERVER_SOFTWARE": SOFTWARE,
        "SERVER_PROTOCOL": "HTTP/" + scope.get("http_version", "1.1"),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "asgi.scope": scope,
    }
    if CHANNEL in scope:
        environ["asgi.receive"], environ["asgi.send"] = scope[CHANNEL]
    raw_path = scope.get("raw_path")
    if raw_path:
        uri = raw_path.decode("latin-1")
        environ["RAW_URI"] = environ["REQUEST_URI"] = f"{uri}?{query}" if query else uri
    client = scope.get("client")
    if client:
        environ["REMOTE_ADDR"] = client[0]
        if client[1] is not None:
            environ["REMOTE_PORT"] = str(client[1])

    _add_headers(environ, scope["headers"])
    return environ


def _add_headers(environ: dict[str, Any], headers: Iterable[tuple[bytes, bytes]]) -> None:
    keys = _KEYS
    for header, value in headers:
        key = keys.get(header)
        if key is None:
            key = _key(header)
        if not key:
            continue
        text = value.decode("latin-1")
        if key not in environ:
            environ[key] = text
        elif key not in _SINGLE:
            environ[key] += ("; " if key == "HTTP_COOKIE" else ",") + text
