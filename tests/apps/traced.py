"""A Flask application that is traced; its spans are at /spans.

The view /ask emits a question to the client that ``to`` names. ``QUEUE`` and ``CHANNEL`` name its queue.
"""

from __future__ import annotations

import os
from typing import Any

from flask import Flask, jsonify, request
from opentelemetry import propagate

from asyncsock import SocketIO
from asyncsock.observing.traces import AsyncsockInstrumentor
from tests.support.recorded_spans import Spans

spans = Spans()
app = Flask(__name__)
AsyncsockInstrumentor().instrument(tracer_provider=spans.provider)
socketio = SocketIO(app, message_queue=os.environ["QUEUE"], channel=os.environ["CHANNEL"])
asgi = socketio.asgi_app


@app.route("/ask")
def ask() -> str:
    """Emit a question, in a span like those that OpenTelemetry's instrumentor of Flask makes of views."""
    with spans.tracer.start_as_current_span("view", context=propagate.extract(request.headers)):
        socketio.emit("question", 6, to=request.args["to"], callback=take)
    return ""


@app.route("/tell")
def tell() -> str:
    """Emit to everybody."""
    with spans.tracer.start_as_current_span("view"):
        socketio.emit("news", "good")
    return ""


def take(answer: Any) -> None:
    """Take the client's answer."""
    with spans.tracer.start_as_current_span(f"took {answer}"):
        pass


@app.route("/spans")
def ended() -> Any:
    """The spans of this process."""
    return jsonify(spans.ended())


@socketio.on("whoami")
async def whoami() -> str:
    sid: str = request.sid  # type: ignore[attr-defined]
    return sid
