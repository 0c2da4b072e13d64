"""A board of notices: an application factory with its extensions and its events in modules of their own."""

from flask import Flask

from .extensions import db, login_manager, socketio


def create_app(config=None):
    app = Flask(__name__)
    app.config.from_mapping(
        SECRET_KEY="a secret of this test", SQLALCHEMY_DATABASE_URI="sqlite:///board.sqlite"
    )
    app.config.from_mapping(config or {})
    db.init_app(app)
    login_manager.init_app(app)
    socketio.init_app(app)

    from . import events, views  # noqa: F401 (the events register themselves)

    app.register_blueprint(views.pages)
    with app.app_context():
        db.create_all()
    return app
