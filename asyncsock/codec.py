"""Which codec serves a packet class of python-socketio's, or of the user's."""

from __future__ import annotations

import copy
import sys
from typing import Any

from socketio import packet as socketio_packet

from .encoding import Body
from .engine.packet import Packet, message_packet
from .engine.session import BadPacket
from .packets import ACK, EVENT, MAX_ID, Codec, Incoming, JSONCodec, event_arguments


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


class PacketCodec:
    """The encoding of a packet class such as ``socketio.msgpack_packet.MsgPackPacket``.

    Args:
        packet_class: It has the constructor, ``encode`` and ``add_attachment`` of ``socketio.packet.Packet``.
    """

    def __init__(self, packet_class: Any) -> None:
        self._packet_class = packet_class

    def encode(self, data: Any) -> Body:
        self._packet_class(EVENT, data=data, namespace="/").encode()  # raises here what cannot be encoded
        return Body(data)

    def detach(self, body: Body) -> Body:
        return Body(copy.deepcopy(body.data))

    def assemble(self, kind: int, namespace: str, body: Body | None, id: int | None = None) -> list[Packet]:
        data = body.data if body is not None else None
        encoded = self._packet_class(kind, data=data, namespace=namespace, id=id).encode()
        parts = encoded if isinstance(encoded, list) else [encoded]
        return [message_packet(part) for part in parts]

    def acknowledge(self, namespace: str, id: int, result: Any) -> list[Packet]:
        return self.assemble(ACK, namespace, Body(event_arguments(result)), id)

    def decode(self, message: str | bytes) -> Incoming:
        try:
            packet = self._packet_class(encoded_packet=message)
            kind, id = packet.packet_type, packet.id
            namespace = (packet.namespace or "/").partition("?")[0] or "/"
            incoming = Incoming(kind, namespace, id, packet.data, (1,) * packet.attachment_count)
        except Exception as error:  # whatever a codec raises for bytes that it does not understand
            raise BadPacket(f"a message that cannot be decoded: {error!r}") from None
        numbers = isinstance(kind, int) and (id is None or (isinstance(id, int) and 0 <= id <= MAX_ID))
        if not numbers or not isinstance(namespace, str):
            raise BadPacket("a packet with a bad type, namespace or id")
        return incoming

    def join(self, data: Any, attachments: list[bytes]) -> Any:
        return self._packet_class.reconstruct_binary(data, attachments)
