"""The socket class of a picture generator in InvokeAI's shape.

Mounted at /ws behind an ASGI application of its own, with the whole path in its options; BASE is the path
that a reverse proxy serves it below.
"""

import os

from fastapi import FastAPI
from socketio import ASGIApp, AsyncServer

BASE = os.environ.get("BASE", "")


class DisconnectTolerantASGIApp:
    """Looks at the first event of each connection, and gives it to the application again."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        first = await receive()
        if first["type"] == "websocket.disconnect":
            return
        replayed = False

        async def receive_again():
            nonlocal replayed
            if not replayed:
                replayed = True
                return first
            return await receive()

        await self.app(scope, receive_again, send)


class SocketIO:
    def __init__(self, app):
        self._sio = AsyncServer(async_mode="asgi", cors_allowed_origins="*")
        self._app = ASGIApp(socketio_server=self._sio, socketio_path=f"{BASE}/ws/socket.io")
        app.mount("/ws", DisconnectTolerantASGIApp(self._app))
        self.users = {}
        self._sio.on("connect", handler=self._handle_connect)
        self._sio.on("disconnect", handler=self._handle_disconnect)
        self._sio.on("subscribe_queue", handler=self._handle_sub_queue)
        self._sio.on("unsubscribe_queue", handler=self._handle_unsub_queue)

    async def _handle_connect(self, sid, environ, auth):
        token = auth.get("token") if isinstance(auth, dict) else None
        if not token and environ.get("HTTP_AUTHORIZATION", "").startswith("Bearer "):
            token = environ["HTTP_AUTHORIZATION"][7:]
        if token not in ("ann", "admin"):
            return False
        self.users[sid] = token
        await self._sio.enter_room(sid, f"user:{token}")
        if token == "admin":
            await self._sio.enter_room(sid, "admin")
        return True

    async def _handle_disconnect(self, sid, reason):
        user = self.users.pop(sid)
        await self._sio.emit(event="user_left", data={"user": user, "reason": reason}, room="admin")

    async def _handle_sub_queue(self, sid, data):
        await self._sio.enter_room(sid, data["queue_id"])

    async def _handle_unsub_queue(self, sid, data):
        await self._sio.leave_room(sid, data["queue_id"])

    async def progress(self, queue, user, step):
        await self._sio.emit(event="progress", data={"step": step}, room=[queue, f"user:{user}", "admin"])

    async def remove(self, user):
        for sid, name in list(self.users.items()):
            if name == user:
                await self._sio.disconnect(sid)


class SubPath:
    """Tells the application the path that the proxy has left in the address."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if BASE and scope["type"] in ("http", "websocket"):
            scope = {**scope, "root_path": BASE}
        await self.app(scope, receive, send)


app = FastAPI()
sockets = SocketIO(app)
app.add_middleware(SubPath)


@app.post("/progress/{queue}/{user}/{step}")
async def progress(queue: str, user: str, step: int) -> dict[str, int]:
    await sockets.progress(queue, user, step)
    return {"step": step}


@app.delete("/users/{user}")
async def remove(user: str) -> dict[str, int]:
    await sockets.remove(user)
    return {"left": len(sockets.users)}
