"""The JSON encoding of packets (Socket.IO v5, "Packet encoding")."""

from __future__ import annotations

import json as stdlib_json
from collections.abc import Callable
from typing import Any

import msgspec
import orjson

from ..engine.errors import BadPacket
from ..engine.packet import Packet, binary_packet, text_packet
from .base import (
    ACK,
    BINARY_EVENT,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    MAX_DEPTH,
    MAX_ID,
    RESERVED_EVENTS,
    SHALLOW,
    Body,
    Incoming,
    Place,
    event_arguments,
    is_plain,
    put_back,
)
from .json_data import OPTIONS, encode_json, encode_json_slowly, encode_json_with, simpler_but_binary

_KINDS: dict[str, int] = {str(kind): kind for kind in range(7)}
_HEADS = [b"4%d" % kind for kind in range(7)]  # a Socket.IO packet is an Engine.IO message, type 4
_ONE_ATTACHMENT = b'[{"_placeholder":true,"num":0}]'
# Characters at each end of a JSON text: both together hold no more levels than are allowed.
_EDGE = MAX_DEPTH // 2
ID_DIGITS = 15  # every number of so many digits is below MAX_ID
_WITHOUT_ARRAY = frozenset([CONNECT, DISCONNECT, CONNECT_ERROR])

decode_json: Callable[[str], Any] = msgspec.json.Decoder().decode
NOT_DECODED = (ValueError, RecursionError, msgspec.MsgspecError)  # what it raises


def decode_usual_event(message: str) -> Incoming | None:
    """Decode what clients send most, or leave it to `JSONCodec.decode`, which takes longer.

    Args:
        message: A text message of the engine.

    Returns:
        An event with one attachment at most and with a name that `check_shape` allows; None for
        everything else.

    Raises:
        BadPacket: The client broke the protocol.
    """
    kind, begin = EVENT, 2
    if message[:2] != "42":
        if message[:4] != "451-":
            return None
        kind, begin = BINARY_EVENT, 4
    if len(message) > SHALLOW and _may_be_deep(message):
        return None
    start = message.find("[")
    namespace, id = "/", None
    if start != begin:
        if start < 0:
            return None
        digits = message[begin:start]
        if digits[0] == "/":
            namespace, comma, digits = digits.partition(",")
            if not comma or "?" in namespace:
                return None
        if digits:
            if len(digits) > ID_DIGITS or not (digits.isdigit() and digits.isascii()):
                return None
            id = int(digits)
    try:
        data = decode_json(message[start:])
        event = data[0]
    except (*NOT_DECODED, IndexError):
        return None
    if type(event) is not str or event in RESERVED_EVENTS:
        return None
    if kind == EVENT:
        return Incoming(kind, namespace, id, data)
    return Incoming(kind, namespace, id, data, find_places(data, 1))


class JSONCodec:
    """The default encoding: JSON, with binary data in attachments.

    Args:
        json: A module with ``dumps`` and ``loads`` like the standard library's. By default orjson
            encodes and msgspec decodes; both leave to the standard library what they would refuse or
            change, such as integers of more than 64 bits.

    Attributes:
        is_plain: Whether it is not the user's module that encodes and decodes.
    """

    def __init__(self, json: Any = None) -> None:
        self.is_plain = json is None
        self._loads: Callable[[str], Any] = decode_json if json is None else json.loads
        self._loads_the_rest = _standard_loads if json is None else None
        self.encode: Callable[[Any], Body] = encode_json if json is None else encode_json_with(json)

    def detach(self, body: Body) -> Body:
        return Body(bytes(memoryview(body.data)), body.attachments)  # orjson's are in blocks of 4 KB or so

    def with_argument(self, body: Body, text: str) -> Body:
        return Body(b'%b,"%b"]' % (body.data.rstrip()[:-1], text.encode()), body.attachments)

    def assemble(self, kind: int, namespace: str, body: Body | None, id: int | None = None) -> list[Packet]:
        attachments = body.attachments if body is not None else ()
        head = b"%b%d-" % (_HEADS[kind + 3], len(attachments)) if attachments else _HEADS[kind]
        if namespace != "/":
            head += namespace.encode() + b","
        data = body.data if body is not None else b""
        first = text_packet(b"%b%d%b" % (head, id, data) if id is not None else head + data)
        return [first, *[binary_packet(part) for part in attachments]] if attachments else [first]

    def acknowledge(self, namespace: str, id: int, result: Any) -> list[Packet]:
        if self.encode is not encode_json:
            return self.assemble(ACK, namespace, self.encode(event_arguments(result)), id)
        if type(result) is bytes:
            return self.assemble(ACK, namespace, Body(_ONE_ATTACHMENT, (result,)), id)
        try:  # `encode` and `assemble` in one, for the common case
            several = result is None or isinstance(result, tuple)
            arguments = event_arguments(result) if several else [result]
            data = orjson.dumps(arguments, simpler_but_binary, OPTIONS)
        except TypeError:
            return self.assemble(ACK, namespace, encode_json_slowly(event_arguments(result)), id)
        if namespace == "/":
            return [text_packet(b"43%d%b" % (id, data))]
        return [text_packet(b"43%b,%d%b" % (namespace.encode(), id, data))]

    def decode(self, message: str | bytes) -> Incoming:
        if isinstance(message, bytes):
            raise BadPacket("a message that is not a Socket.IO packet")
        kind = _KINDS.get(message[:1])
        if kind is None:
            raise BadPacket("a message that is not a Socket.IO packet")
        position = 1
        count = 0
        if kind >= BINARY_EVENT:
            dash = message.find("-")
            count = _number(message[1:dash], "attachment count") if dash > 1 else 0
            position = dash + 1
            if not count:
                raise BadPacket("a binary packet without attachments")
        namespace = "/"
        if message.startswith("/", position):
            comma = message.find(",", position)
            end = comma if comma >= 0 else len(message)
            namespace = message[position:end].partition("?")[0]
            position = end + 1
        if kind in _WITHOUT_ARRAY:
            rest = message[position:]
            return Incoming(kind, namespace, None, self._load(rest) if rest else None)
        start = message.find("[", position)
        if start < 0:
            raise BadPacket("a packet without an array of data")
        id = _number(message[position:start], "id") if start > position else None
        data = self._load(message[start:])
        return Incoming(kind, namespace, id, data, find_places(data, count) if count else ())

    def prepend(self, event: str, arguments: Body) -> Body:
        """The data of an event, from its arguments encoded as an array."""
        start = b"[" + self.encode(event).data
        rest = arguments.data[1:] if arguments.data == b"[]" else b"," + arguments.data[1:]
        return Body(start + rest, arguments.attachments)

    def event_in(self, body: Body) -> str:
        start = body.data.find(b'"') + 1
        name: bytes = body.data[start : body.data.find(b'"', start)]
        return name.decode(errors="replace") if b"\\" not in name else str(self.load(body)[0])

    def load(self, body: Body) -> Any:
        """Decode what `encode` has encoded.

        Raises:
            BadPacket: It is not JSON, or its attachments do not match.
        """
        data = [self._load(body.data.decode())]
        if body.attachments:
            put_back(body.attachments, find_places(data, len(body.attachments)))
        return data[0]

    def _load(self, text: str) -> Any:
        try:
            data = self._loads(text)
        except NOT_DECODED:
            data = self._load_the_rest(text)
        if len(text) > SHALLOW and _may_be_deep(text) and not is_plain(data):
            raise BadPacket("data nested too deeply")
        return data

    def _load_the_rest(self, text: str) -> Any:
        if self._loads_the_rest is not None:
            try:
                return self._loads_the_rest(text)
            except (ValueError, RecursionError):
                pass
        raise BadPacket("data that is not JSON")


def _may_be_deep(text: str) -> bool:
    """Whether a JSON text of more than `SHALLOW` characters has enough brackets to be nested too deeply."""
    # Long texts are mostly words between a few brackets. To see that takes far less time than to count.
    if text.find("[", _EDGE, -_EDGE) < 0 and text.find("{", _EDGE, -_EDGE) < 0:
        return False
    return text.count("[") + text.count("{") > MAX_DEPTH


def _number(text: str, what: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 16 and (number := int(text)) <= MAX_ID:
        return number
    raise BadPacket(f"a bad {what}")


def find_places(data: Any, count: int) -> list[Place]:
    """Where in a list or a dictionary the attachments belong.

    Each has exactly one place: more would multiply what a client has sent when a server sends it on.

    Raises:
        BadPacket: There is an attachment without a place or with several, or a place without an attachment.
    """
    found: dict[int, Place] = {}
    _find_places(data, found)
    try:
        if len(found) == count:
            return [found[number] for number in range(count)]
    except KeyError:
        pass
    raise BadPacket(f"placeholders that do not match {count} attachments")


def _find_places(data: Any, found: dict[int, Place]) -> None:
    for key, value in data.items() if isinstance(data, dict) else enumerate(data):
        if isinstance(value, dict):
            if value.get("_placeholder") is not True:
                _find_places(value, found)
                continue
            number = value.get("num")
            if type(number) is not int or number in found:
                raise BadPacket("a placeholder without a number of its own")
            found[number] = data, key
        elif isinstance(value, list):
            _find_places(value, found)


def _standard_loads(text: str) -> Any:
    """For lone surrogates, which only the standard library accepts."""
    return stdlib_json.loads(text, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
