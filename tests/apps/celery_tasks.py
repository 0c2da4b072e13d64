"""A Celery application over the Redis server of the environment's ``QUEUE``, whose task emits."""

from __future__ import annotations

import os

from celery import Celery

from asyncsock import SocketIO

celery = Celery(__name__, broker=os.environ["QUEUE"])
socketio = SocketIO(message_queue=os.environ["QUEUE"], channel=os.environ["CHANNEL"])


@celery.task(name="tell")
def tell(text: str) -> None:
    socketio.emit("event", text)
