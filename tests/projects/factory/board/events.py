from flask_login import current_user
from flask_socketio import Namespace, emit, join_room, rooms

from .extensions import db, socketio
from .models import Notice


class Board(Namespace):
    def on_connect(self, auth):
        if not current_user.is_authenticated:
            return False
        join_room("readers")
        emit("welcome", {"name": current_user.name, "rooms": len(rooms())})

    def on_post(self, text):
        notice = Notice(author=current_user._get_current_object(), text=text)
        db.session.add(notice)
        db.session.commit()
        emit("notice", {"id": notice.id, "author": notice.author.name, "text": text}, to="readers")
        return notice.id

    def on_list(self):
        return [[notice.author.name, notice.text] for notice in db.session.scalars(db.select(Notice))]

    def on_fail(self):
        raise LookupError("a handler that fails")


@socketio.on_error("/board")
def failed(error):
    db.session.rollback()
    return {"error": str(error)}


socketio.on_namespace(Board("/board"))
