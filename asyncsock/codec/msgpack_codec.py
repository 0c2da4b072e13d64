"""Packets in msgpack, as npm's ``socket.io-msgpack-parser`` reads and writes them.

It is built on notepack.io 2, whose extension type 0 is three things: ``undefined`` (one byte, in the format
fixext 1), a ``Date`` (milliseconds since 1970 as a 64-bit integer, in fixext 8), and otherwise the bytes of
an ``ArrayBuffer`` or a typed array. It wants ``data`` and ``id`` absent where they do not belong.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import msgpack
import msgspec
from msgspec.msgpack import Ext

from ..engine.errors import BadPacket
from ..engine.packet import Packet, message_packet
from .base import ACK, CONNECT_ERROR, MAX_ID, Body, Incoming, event_arguments, is_plain
from .not_encodable import NotEncodable
from .values import AS_TEXT, Plain, is_data_class

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
MILLISECOND = timedelta(milliseconds=1)
MOST_OF_NAME = 256  # bytes in which the name of an event usually ends
TYPE_0, TIMESTAMP = 0, -1
UNDEFINED, DATE = b"\xd4\x00", b"\xd7\x00"  # what precedes the data in fixext 1 and fixext 8
# The same in ext 8, 16 and 32, by the length of the data.
BUFFERS = {size: (b"\xc7%c\0" % size, b"\xc8\0%c\0" % size, b"\xc9\0\0\0%c\0" % size) for size in (1, 8)}

pack = msgspec.msgpack.Encoder().encode

Hook = Callable[[int, bytes], Any]


class MsgpackCodec:
    """The codec of ``serializer="msgpack"``.

    Args:
        default: Turns a value that cannot be sent into one that can. None: such values are refused.
        ext_hook: Turns the type and the data of an unknown extension into a value. None: unknown extensions
            are refused.
    """

    def __init__(self, default: Callable[[Any], Any] | None = None, ext_hook: Hook | None = None) -> None:
        self._plain = _PlainMsgpack(default)
        self._ext_hook = ext_hook or _refuse_extension

    def encode(self, data: Any) -> Body:
        plain = self._plain.whole(data)
        try:
            return Body(pack(plain))
        except (ValueError, RecursionError):
            return Body(_pack_the_rest(plain))

    def detach(self, body: Body) -> Body:
        return body

    def with_argument(self, body: Body, text: str) -> Body:
        array = msgpack.Unpacker(max_buffer_size=len(body.data))
        array.feed(body.data)
        size = array.read_array_header()
        items = body.data[array.tell() :]
        return Body(msgpack.Packer().pack_array_header(size + 1) + items + pack(text))

    def assemble(self, kind: int, namespace: str, body: Body | None, id: int | None = None) -> list[Packet]:
        fields = 2 + (body is not None) + (id is not None)
        parts = [b"%c\xa4type%c\xa3nsp" % (0x80 + fields, kind), pack(namespace)]
        if body is not None:
            parts += b"\xa4data", body.data
        if id is not None:
            parts += b"\xa2id", pack(id)
        return [message_packet(b"".join(parts))]

    def acknowledge(self, namespace: str, id: int, result: Any) -> list[Packet]:
        return self.assemble(ACK, namespace, self.encode(event_arguments(result)), id)

    def decode(self, message: str | bytes) -> Incoming:
        if isinstance(message, str):
            raise BadPacket("a text message in place of msgpack")
        fields = self._load(message)
        if not isinstance(fields, dict) or not is_plain(fields, text_keys=True):
            raise BadPacket(
                "msgpack that is not a packet, is nested too deeply or has keys that are not text"
            )
        kind, id, namespace = fields.get("type"), fields.get("id"), fields.get("nsp", "/")
        if type(kind) is not int or not 0 <= kind <= CONNECT_ERROR or type(namespace) is not str:
            raise BadPacket("a packet with a bad type or namespace")
        if id is not None and (type(id) is not int or not 0 <= id <= MAX_ID):
            raise BadPacket("a bad id")
        return Incoming(kind, namespace.partition("?")[0] or "/", id, fields.get("data"))

    def event_in(self, body: Body) -> str:
        unpacker = msgpack.Unpacker(unicode_errors="replace")
        unpacker.feed(body.data[:MOST_OF_NAME])
        try:
            unpacker.read_array_header()
            return str(unpacker.unpack())
        except msgpack.OutOfData:  # it is longer
            return str(self.load(body)[0])

    def load(self, body: Body) -> Any:
        return self._load(body.data)

    def _load(self, message: bytes) -> Any:
        try:
            return _unpack(message)  # usually: it takes less than the steps below
        except Exception:  # what it does not read alike, or at all
            return self._load_slowly(message)

    def _load_slowly(self, message: bytes) -> Any:
        try:
            whole = msgpack.Unpacker(max_buffer_size=len(message))
            whole.feed(message)
            whole.skip()  # check first that arrays are as long as they say, as `unpackb` allocates that much
            return msgpack.unpackb(
                message,
                ext_hook=_Extensions(message, self._ext_hook),
                timestamp=3,  # as a datetime
                unicode_errors="surrogatepass",  # notepack.io writes half a surrogate pair as it is
            )
        except BadPacket:
            raise
        except Exception as error:  # msgpack's own, ValueError, OverflowError, or the hook's
            raise BadPacket(f"a message that is not msgpack: {type(error).__name__} {error!s:.100}") from None


class _PlainMsgpack(Plain):
    def __init__(self, default: Callable[[Any], Any] | None) -> None:
        super().__init__("msgpack")
        self._default = default

    def integer(self, value: int) -> Any:
        if -(2**63) <= value < 2**64:
            return value
        raise NotEncodable("is an integer of more than 64 bits, which msgpack does not have") from None

    def other(self, value: Any) -> Any:
        if isinstance(value, msgpack.ExtType):
            return Ext(value.code, value.data)
        if isinstance(value, msgpack.Timestamp):
            return Ext(TIMESTAMP, value.to_bytes())
        if isinstance(value, datetime) and value.tzinfo is not None:
            milliseconds = (value - EPOCH) // MILLISECOND
            return Ext(TYPE_0, milliseconds.to_bytes(8, "big", signed=True))
        if self._default is None:
            return super().other(value)
        kind = type(value)
        if issubclass(kind, AS_TEXT) or is_data_class(kind):  # the application may want another form
            try:
                return self.plain(self._default(value))
            except TypeError:
                return super().other(value)
        try:
            return super().other(value)
        except NotEncodable:
            return self.plain(self._default(value))


class _Extensions:
    """Called with the extensions of one message, in their order."""

    def __init__(self, message: bytes, hook: Hook) -> None:
        self._message = message
        self._hook = hook
        self._position = 0

    def __call__(self, code: int, data: bytes) -> Any:
        if code != TYPE_0:
            return self._hook(code, data)
        if len(data) == 1 and self._is_in(UNDEFINED, data):
            return None
        if len(data) == 8 and self._is_in(DATE, data):
            return EPOCH + int.from_bytes(data, "big", signed=True) * MILLISECOND
        return data

    def _is_in(self, head: bytes, data: bytes) -> bool:
        """Whether an extension is in the format with this head, which msgpack does not tell the hook.

        Extensions come in order, so one pass over the message suffices. Other data that looks like an
        extension can only mislead about the next extension of the same message.
        """
        buffers = BUFFERS[len(data)]
        while (at := self._message.find(b"\0" + data, self._position)) >= 0:
            self._position = at + 1
            if self._message.endswith(head, 0, at + 1):
                return True
            if self._message.endswith(buffers, 0, at + 1):
                return False
        return False


def _pack_the_rest(plain: Any) -> bytes:
    """Pack what msgspec refuses: half a surrogate pair.

    Raises:
        NotEncodable: The data are nested too deeply.
    """
    try:
        packed: bytes = msgpack.packb(
            plain,
            default=lambda ext: msgpack.ExtType(ext.code, ext.data),
            unicode_errors="asyncsock.replacement",
        )
        return packed
    except (ValueError, OverflowError) as error:
        raise NotEncodable(f"cannot be encoded: {error}") from None


def _leave(code: int, data: memoryview) -> Any:
    """Leave a message with an extension to msgpack: it tells in which format that is, see `_Extensions`."""
    raise NotImplementedError


_unpack = msgspec.msgpack.Decoder(ext_hook=_leave).decode


def _replace(error: UnicodeError) -> tuple[bytes, int]:
    assert isinstance(error, UnicodeEncodeError)
    return "\ufffd".encode() * (error.end - error.start), error.end


codecs.register_error("asyncsock.replacement", _replace)  # for half a surrogate pair, which is not UTF-8


def _refuse_extension(code: int, data: bytes) -> Any:
    raise BadPacket(f"an extension of type {code}")
