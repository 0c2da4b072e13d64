"""Codecs of Socket.IO packets, and which one serves a packet class of python-socketio's or of the user's."""

from __future__ import annotations

import sys
from typing import Any

from socketio import packet as socketio_packet

from .base import Codec
from .json_codec import JSONCodec
from .packet_class import PacketCodec


def make_codec(packet_class: Any, json: Any = None) -> Codec:
    """The codec for a packet class, and for the user's JSON module where the class uses it."""
    if packet_class is socketio_packet.Packet:
        return JSONCodec(json)
    theirs = sys.modules.get("socketio.msgpack_packet")  # it can be imported only where msgpack is installed
    if theirs is not None and _has_methods_of(packet_class, theirs.MsgPackPacket):
        from .msgpack_codec import MsgpackCodec

        own_hook = getattr(packet_class, "ext_hook", None)
        is_set = own_hook is not getattr(theirs.MsgPackPacket, "ext_hook", None)
        return MsgpackCodec(getattr(packet_class, "dumps_default", None), own_hook if is_set else None)
    return PacketCodec(packet_class)


def _has_methods_of(packet_class: Any, base: Any) -> bool:
    return all(
        getattr(packet_class, name) is getattr(base, name) for name in ("__init__", "encode", "decode")
    )
