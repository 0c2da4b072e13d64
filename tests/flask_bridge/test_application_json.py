"""json=flask.json: the provider that the application has when something is encoded or decoded."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import flask
import pytest
from flask import Flask, current_app, g
from flask.json.provider import DefaultJSONProvider

from asyncsock import SocketIO


class Loud(DefaultJSONProvider):
    """Writes `app.config["LOUD"]` for a Decimal, and reads numbers with a point as Decimal."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return super().dumps(obj, **{**kwargs, "default": self.write})

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return super().loads(s, parse_float=Decimal, **kwargs)

    @staticmethod
    def write(value: Any) -> str:
        return f"{current_app.config['LOUD']} {value}"  # an application's provider may need its context


def loud_app() -> Flask:
    app = Flask("app")
    app.config["LOUD"] = "loud"
    return app


@pytest.mark.parametrize("early", [True, False], ids=["before SocketIO", "after SocketIO"])
@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_the_provider_may_be_set_at_any_time(early: bool, kind: str) -> None:
    """Taipy sets its own after `SocketIO(app, json=flask.json)`."""
    app = loud_app()
    if early:
        app.json = Loud(app)
    socketio = SocketIO(app, json=flask.json)
    app.json = Loud(app)

    def function(value: Any) -> Any:
        return [type(value).__name__, value]

    async def coroutine(value: Any) -> Any:
        return function(value)

    socketio.on("ask")(function if kind == "function" else coroutine)
    client = socketio.test_client(app)
    assert client.emit("ask", 1.5, callback=True) == ["Decimal", "loud 1.5"]
    socketio.emit("news", Decimal(2))
    assert [packet["args"] for packet in client.get_received()] == [["loud 2"]]


def test_each_call_asks_for_the_provider() -> None:
    app = loud_app()
    socketio = SocketIO(app, json=flask.json)
    client = socketio.test_client(app)
    for text in ("one", "two"):

        class Provider(Loud):
            @staticmethod
            def write(value: Any, text: str = text) -> str:
                return text

        app.json = Provider(app)
        socketio.emit("news", Decimal(1))
    assert [packet["args"] for packet in client.get_received()] == [["one"], ["two"]]


def test_the_default_provider_writes_what_flask_does_without_a_context() -> None:
    app = Flask("app")
    socketio = SocketIO(app, json=flask.json)
    client = socketio.test_client(app)
    socketio.emit("news", {"day": date(2000, 1, 2)})
    assert client.get_received()[0]["args"] == [{"day": "Sun, 02 Jan 2000 00:00:00 GMT"}]


def test_what_a_view_emits_is_encoded_in_its_own_context() -> None:
    app = loud_app()
    app.json = Loud(app)
    socketio = SocketIO(app, json=flask.json)
    ended: list[str] = []
    app.teardown_appcontext(lambda error: ended.append("ended"))
    with app.app_context():
        g.kept = 1
        socketio.emit("news", Decimal(1))
        assert ended == []
        assert g.kept == 1


def test_each_application_of_one_socketio_has_its_own_provider() -> None:
    socketio = SocketIO(json=flask.json)
    for name in ("one", "two"):
        app = Flask(name)
        app.json = Loud(app)
        app.config["LOUD"] = name
        socketio.init_app(app)
        client = socketio.test_client(app)
        socketio.emit("news", Decimal(1))
        assert client.get_received()[0]["args"] == [f"{name} 1"]
