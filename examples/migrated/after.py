"""A poll, before and after the move from Flask-SocketIO: README.md shows the difference."""

import os
from collections import Counter

from client import offer_client
from flask import Flask, render_template, request

from asyncsock import SocketIO, emit

DRINKS = ("Coffee", "Tea", "Cocoa")

app = Flask(__name__)
app.config["SECRET_KEY"] = os.environ.get("SECRET_KEY", "only good enough for trying it out")
offer_client(app)
socketio = SocketIO(app)
asgi = socketio.asgi_app
votes = {}  # what each page has chosen, by its sid


def tally():
    counts = Counter(list(votes.values()))
    return {drink: counts[drink] for drink in DRINKS}


@app.get("/")
def index():
    return render_template("poll.html", drinks=DRINKS)


@app.post("/reset")
def reset():
    votes.clear()
    socketio.emit("tally", tally())
    return "", 204


@socketio.on("connect")
def connect():
    emit("tally", tally())


@socketio.on("disconnect")
def disconnect(reason):
    if votes.pop(request.sid, None):
        emit("tally", tally(), broadcast=True)


@socketio.on("vote")
def vote(drink):
    if drink not in DRINKS:
        raise ValueError("That is not on the list.")
    votes[request.sid] = drink
    emit("tally", tally(), broadcast=True)
    return {"voted": drink}


@socketio.on("close")
async def close():
    for seconds in (3, 2, 1):
        await emit("closing", seconds, broadcast=True)
        await socketio.sleep(1)
    counts = tally()
    await emit("closed", max(counts, key=counts.get), broadcast=True)


@socketio.on_error_default
def failed(error):
    return {"error": str(error)}


if __name__ == "__main__":
    socketio.run(app, port=int(os.environ.get("PORT", 5000)))
