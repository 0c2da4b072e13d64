"""One Flask view, for the WSGI servers and the bridges from WSGI to ASGI."""

from __future__ import annotations

import os

from flask import Flask, Response, send_file

app = Flask(__name__)
app.config["SECRET_KEY"] = "benchmark"


@app.get("/")
def index() -> dict[str, str]:
    return {"hello": "world"}


@app.get("/file")
def file() -> Response:
    return send_file(os.environ["FILE"])


def a2wsgi() -> object:
    """For ``uvicorn --factory wsgi_app:a2wsgi``."""
    from a2wsgi import WSGIMiddleware

    return WSGIMiddleware(app)


def wsgi_to_asgi() -> object:
    """For ``uvicorn --factory wsgi_app:wsgi_to_asgi``."""
    from asgiref.wsgi import WsgiToAsgi

    return WsgiToAsgi(app)
