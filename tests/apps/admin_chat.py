"""The chat example with the Admin UI, whose pages are those of npm's @socket.io/admin-ui as they are."""

from __future__ import annotations

import os
import sys

from flask import send_from_directory
from werkzeug.wrappers import Response

from tests.support.server_process import ROOT

sys.path.insert(0, str(ROOT / "examples" / "chat"))
from app import app, asgi, socketio

PAGES = ROOT / "tests" / "browser" / "node_modules" / "@socket.io" / "admin-ui" / "ui" / "dist"
__all__ = ["asgi"]

socketio.instrument(
    auth={"username": "admin", "password": "changeit"},
    mode=os.environ.get("ADMIN_MODE", "development"),
    server_id="chat",
    server_stats_interval=0.5,
)


@app.get("/admin-ui/<path:name>")
def admin_ui(name: str) -> Response:
    return send_from_directory(PAGES, name)
