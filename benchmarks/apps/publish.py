"""Publishes one message as python-socketio's emitters do: python publish.py redis://... channel"""

from __future__ import annotations

import sys

import socketio

socketio.RedisManager(sys.argv[1], channel=sys.argv[2], write_only=True).emit("msg", {"data": "x" * 100})
