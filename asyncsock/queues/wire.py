"""The messages between processes: python-socketio's JSON envelopes (``socketio.pubsub_manager``, from 5.14).

Two keys are ours, and others ignore them: ``sender`` and ``seq``, who published a message and as which of
its messages.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from ..encoding import Body

MARK_WITHIN = 80
BINARY_ARGS = "attachments"  # of a callback message, which has no form of theirs for binary data

Room = str | int | float | None


class Message(msgspec.Struct):
    """A message from another process. Which fields it has depends on its method."""

    method: str
    host_id: str | None = None
    sender: str | None = None
    seq: int = 0
    namespace: str | None = None
    # emit
    event: str = ""
    data: msgspec.Raw = msgspec.Raw(b"[]")
    binary: bool | None = False
    room: Room | list[Room] = None
    skip_sid: str | list[str] | None = None
    callback: list[Any] | None = None
    # enter_room, leave_room, disconnect, callback
    sid: str | None = None
    id: int | None = None
    args: msgspec.Raw = msgspec.Raw(b"[]")
    attachments: list[bytes] | None = None


_encode = msgspec.json.Encoder().encode  # writes bytes as base64
_decode = msgspec.json.Decoder(Message).decode
_decode_raw_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_binary = msgspec.json.Decoder(bytes).decode


def decode(message: bytes) -> Message:
    """Decode a message.

    Raises:
        ValueError: It is not one; older python-socketio's pickles, for example, are not.
    """
    decoded: Message = _parse(_decode, message)
    return decoded


def emit_fields(
    event: str, arguments: Body, namespace: str, room: Any, skip_sid: Any, callback: list[Any] | None
) -> dict[str, Any]:
    """The fields of a message that asks for an event to be emitted.

    Args:
        arguments: The arguments of the event, as a JSON array.
        callback: The room, the namespace and the id that come back with the acknowledgement.
    """
    data = arguments.data
    if arguments.attachments:
        data = b"[" + data + b"," + _encode(arguments.attachments)[1:]
    return {
        "method": "emit",
        "event": event,
        "data": msgspec.Raw(data),
        "binary": bool(arguments.attachments),
        "namespace": namespace,
        "room": room,
        "skip_sid": skip_sid,
        "callback": callback,
    }


def callback_fields(host_id: str, sid: str, namespace: str, id: int, arguments: Body) -> dict[str, Any]:
    """The fields of a message that brings an acknowledgement to the process that asked for it."""
    fields = {
        "method": "callback",
        "host_id": host_id,
        "sid": sid,
        "namespace": namespace,
        "id": id,
        "args": msgspec.Raw(arguments.data),
    }
    if arguments.attachments:
        fields[BINARY_ARGS] = arguments.attachments
    return fields


def mark(sender: str) -> bytes:
    """What the last `MARK_WITHIN` bytes of every message from a sender contain."""
    return b'"sender":"%s","seq":' % sender.encode()


def encode(fields: dict[str, Any], sender: str, seq: int) -> bytes:
    """A message, ready to publish.

    Raises:
        TypeError: A room or a sid cannot be encoded.
    """
    return _encode({"host_id": sender, **fields, "sender": sender, "seq": seq})


def event_arguments(message: Message) -> Body:
    """The arguments of an event to emit, as a JSON array with its attachments.

    Raises:
        ValueError: They are not an array, or not what they say.
    """
    arguments = bytes(message.data)
    attachments: list[bytes] = []
    if message.binary:
        raw, *encoded = _parse(_decode_raw_list, arguments)
        arguments = bytes(raw)
        attachments = [_parse(_decode_binary, part) for part in encoded]
    if not arguments.startswith(b"["):
        raise ValueError("the data of an event is not an array")
    # python-socketio's "no data" is an argument that is null
    return Body(b"[]" if arguments == b"[null]" else arguments, attachments)


def callback_arguments(message: Message) -> Body:
    """What a client acknowledged with, as a JSON array with its attachments."""
    return Body(bytes(message.args), message.attachments or ())


def _parse(decoder: Callable[[Any], Any], data: Any) -> Any:
    try:
        return decoder(data)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise ValueError(str(error)) from None
