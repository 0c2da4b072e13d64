"""The Flask application of tests that enter the contexts of handlers by themselves."""

from __future__ import annotations

import flask
import pytest


@pytest.fixture
def app() -> flask.Flask:
    app = flask.Flask("context_app")
    app.secret_key = "a secret"

    @app.route("/hello/<name>")
    def hello(name: str) -> str:
        return name

    return app
