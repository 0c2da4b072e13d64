"""The codec of a packet class: the user's, or one of python-socketio's that has no other codec here."""

from __future__ import annotations

import copy
from typing import Any

from ..engine.errors import BadPacket
from ..engine.packet import Packet, message_packet
from .base import ACK, EVENT, MAX_ID, Body, Incoming, event_arguments


class PacketCodec:
    """The encoding of a packet class such as ``socketio.msgpack_packet.MsgPackPacket``.

    Args:
        packet_class: It has the constructor, ``encode`` and ``add_attachment`` of ``socketio.packet.Packet``.
    """

    def __init__(self, packet_class: Any) -> None:
        self._packet_class = packet_class

    def encode(self, data: Any) -> Body:
        self._packet_class(EVENT, data=data, namespace="/").encode()  # raises now if it cannot be encoded
        return Body(data)

    def detach(self, body: Body) -> Body:
        return Body(copy.deepcopy(body.data))

    def with_argument(self, body: Body, text: str) -> Body:
        return Body([*body.data, text])

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
        except Exception as error:  # a packet class may raise anything for bad bytes
            raise BadPacket(f"a message that cannot be decoded: {error!r:.100}") from None
        numbers = isinstance(kind, int) and (id is None or (isinstance(id, int) and 0 <= id <= MAX_ID))
        if not numbers or not isinstance(namespace, str):
            raise BadPacket("a packet with a bad type, namespace or id")
        return incoming

    def event_in(self, body: Body) -> str:
        return str(body.data[0])

    def load(self, body: Body) -> Any:
        return body.data

    def join(self, data: Any, attachments: list[bytes]) -> Any:
        return self._packet_class.reconstruct_binary(data, attachments)
