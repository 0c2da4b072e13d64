"""The handlers of parity.py under Flask-SocketIO itself, on the PORT of the environment."""

from __future__ import annotations

import os

from tests.apps.parity import app, socketio

if __name__ == "__main__":
    socketio.run(app, port=int(os.environ["PORT"]), allow_unsafe_werkzeug=True)
