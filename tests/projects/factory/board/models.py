from flask_login import UserMixin

from .extensions import db, login_manager


class User(db.Model, UserMixin):
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(40), unique=True)


class Notice(db.Model):
    id = db.Column(db.Integer, primary_key=True)
    author_id = db.Column(db.ForeignKey("user.id"))
    author = db.relationship(User)
    text = db.Column(db.String(200))


@login_manager.user_loader
def load_user(number):
    return db.session.get(User, int(number))
