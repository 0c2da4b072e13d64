"""An administration tool in pgAdmin's shape: below a path of a proxy, with terminals for who is logged in.

Its options hold one that Flask-SocketIO ignores (debug), its WSGI middleware rewrites paths, the origins are
known when the application is made, and its own decorator disconnects and refuses.
"""

import functools
import os

from flask import Flask, request, session
from flask_login import LoginManager, UserMixin, current_user, login_user
from flask_socketio import ConnectionRefusedError, SocketIO, disconnect

socketio = SocketIO(
    manage_session=False,
    async_mode="threading",
    logger=False,
    engineio_logger=False,
    debug=False,
    ping_interval=25,
    ping_timeout=120,
)
terminals = {}


class User(UserMixin):
    def __init__(self, name):
        self.id = name


class ReverseProxied:
    """Serves the application below the path that the proxy names in X-Script-Name."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        script_name = environ.get("HTTP_X_SCRIPT_NAME", "")
        if script_name:
            environ["SCRIPT_NAME"] = script_name
            path = environ["PATH_INFO"]
            if path.startswith(script_name):
                environ["PATH_INFO"] = path[len(script_name) :]
        return self.app(environ, start_response)


def socket_login_required(handler):
    @functools.wraps(handler)
    def wrapped(*args, **kwargs):
        if not current_user.is_authenticated:
            disconnect()
            raise ConnectionRefusedError("Unauthorised !")
        return handler(*args, **kwargs)

    return wrapped


@socketio.on("connect", namespace="/pty")
@socket_login_required
def connect():
    socketio.emit("connected", {"sid": request.sid}, namespace="/pty", to=request.sid)


@socketio.on("start_process", namespace="/pty")
@socket_login_required
def start_process(data):
    terminals[request.sid] = data["lines"]
    session["terminals"] = session.get("terminals", 0) + 1
    socketio.start_background_task(read_and_forward_output, request.sid)


def read_and_forward_output(sid):
    for line in terminals.get(sid, []):
        socketio.emit("pty-output", {"result": line, "error": False}, namespace="/pty", room=sid)
        socketio.sleep(0.01)
    socketio.emit("pty-end", namespace="/pty", room=sid)


@socketio.on("disconnect", namespace="/pty")
def disconnected():
    terminals.pop(request.sid, None)


def create_app():
    app = Flask(__name__)
    app.config["SECRET_KEY"] = "a secret of this test"
    login_manager = LoginManager(app)
    login_manager.user_loader(User)
    socketio.init_app(app, cors_allowed_origins="*")

    @app.get("/login")
    def login():
        login_user(User("ann"))
        return f"at {request.script_root or '/'}"

    @app.get("/terminals")
    def count():
        return {"open": len(terminals)}

    return app


app = create_app()
app.wsgi_app = ReverseProxied(app.wsgi_app)


def main():
    try:
        socketio.run(
            app, debug=False, allow_unsafe_werkzeug=True, host="127.0.0.1", port=int(os.environ["PORT"])
        )
    except KeyboardInterrupt:
        socketio.stop()


if __name__ == "__main__":
    main()
