"""Where the page gets the JavaScript client: a copy on this machine, or the CDN."""

from __future__ import annotations

import os
from pathlib import Path

from flask import Flask, send_file
from werkzeug.wrappers import Response

CDN_CLIENT = {
    "url": "https://cdn.socket.io/4.8.3/socket.io.min.js",
    "integrity": "sha384-kzavj5fiMwLKzzD1f8S7TeoVIEi7uKHvbTA3ueZkrzYq75pNQUiUi6Dy98Q3fxb0",
}


def offer_client(app: Flask) -> None:
    """Serve a local copy as /client.js, if there is one, and tell the templates which one it is."""
    repository = Path(__file__).resolve().parents[2]
    installed = repository / "tests/js/node_modules/socket.io-client/dist/socket.io.min.js"
    local = Path(os.environ.get("SOCKET_IO_CLIENT", installed))
    app.jinja_env.globals["cdn"] = None if local.is_file() else CDN_CLIENT

    @app.get("/client.js")
    def client() -> Response:
        return send_file(local)
