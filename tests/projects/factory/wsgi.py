"""What gunicorn imports."""

from board import create_app
from board.extensions import socketio

app = create_app()

if __name__ == "__main__":
    socketio.run(app)
