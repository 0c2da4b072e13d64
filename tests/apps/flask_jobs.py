"""A Flask application whose scheduler and executor emit, in threads that know nothing of its server."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask, request

from asyncsock import SocketIO

COUNT = 30

app = Flask(__name__)
socketio = SocketIO(app)
executor = ThreadPoolExecutor(4)
scheduler = BackgroundScheduler()
scheduler.start()


def start(how: str, job: Callable[..., None], *args: object) -> None:
    if how == "APScheduler":
        scheduler.add_job(job, args=args)
    else:
        executor.submit(job, *args)


def count_up(event: str) -> None:
    for number in range(COUNT):
        socketio.emit(event, number)


def ask(sid: str) -> None:
    answer = socketio.call("question", to=sid)
    socketio.emit("answer", answer, to=sid)


@app.get("/<how>/<event>")
def count_up_from_a_view(how: str, event: str) -> str:
    start(how, count_up, event)
    return "started"


@socketio.on("count up")
async def count_up_from_a_handler(how: str, event: str) -> None:
    start(how, count_up, event)


@socketio.on("ask me")
async def ask_from_a_handler(how: str) -> None:
    start(how, ask, request.sid)  # type: ignore[attr-defined]


asgi = socketio.asgi_app
