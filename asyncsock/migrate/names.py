"""What Flask-SocketIO, gevent and eventlet call things, and what is used in their place."""

from __future__ import annotations

PACKAGE = "flask_socketio"
# What `from flask_socketio import ...` may ask for, and asyncsock has.
SHARED = {
    *("ConnectionRefusedError", "Namespace", "SocketIO", "SocketIOTestClient"),
    *("call", "close_room", "disconnect", "emit", "join_room", "leave_room", "rooms", "send"),
}
SUBMODULES = {"namespace": {"Namespace"}, "test_client": {"SocketIOTestClient"}}
# What `from flask_socketio import *` brings besides.
STAR_ONLY = {
    *(
        "SessionMixin",
        "flask",
        "flask_json",
        "has_request_context",
        "os",
        "run_with_reloader",
        "socketio",
        "sys",
    ),
    *("wraps", "DebuggedApplication", "namespace", "test_client"),
}
SOCKETIO_CLASSES = {"flask_socketio.SocketIO", "asyncsock.SocketIO"}

GREEN = ("eventlet", "gevent", "geventwebsocket")  # the modules
GREEN_PACKAGES = {  # and the packages that are not needed any more
    "eventlet": "eventlet",
    "gevent": "gevent",
    "gevent-websocket": "geventwebsocket",
    "simple-websocket": "simple_websocket",
}
PATCHES = ("eventlet.monkey_patch", "eventlet.patcher.monkey_patch")  # and gevent.monkey.patch_...

GUIDE = "see 'What is left of gevent and eventlet' in asyncsock's guide"
# What is used in place of a name of gevent's or eventlet's: the beginning of the name, then what.
REMEDIES = (
    ("spawn", "use socketio.start_background_task(), of which a coroutine function makes a task"),
    ("greenthread.spawn", "use socketio.start_background_task(), of which a coroutine function makes a task"),
    ("Greenlet", "use socketio.start_background_task(), of which a coroutine function makes a task"),
    ("sleep", "use socketio.sleep(), and await it in a coroutine"),
    ("greenthread.sleep", "use socketio.sleep(), and await it in a coroutine"),
    ("queue", "use queue.Queue in a function, asyncio.Queue in a coroutine"),
    ("event", "use threading.Event, or asyncio.Event in a coroutine"),
    ("lock", "use threading.Semaphore, or asyncio.Semaphore in a coroutine"),
    ("semaphore", "use threading.Semaphore, or asyncio.Semaphore in a coroutine"),
    ("Timeout", "use the time-out of what is called, or asyncio.timeout()"),
    ("timeout", "use the time-out of what is called, or asyncio.timeout()"),
    ("pool", "use concurrent.futures.ThreadPoolExecutor, or asyncio.gather() and asyncio.to_thread()"),
    ("GreenPool", "use concurrent.futures.ThreadPoolExecutor, or asyncio.gather() and asyncio.to_thread()"),
    ("GreenPile", "use concurrent.futures.ThreadPoolExecutor, or asyncio.gather() and asyncio.to_thread()"),
    ("tpool", "use concurrent.futures.ThreadPoolExecutor, or asyncio.gather() and asyncio.to_thread()"),
    ("threadpool", "use concurrent.futures.ThreadPoolExecutor, or asyncio.gather() and asyncio.to_thread()"),
    ("joinall", "use asyncio.gather() in a coroutine, or concurrent.futures.wait()"),
    ("wsgi", "call socketio.run(app, host=..., port=...) in its place"),
    ("pywsgi", "call socketio.run(app, host=..., port=...) in its place"),
    ("handler", "call socketio.run(app, host=..., port=...) in its place"),
    ("listen", "call socketio.run(app, host=..., port=...) in its place"),
    ("signal", "use signal.signal(): socketio.run() calls the program's handlers"),
)


def remedy(name: str) -> str:
    """What is used in place of ``gevent.spawn`` and its like, as a part of a sentence."""
    package, _, rest = name.partition(".")
    if not rest:
        return f"remove it and what uses it; {GUIDE}"
    if package == "geventwebsocket":
        return "remove it: asyncsock serves WebSockets by itself"
    if rest.startswith(("greenthread", "hubs", "hub")) and rest.rpartition(".")[2] in ("sleep", "spawn"):
        rest = rest.rpartition(".")[2]
    for beginning, said in REMEDIES:
        if rest.split(".")[0].startswith(beginning) or rest.startswith(beginning):
            return said
    return GUIDE


SERVERS = {  # calls that serve a WSGI application in this process
    "waitress.serve": "waitress",
    "werkzeug.serving.run_simple": "Werkzeug",
    "werkzeug.run_simple": "Werkzeug",
    "wsgiref.simple_server.make_server": "wsgiref",
    "cheroot.wsgi.Server": "cheroot",
    "cheroot.wsgi.WSGIServer": "cheroot",
    "cherrypy.wsgiserver.CherryPyWSGIServer": "CherryPy",
    "wsgiserver.WSGIServer": "wsgiserver",
    "bjoern.run": "bjoern",
    "meinheld.server.run": "meinheld",
    "paste.httpserver.serve": "Paste",
    "tornado.wsgi.WSGIContainer": "Tornado",
    "twisted.web.wsgi.WSGIResource": "Twisted",
    "gunicorn.app.base.BaseApplication": "gunicorn",
    "gunicorn.app.wsgiapp.run": "gunicorn",
    "flask_script.Manager": "Flask-Script",
    "asgiref.wsgi.WsgiToAsgi": "WsgiToAsgi",
    "a2wsgi.WSGIMiddleware": "WSGIMiddleware",
    "fastapi.middleware.wsgi.WSGIMiddleware": "WSGIMiddleware",
    "starlette.middleware.wsgi.WSGIMiddleware": "WSGIMiddleware",
    "uvicorn.middleware.wsgi.WSGIMiddleware": "WSGIMiddleware",
}

# What programs call their Flask application.
FLASK_NAMES = ("app", "application", "flask_app")
ENGINE = {  # modules of python-engineio, and what to do with what a program does with them
    "engineio.async_drivers": "This is of Flask-SocketIO's servers, and may ask for gevent: remove it.",
    "engineio.payload": "asyncsock has an engine of its own, which this does not change: remove it.",
}

UVICORN_WORKER = "uvicorn_worker.UvicornWorker"
