"""A watcher of pages in changedetection.io's shape: worker threads tell the page through signals.

It passes on options for the engine, has handlers of its own for SIGTERM and SIGINT that save its work, and
`main()` ends in `run()`: there is no application to import.
"""

import json
import os
import queue
import signal
import sys
import threading

from blinker import signal as named_signal
from flask import Flask, request
from flask_socketio import SocketIO, emit

app = None
store = {"checked": {}}
work = queue.Queue()
checked = named_signal("checked")
leaving = threading.Event()


class SignalHandler:
    """Tells all pages what the workers report."""

    def __init__(self, socketio):
        self.socketio = socketio
        checked.connect(self.page_was_checked, weak=False)

    def page_was_checked(self, worker, **details):
        self.socketio.emit("watch_update", details)
        self.socketio.emit("queue_size", {"q_length": work.qsize()})


def work_until_the_end():
    while not leaving.is_set():
        try:
            page = work.get(timeout=0.1)
        except queue.Empty:
            continue
        store["checked"][page] = store["checked"].get(page, 0) + 1
        checked.send("worker", page=page, times=store["checked"][page])


def init_socketio(app):
    socketio = SocketIO(
        app,
        async_mode="threading",
        cors_allowed_origins=os.environ.get("SOCKETIO_CORS_ORIGINS"),
        logger=False,
        engineio_logger=False,
        engineio_options={"http_compression": False, "compression_threshold": 0},
    )

    @socketio.on("connect")
    def handle_connect():
        if "token" not in request.args:
            return False
        socketio.emit("queue_size", {"q_length": work.qsize()}, room=request.sid)

    @socketio.on("disconnect")
    def handle_disconnect():
        print("a client has left")

    @socketio.on("checkbox-operation")
    def check(data):
        sid = request.sid

        def operation():
            for page in data["pages"]:
                work.put(page)
            socketio.emit("toast", {"message": f"{len(data['pages'])} queued"}, to=sid)

        threading.Thread(target=operation, daemon=True).start()

    @socketio.on("watch_operation")
    def operate(data):
        emit("operation_result", {"success": True, "operation": data["op"]})

    SignalHandler(socketio)
    socketio.shutdown = lambda: print("the shutdown of the program's own")
    return socketio


def save_and_leave(number, frame):
    leaving.set()
    app.socketio.shutdown()
    with open(os.environ["STORE"], "w") as file:
        json.dump({**store, "signal": signal.Signals(number).name}, file)
    sys.exit()


def main():
    global app
    app = Flask(__name__)
    app.socketio = init_socketio(app)
    threading.Thread(target=work_until_the_end, daemon=True).start()
    signal.signal(signal.SIGTERM, save_and_leave)
    signal.signal(signal.SIGINT, save_and_leave)
    app.socketio.run(
        app, host="127.0.0.1", port=int(os.environ["PORT"]), debug=False, allow_unsafe_werkzeug=True
    )


if __name__ == "__main__":
    main()
