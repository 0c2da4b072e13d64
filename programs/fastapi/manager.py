"""An application of fastapi-socketio's: the manager mounts Socket.IO at /ws, and hands on its methods.

SOCKETIO_PATH is the option of that name. By default it is "socket.io", for which python-socketio answers 404
with Starlette from 0.33 on: there the mounted application sees the whole path.
"""

import os

from fastapi import FastAPI
from fastapi_socketio import SocketManager

app = FastAPI()
manager = SocketManager(app=app, socketio_path=os.environ.get("SOCKETIO_PATH", "socket.io"))


@app.sio.on("join")
async def join(sid, room):
    await manager.enter_room(sid, room)
    await manager.emit("joined", {"sid": sid}, room=room)
    return "welcome"


@manager.on("leave")
async def leave(sid, room):
    await manager.leave_room(sid, room)
    await manager.emit("left", {"room": room}, to=sid)


@app.sio.event
async def ask(sid, text):
    async with manager.session(sid) as session:
        session["asked"] = session.get("asked", 0) + 1
    answer = await manager.call("question", {"text": text}, to=sid)
    return [answer, (await manager.get_session(sid))["asked"]]


@app.post("/tell/{room}")
async def tell(room: str, text: str) -> dict[str, str]:
    await manager.emit("told", text, room=room)
    return {"told": text}


@app.get("/")
def page() -> str:
    return "a page"
