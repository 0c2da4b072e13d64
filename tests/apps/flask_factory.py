"""A Flask application from a factory: handlers first, options, and extensions of Flask.

DATABASE is the path of its SQLite file.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
import uuid
from collections import defaultdict
from datetime import date
from typing import Any

import flask
from flask import Flask
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import text

from asyncsock import SocketIO, emit

logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")

socketio = SocketIO(json=flask.json, async_mode="threading")
login = LoginManager()
db = SQLAlchemy()
request: Any = flask.request  # with the attributes that an event adds


class User(UserMixin):  # type: ignore[misc]
    def __init__(self, name: str) -> None:
        self.id = name


@login.user_loader  # type: ignore[untyped-decorator,unused-ignore]
def load_user(name: str) -> User:
    return User(name)


# Order: each of these ends before the next one begins

happened: dict[str, list[str]] = defaultdict(list)


@socketio.on("coroutine work")
async def work(number: int) -> None:
    happened[request.sid].append(f"begin {number}")
    await asyncio.sleep(0.002 if number % 3 else 0)
    happened[request.sid].append(f"end {number}")


@socketio.on("function work")
def work_in_thread(number: int) -> None:
    happened[request.sid].append(f"begin {number}")
    time.sleep(0.002 if number % 3 else 0)
    happened[request.sid].append(f"end {number}")


@socketio.on("happened")
async def what_happened() -> list[str]:
    return happened[request.sid]


# Errors, JSON, any namespace


@socketio.on_error_default
def handle_error(error: Exception) -> list[str]:
    return ["handled", type(error).__name__, request.event["message"], request.namespace]


@socketio.on("coroutine fail")
async def fail() -> None:
    raise LookupError


@socketio.on("function fail")
def fail_in_thread() -> None:
    raise LookupError


VALUES = {"day": date(2020, 1, 2), "id": uuid.UUID(int=5)}


@socketio.on("coroutine values")
async def values() -> Any:
    emit("values", VALUES)
    return VALUES


@socketio.on("function values")
def values_in_thread() -> Any:
    emit("values", VALUES)
    return VALUES


@socketio.on("connect", namespace="*")
async def connect_anywhere(auth: Any) -> None:
    emit("connected", [request.namespace, auth])


@socketio.on("where", namespace="*")
def where(*args: Any) -> Any:
    return request.namespace, request.sid, list(args)


@socketio.on("*", namespace="*")
async def anything(event: str, *args: Any) -> Any:
    emit("heard", event)
    return event, request.namespace, request.sid, list(args)


# Flask-Login and Flask-SQLAlchemy


def who() -> Any:
    return current_user.id if current_user.is_authenticated else None


def query() -> Any:
    return db.session.execute(text("SELECT 40 + 2")).scalar()


@socketio.on("coroutine who")
async def who_in_coroutine() -> Any:
    await asyncio.sleep(0)
    return who()


@socketio.on("coroutine query")
async def query_in_coroutine() -> Any:
    return query()


socketio.on_event("function who", who)
socketio.on_event("function query", query)


def create_app() -> Flask:
    app = Flask("from_a_factory")
    app.config.update(
        SECRET_KEY="a secret",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{os.environ['DATABASE']}",
        # a connection that is not given back is missed by the next event
        SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 1, "max_overflow": 0, "pool_timeout": 2},
    )
    socketio.init_app(app, async_handlers=False, namespaces="*")
    login.init_app(app)
    db.init_app(app)

    @app.get("/sign-in/<name>")
    def sign_in(name: str) -> str:
        login_user(User(name))
        return "ok"

    @app.get("/database")
    def database_in_use() -> dict[str, int]:
        pool: Any = db.engine.pool
        return {"sessions": len(db.session.registry.registry), "connections": pool.checkedout()}

    return app


app = create_app()
asgi = socketio.asgi_app
