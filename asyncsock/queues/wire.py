"""The messages between processes: python-socketio's JSON envelopes (``socketio.pubsub_manager``, from 5.14).

Six keys are ours, and others ignore them: ``sender`` is who published a message, ``seq`` numbers the
messages of a sender, ``inbox`` is where the sender receives what is for it alone, ``volatile`` marks an event
that may be dropped, ``to`` names the only process that is to take a message, and ``trace`` is what a
`Carrier` has sent along. To an inbox go acknowledgements, which have the same form as those to all, and data.
One method is ours, and others ignore it: ``cluster``, for what processes tell each other.
"""

from __future__ import annotations

import json as stdlib_json
import re
from typing import Annotated, Any

import msgspec

from ..codec.base import Body
from ..codec.json_codec import JSONCodec, find_places
from ..codec.json_data import encode_json
from ..codec.not_encodable import NotEncodable

MARK_WITHIN = 80
BINARY_ARGS = "attachments"  # in a callback message, where python-socketio has no form for binary data

INBOX_NAME = re.compile(r"^[A-Za-z0-9_-]{1,64}\Z")

Room = str | int | float | bool | None
InboxName = Annotated[str, msgspec.Meta(pattern=INBOX_NAME.pattern)]


class Message(msgspec.Struct):
    """A message from another process. Which fields it has depends on its method."""

    method: str
    host_id: str | None = None
    sender: str | None = None
    seq: int = 0
    namespace: str | None = None
    # emit
    event: str | None = None
    data: msgspec.Raw = msgspec.Raw(b"[]")
    binary: bool | None = False
    room: Room | list[Room] = None
    skip_sid: Room | list[Room] = None
    callback: tuple[Room | list[Room], str | None, int] | None = None  # what comes back with the answer
    volatile: bool | None = False
    # enter_room, leave_room, disconnect, callback; in the last it is the room of the event
    sid: Room | list[Room] = None
    id: int | None = None
    args: msgspec.Raw = msgspec.Raw(b"[]")
    attachments: list[bytes] | None = None
    # data and cluster, and an emit with a callback; in the second it is the name of the sender
    inbox: InboxName | None = None
    to: InboxName | None = None
    is_first: bool = True
    is_last: bool = True
    # emit and callback
    trace: Any = None


_encode = msgspec.json.Encoder().encode  # writes bytes as base64
_decode = msgspec.json.Decoder(Message).decode
_codec = JSONCodec()


def decode(message: bytes) -> Message:
    """Decode a message.

    Raises:
        ValueError: It is something else, such as a pickle of an older python-socketio.
    """
    if not message.isascii():
        message.decode()  # raises for bad UTF-8, which msgspec overlooks in `Raw` fields
    try:
        decoded: Message = _decode(message)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        decoded = _decode_slowly(message)
    return decoded


def _decode_slowly(message: bytes) -> Message:
    """For what only the standard library reads: lone surrogates, NaN and infinity."""
    try:
        fields = stdlib_json.loads(message)
        if not isinstance(fields, dict):
            raise ValueError("not an object")
        for name in {"data", "args"} & fields.keys():
            fields[name] = msgspec.Raw(encode_json(fields[name]).data)
        return msgspec.convert(fields, Message)
    except (msgspec.MsgspecError, RecursionError, NotEncodable) as error:
        raise ValueError(str(error)) from None


def emit_fields(
    event: str,
    arguments: Body,
    namespace: str,
    room: Any,
    skip_sid: Any,
    callback: list[Any] | None,
    inbox: str | None = None,
    volatile: bool = False,
) -> dict[str, Any]:
    """The fields of a message that asks for an event to be emitted.

    Args:
        arguments: The arguments of the event, as a JSON array.
        callback: The room, the namespace and the id that come back with the acknowledgement.
        inbox: Where it may come back to, instead of to all processes.
        volatile: Whether it is for those clients only that can be sent it at once.

    Raises:
        TypeError: The room is of a type that cannot be written.
    """
    data = arguments.data
    if arguments.attachments:
        data = b"[" + data + b"," + _encode(arguments.attachments)[1:]
    fields = {
        "method": "emit",
        "event": _name(event),
        "data": msgspec.Raw(data),
        "binary": bool(arguments.attachments),
        "namespace": _name(namespace),
        "room": _name(room),
        "skip_sid": _name(skip_sid),
        "callback": _name(callback),
    }
    if callback is not None and inbox is not None:
        fields["inbox"] = inbox
    if volatile:
        fields["volatile"] = True
    return fields


def client_fields(method: str, namespace: str, sid: Any = None, room: Any = None) -> dict[str, Any]:
    """The fields of a message about a client, a room, or both.

    Raises:
        TypeError: The room is of a type that cannot be written.
    """
    return {"method": method, "sid": _name(sid), "room": _name(room), "namespace": _name(namespace)}


def callback_fields(
    host_id: str, sid: Any, namespace: str | None, id: int, arguments: Body
) -> dict[str, Any]:
    """The fields of a message that brings an acknowledgement to the process that asked for it."""
    fields = {
        "method": "callback",
        "host_id": _name(host_id),
        "sid": _name(sid),
        "namespace": _name(namespace),
        "id": id,
        "args": msgspec.Raw(arguments.data),
    }
    if arguments.attachments:
        fields[BINARY_ARGS] = arguments.attachments
    return fields


def part_fields(
    method: str, sender: str | None, data: bytes, *, is_first: bool, is_last: bool, to: str | None = None
) -> dict[str, Any]:
    """The fields of a message that brings a part of data.

    Args:
        method: ``data`` or ``cluster``.
        sender: The name of the sender, which is that of its inbox.
        data: The part.
        to: The only process that is to take it.
    """
    fields = {
        "method": method,
        "inbox": sender,
        BINARY_ARGS: [data],
        "is_first": is_first,
        "is_last": is_last,
    }
    if to is not None:
        fields["to"] = to
    return fields


def mark(sender: str) -> bytes:
    """What the last `MARK_WITHIN` bytes of every message from a sender contain."""
    return b'"sender":"%s","seq":' % sender.encode()


def encode(fields: dict[str, Any], sender: str, seq: int) -> bytes:
    """A message to publish, from fields that a function of this module has made."""
    return _encode({"host_id": sender, **fields, "sender": sender, "seq": seq})


def event_arguments(message: Message) -> Body:
    """The arguments of an event to emit, as a JSON array with its attachments.

    Raises:
        ValueError: They are not an array, or do not match their attachments.
    """
    arguments = bytes(message.data)
    attachments: list[bytes] = []
    if message.binary:
        parts = _codec.load(Body(arguments))
        if not isinstance(parts, list) or not parts:
            raise ValueError("the data of an event with attachments are not an array of both")
        try:
            attachments = msgspec.convert(parts[1:], list[bytes])
        except msgspec.MsgspecError as error:
            raise ValueError(str(error)) from None
        find_places([parts[0]], len(attachments))
        arguments = encode_json(parts[0]).data
    if not arguments.startswith(b"["):
        raise ValueError("the data of an event is not an array")
    if arguments[1:2].isspace():
        arguments = b"[" + arguments[1:].lstrip()
    if message.sender is None and arguments == b"[null]":  # how python-socketio sends no data
        arguments = b"[]"
    return Body(arguments, attachments)


def callback_arguments(message: Message) -> Body:
    """What a client acknowledged with, as a JSON array with its attachments.

    Raises:
        ValueError: It is not an array.
    """
    arguments = bytes(message.args)
    if not arguments.startswith(b"["):
        raise ValueError("an acknowledgement is not an array")
    return Body(arguments, message.attachments or ())


def _name(value: Any) -> Any:
    """A name, or several, in a form that `_encode` writes as python-socketio does, with the standard `json`.

    Otherwise `_encode` would write infinity, which a client may give as a room, as null, which is everybody.
    """
    if value is None or (type(value) is str and value.isascii()):
        return value
    if isinstance(value, (set, frozenset)):
        value = list(value)
    try:
        return msgspec.Raw(stdlib_json.dumps(value).encode())
    except TypeError:
        raise TypeError(
            f"{value!r:.100} cannot be sent through a message queue: rooms are text, numbers or lists of them"
        ) from None
