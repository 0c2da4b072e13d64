"""Gives a program asyncsock's servers as those of python-socketio, before anything of it is imported.

Python imports this module at its start where this folder is on PYTHONPATH, in each process of a program.
"""

import os

if os.environ.get("SOCKETIO_IS") == "asyncsock":
    import socketio
    import socketio.asgi
    import socketio.async_server

    import asyncsock

    socketio.AsyncServer = socketio.async_server.AsyncServer = asyncsock.AsyncServer
    socketio.ASGIApp = socketio.asgi.ASGIApp = asyncsock.ASGIApp
    print("socketio is asyncsock", flush=True)
