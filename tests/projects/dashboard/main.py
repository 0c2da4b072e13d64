"""A dashboard in Taipy's shape: the server runs in a thread, as in a notebook, and is stopped from outside.

Its JSON provider is set after SocketIO was made with `json=flask.json`, and knows the program's own types.
The main thread takes orders from standard input, as the cells of a notebook come.
"""

import ctypes
import datetime
import json as plain_json
import os
import socket
import sys
import threading
import time

from flask import Flask, json, jsonify
from flask.json.provider import DefaultJSONProvider
from flask_socketio import SocketIO


class Temperature:
    def __init__(self, degrees):
        self.degrees = degrees


class Provider(DefaultJSONProvider):
    @staticmethod
    def default(value):
        if isinstance(value, Temperature):
            return {"degrees": value.degrees}
        if isinstance(value, datetime.datetime):
            return value.isoformat()
        return DefaultJSONProvider.default(value)


class KillableThread(threading.Thread):
    def kill(self):
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self.ident), ctypes.py_object(SystemExit))


class Gui:
    def __init__(self, flask=None):
        self.flask = flask or Flask("dashboard")
        self.flask.config["SECRET_KEY"] = self.flask.config["SECRET_KEY"] or "TaIpY"
        options = {"cors_allowed_origins": "*", "ping_timeout": 10, "ping_interval": 5, "json": json}
        self.ws = SocketIO(self.flask, **options, async_mode="threading", allow_upgrades=True)
        self.flask.json_provider_class = Provider
        self.flask.json = Provider(self.flask)
        self.ws.on("message")(self.handle_message)
        self.flask.get("/state")(lambda: jsonify(self.state()))

    def state(self):
        return {"now": Temperature(21.5), "at": datetime.datetime(2026, 1, 2, 3, 4, 5)}

    def handle_message(self, message, *args):
        if message.get("type") == "ask":
            self.ws.emit("message", {"type": "state", "payload": self.state()})
        return "done", *args

    def run(self):
        port = int(os.environ["PORT"])
        options = {"host": "127.0.0.1", "port": port, "debug": False, "use_reloader": False}
        if self.ws.async_mode == "threading" and not sys.stdin.isatty():
            options["allow_unsafe_werkzeug"] = True
        self.thread = KillableThread(target=self.ws.run, args=[self.flask], kwargs=options, daemon=True)
        self.thread.start()
        while not is_open(port):
            time.sleep(0.05)

    def stop(self):
        self.thread.kill()
        while is_open(int(os.environ["PORT"])):
            time.sleep(0.05)


def is_open(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


if __name__ == "__main__":
    gui = Gui()
    gui.run()
    for line in sys.stdin:
        order = plain_json.loads(line)
        if order == "stop":
            gui.stop()
        elif order == "run":
            gui.run()
        else:
            gui.ws.emit("message", {"type": "cell", "payload": [order, Temperature(1)]})
        print("done", line, flush=True)
