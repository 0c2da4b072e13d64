from flask import Blueprint
from flask_login import current_user, login_user

from .extensions import db, socketio
from .models import Notice, User

pages = Blueprint("pages", __name__)


@pages.get("/login/<name>")
def login(name):
    user = db.session.execute(db.select(User).filter_by(name=name)).scalar_one_or_none()
    if user is None:
        user = User(name=name)
        db.session.add(user)
        db.session.commit()
    login_user(user)
    return user.name


@pages.post("/clear")
def clear():
    db.session.execute(db.delete(Notice))
    db.session.commit()
    socketio.emit("cleared", {"by": current_user.name}, namespace="/board", to="readers")
    return {"left": 0}
