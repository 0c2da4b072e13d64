"""A Flask application behind WSGI middleware of several kinds, each of which takes a prefix off the path."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask, request, url_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from asyncsock import SocketIO

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
Wsgi = Callable[[Environ, StartResponse], Iterable[bytes]]

app = Flask(__name__)
socketio = SocketIO(app, always_connect=True)
asgi = socketio.asgi_app


@app.get("/")
def index() -> str:
    return request.script_root


@app.get("/<path:path>")
def other(path: str) -> str:
    return f"a view at {path}"


@socketio.on("where")
async def where() -> dict[str, Any]:
    return {
        "root": request.script_root,
        "url": url_for("index"),
        "address": request.remote_addr,
        "secure": request.is_secure,
        "host": request.host,
    }


@socketio.on("echo")
async def echo(value: Any) -> Any:
    return value


def reverse_proxied(wsgi: Wsgi) -> Wsgi:
    """As many applications have it, pgAdmin among them: the prefix is in a header of the proxy's."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        prefix = environ.get("HTTP_X_SCRIPT_NAME", "")
        if prefix:
            environ["SCRIPT_NAME"] = prefix
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
        environ["wsgi.url_scheme"] = environ.get("HTTP_X_SCHEME", environ["wsgi.url_scheme"])
        return wsgi(environ, start_response)

    return middleware


def below(prefix: str, wsgi: Wsgi) -> Wsgi:
    """A generator: what is in it runs when the server asks for the first piece of the answer."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"{prefix}/"):
            environ = {
                **environ,
                "SCRIPT_NAME": environ["SCRIPT_NAME"] + prefix,
                "PATH_INFO": environ["PATH_INFO"].removeprefix(prefix),
            }
        yield from wsgi(environ, start_response)

    return middleware


def guarded(prefix: str, wsgi: Wsgi) -> Wsgi:
    """Answers by itself who has no token."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith(f"{prefix}/"):
            if environ.get("HTTP_X_TOKEN") != "right":
                start_response("401 Unauthorized", [("Content-Type", "text/plain"), ("X-Guard", "here")])
                return [b"no token"]
            environ["SCRIPT_NAME"] += prefix
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(prefix)
        return wsgi(environ, start_response)

    return middleware


def nosy(wsgi: Wsgi) -> Wsgi:
    """Reads every body below a path, so that nobody else can."""

    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"].startswith("/nosy/"):
            environ["wsgi.input"].read()
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix("/nosy")
        return wsgi(environ, start_response)

    return middleware


def renamed(wsgi: Wsgi) -> Wsgi:
    def middleware(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/live/":
            environ["PATH_INFO"] = "/socket.io/"
        return wsgi(environ, start_response)

    return middleware


second = Flask("second")
second_socketio = SocketIO(second)
second_socketio.on("where")(lambda: {"root": request.script_root})

app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_host=1, x_prefix=1)  # type: ignore[method-assign]
app.wsgi_app = DispatcherMiddleware(  # type: ignore[method-assign]
    app.wsgi_app, {"/mounted": app.wsgi_app, "/second": second.wsgi_app}
)
for wrap in (
    reverse_proxied,
    lambda wsgi: below("/préfixe".encode().decode("latin-1"), wsgi),
    lambda wsgi: guarded("/guarded", wsgi),
    nosy,
    renamed,
):
    app.wsgi_app = wrap(app.wsgi_app)  # type: ignore[method-assign]
