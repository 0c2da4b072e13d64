"""The socket module of a chat workspace in Open WebUI's shape.

It is mounted at /ws and has the whole path in its options; its packets never hold binary attachments; with
REDIS it has python-socketio's client manager for Redis.
"""

import asyncio
import os

import socketio
from fastapi import FastAPI
from socketio.packet import Packet

USERS = {"a-token": {"id": "ann"}, "b-token": {"id": "ben"}}
WEBSOCKETS = os.environ.get("WEBSOCKETS", "1") == "1"


class JSONOnlyPacket(Packet):
    """What clients attach arrives as a list of numbers, and nothing is attached to what is sent."""

    uses_binary_events = False

    @classmethod
    def reconstruct_binary(cls, data, attachments):
        return super().reconstruct_binary(data, [list(attachment) for attachment in attachments])


options = {}
if "REDIS" in os.environ:
    options["client_manager"] = socketio.AsyncRedisManager(os.environ["REDIS"])
sio = socketio.AsyncServer(
    cors_allowed_origins="*",
    async_mode="asgi",
    serializer=JSONOnlyPacket,
    transports=["websocket"] if WEBSOCKETS else ["polling"],
    allow_upgrades=WEBSOCKETS,
    always_connect=True,
    logger=False,
    ping_interval=25,
    ping_timeout=20,
    max_http_buffer_size=16 * 1024 * 1024,
    engineio_logger=False,
    **options,
)
socket_app = socketio.ASGIApp(sio, socketio_path="/ws/socket.io")
app = FastAPI()
app.mount("/ws", socket_app)


def members(room):
    return sio.manager.rooms.get("/", {}).get(room)


async def expel(sid):
    sio.start_background_task(sio.disconnect, sid)


@sio.event
async def connect(sid, environ, auth):
    user = USERS.get(auth.get("token")) if auth else None
    if user:
        await sio.save_session(sid, {"user": user})
        await sio.enter_room(sid, f"user:{user['id']}")
        await sio.emit("connected", {"path": environ["SCRIPT_NAME"] + environ["PATH_INFO"]}, to=sid)


@sio.on("user-join")
async def user_join(sid, data):
    user = USERS.get(data["auth"]["token"])
    if user is None:
        await expel(sid)
        return None
    await sio.save_session(sid, {"user": user})
    await sio.enter_room(sid, f"user:{user['id']}")
    environ = sio.get_environ(sid) or {}
    return {"id": user["id"], "agent": environ.get("HTTP_X_AGENT"), "rooms": len(sio.rooms(sid))}


@sio.on("join-channels")
async def join_channels(sid, data):
    await sio.enter_room(sid, f"channel:{data['id']}")
    return len(members(f"channel:{data['id']}"))


@sio.on("events:channel")
async def channel_events(sid, data):
    room = f"channel:{data['id']}"
    if sid not in (members(room) or {}):
        return
    user = (await sio.get_session(sid))["user"]
    await sio.emit("events:channel", {"user": user, "data": data["data"]}, room=room, skip_sid=sid)


@sio.on("ydoc:document:update")
async def document_update(sid, data):
    await sio.emit("ydoc:document:update", {"update": data["update"]}, room=f"user:{data['user']}")


@sio.on("ask-tool")
async def ask_tool(sid, data):
    try:
        return await sio.call("events", {"type": "execute:tool"}, to=sid, timeout=data.get("timeout", 10))
    except (TimeoutError, socketio.exceptions.TimeoutError):
        return {"error": "timeout"}


@sio.on("*")
async def anything(event, sid, *data):
    await sio.emit("unknown", {"event": event, "data": list(data)}, to=sid)


@sio.event
async def disconnect(sid, reason=None):
    session = await sio.get_session(sid)
    await asyncio.sleep(0)
    await sio.emit("left", {"user": session.get("user"), "reason": reason}, room="user:ann")
