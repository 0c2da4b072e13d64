"""Packets in msgpack; tests/test_js_clients.py has npm's parser at the other end."""

from __future__ import annotations

import struct
import tracemalloc
from datetime import date, datetime, time, timedelta, timezone
from typing import Any

import msgpack
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from socketio.msgpack_packet import MsgPackPacket

from asyncsock.codec import make_codec
from asyncsock.codec.base import ACK, CONNECT, DISCONNECT, EVENT, check_shape
from asyncsock.codec.json_codec import JSONCodec
from asyncsock.codec.msgpack_codec import MsgpackCodec
from asyncsock.codec.not_encodable import NotEncodable
from asyncsock.codec.packet_class import PacketCodec
from asyncsock.engine.errors import BadPacket

codec = MsgpackCodec()
json_codec = JSONCodec()

scalars = st.one_of(
    [
        st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1),
        st.floats(allow_nan=False, allow_infinity=False) | st.text() | st.binary(),
        st.uuids() | st.sampled_from([EVENT, {1: 2, None: (True, 1.5)}]),
    ]
)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner) | st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
namespaces = st.just("/") | st.from_regex(r"/[a-z0-9_é-]{1,10}", fullmatch=True)
ids = st.none() | st.integers(0, 2**53 - 1)


def packet(data: Any, **fields: Any) -> bytes:
    """An event with data, as a client might write it."""
    packed: bytes = msgpack.packb({"type": EVENT, "nsp": "/", "data": ["event", data], **fields})
    return packed


def sent(data: Any) -> Any:
    """The data of an event as they are read again."""
    (encoded,) = codec.assemble(EVENT, "/", codec.encode(["event", data]))
    return codec.decode(encoded.data).data[1]


@given(trees)
def test_values_are_sent_as_in_json(data: Any) -> None:
    body = json_codec.encode([data])
    if not body.attachments or "_placeholder" not in repr(data):
        assert sent(data) == json_codec.load(body)[0]


@given(st.sampled_from([EVENT, ACK]), namespaces, ids, st.lists(trees, min_size=1))
def test_python_socketio_decodes_what_is_encoded_here(
    kind: int, namespace: str, id: int | None, data: list[Any]
) -> None:
    (encoded,) = codec.assemble(kind, namespace, codec.encode(["event", *data]), id)
    theirs = MsgPackPacket(encoded_packet=encoded.data)
    assert (theirs.packet_type, theirs.namespace, theirs.id) == (kind, namespace, id)
    assert theirs.data == ["event", *[sent(value) for value in data]]


@given(namespaces, ids, st.recursive(st.none() | st.binary() | st.text() | st.integers(-9, 9), st.lists))
def test_what_python_socketio_encodes_is_decoded_here(namespace: str, id: int | None, data: Any) -> None:
    incoming = codec.decode(MsgPackPacket(EVENT, ["event", data], namespace, id).encode())
    assert (incoming.kind, incoming.namespace, incoming.id) == (EVENT, namespace, id)
    assert incoming.data == ["event", data]


def test_a_packet_without_data_or_id_has_no_such_fields() -> None:
    (encoded,) = codec.assemble(DISCONNECT, "/chat", None)
    assert msgpack.unpackb(encoded.data) == {"type": DISCONNECT, "nsp": "/chat"}


@given(st.datetimes(timezones=st.just(timezone.utc) | st.timezones()))
def test_a_datetime_arrives_as_the_same_millisecond(value: datetime) -> None:
    received = sent(value)
    assert received.tzinfo is timezone.utc
    assert timedelta(0) <= value - received < timedelta(milliseconds=1)


def test_a_timestamp_of_msgpack_arrives_as_a_datetime() -> None:
    value = datetime(2026, 1, 2, 3, 4, 5, 678900, timezone.utc)
    incoming = codec.decode(packet(msgpack.Timestamp.from_datetime(value)))
    assert incoming.data == ["event", value]


def test_undefined_is_none_also_as_the_payload_of_connect() -> None:
    undefined = msgpack.ExtType(0, b"\0")
    assert codec.decode(packet([undefined, {"a": undefined}])).data == ["event", [None, {"a": None}]]
    connect = codec.decode(msgpack.packb({"type": CONNECT, "nsp": "/", "data": undefined}))
    check_shape(connect)
    assert connect.data is None


@pytest.mark.parametrize("size", [0, 1, 8, 300])
def test_a_buffer_is_bytes_in_every_format(size: int) -> None:
    date, data = b"\xd7\0" + bytes(8), bytes(size)
    formats = [b"\xc8" + struct.pack(">H", size) + b"\0", b"\xc9" + struct.pack(">I", size) + b"\0"]
    if size < 256:
        formats.append(b"\xc7%c\0" % size)
    for head in formats:
        items = [head + data, date, head + data, b"\xd4\0\0"]
        received = codec.decode(packet(0)[:-1] + b"\x94" + b"".join(items)).data[1]
        assert received == [data, datetime(1970, 1, 1, tzinfo=timezone.utc), data, None]


def test_half_an_emoji_arrives_and_is_sent_as_the_replacement_character() -> None:
    half = msgpack.packb("a\ud83d", unicode_errors="surrogatepass")
    assert codec.decode(packet(0)[:-1] + half).data == ["event", "a\ud83d"]
    assert sent(["a\ud83d\ud83db"]) == ["a\ufffd\ufffdb"]
    moment = datetime(2026, 1, 1, tzinfo=timezone.utc)
    assert sent(["a\ud83d", moment, msgpack.ExtType(0, b"\0")]) == ["a\ufffd", moment, None]


def read(message: bytes, quickly: bool) -> str | None:
    """What a message is read as; None if it is refused."""
    own = MsgpackCodec()
    if not quickly:
        own._load = own._load_slowly  # type: ignore[method-assign]
    try:
        return repr(own.decode(message))
    except BadPacket:
        return None


EXTENSIONS = [msgpack.ExtType(0, b"\0"), msgpack.ExtType(0, bytes(8)), msgpack.Timestamp(5, 1)]
packed = (
    trees
    | st.sampled_from(EXTENSIONS)
    | st.dictionaries(st.none() | st.integers() | st.binary(), st.integers(0, 9))
).map(lambda value: msgpack.packb(value, default=str))


@given(st.binary() | packed, packed)
@example(b"\x91" * 150, b"\x90")
@example(b"\x91" * 250, b"\x90")
@example(b"\x82\xa1a\x01\xa1a\x02", b"\xc0")
@example(b"\xa3\xed\xa0\x80", b"\xc0")
def test_reading_quickly_changes_nothing(one: bytes, other: bytes) -> None:
    pair = packet(0)[:-1] + b"\x92" + one + other
    for message in (one, other, pair, pair[:-1], pair + b"\0"):
        assert read(message, quickly=True) == read(message, quickly=False)


@given(st.binary() | st.binary().map(lambda data: packet(0)[:-1] + data))
def test_random_messages_are_decoded_or_refused(message: bytes) -> None:
    try:
        check_shape(codec.decode(message))
    except BadPacket:
        pass


@pytest.mark.parametrize(
    "message",
    [
        "text", b"", b"\xc1", b"\x01", b"\x90", packet(1) + b"\0", packet(1, type=5), packet(1, type=True),
        packet(1, type="2"), packet(1, type=-1), packet(1, nsp=None), packet(1, nsp=b"/"), packet(1, id=-1),
        packet(1, id=2**53), packet(1, id=1.0), packet(1, id=True), packet({1: 2}), packet({b"a": 1}),
        packet({None: 1}), packet([{"a": {1: 2}}]), packet(msgpack.ExtType(1, b"x")),
        packet(msgpack.ExtType(0, b"\x7f" + bytes(7))), packet(msgpack.Timestamp(2**60)),
        packet(0)[:-1] + b"\x91" * 300 + b"\x90", packet(0)[:-1] + b"\x91" * 100_000,
        packet(0)[:-1] + b"\x91" * 250 + b"\xa3\xed\xa0\xbd",
        msgpack.packb({"type": 2, "nsp": "/", "data": {}}),
    ],
)  # fmt: skip
def test_a_malformed_packet_is_refused(message: str | bytes) -> None:
    with pytest.raises(BadPacket):
        check_shape(codec.decode(message))


@pytest.mark.parametrize("depth", [10, 150, 900])
def test_no_memory_is_set_aside_for_arrays_that_are_not_there(depth: int) -> None:
    size = 1_000_000
    claims = b"".join(b"\xdd" + struct.pack(">I", size - 5 * number - 10) for number in range(depth))
    tracemalloc.start()
    try:
        with pytest.raises(BadPacket):
            codec.decode(claims + b"\xc0" * (size - len(claims)))
        assert tracemalloc.get_traced_memory()[1] < 10 * size
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (2**64, "is an integer of more than 64 bits"),
        ({1}, "is of type set, which is not msgpack serializable"),
        ({(1,): 2}, "is under a key of type tuple"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_its_path(value: Any, why: str) -> None:
    with pytest.raises(NotEncodable, match=rf'data\[1\]\["a"\].* {why}'):
        codec.encode(["event", {"a": value}])


def test_data_nested_too_deeply_for_msgpack_are_refused() -> None:
    data: list[Any] = []
    for _ in range(600):
        data = [data]
    with pytest.raises(NotEncodable):
        codec.encode(data)


def test_the_hooks_of_a_configured_packet_class_are_used() -> None:
    configure = getattr(MsgPackPacket, "configure", None)
    if configure is None:
        pytest.skip("python-socketio has it since 5.15")
    configured = configure(
        dumps_default=lambda value: msgpack.ExtType(7, str(value).encode()),
        ext_hook=lambda code, data: (code, data),
    )
    own = make_codec(configured)
    (encoded,) = own.assemble(EVENT, "/", own.encode(["event", 1j, None]))
    assert own.decode(encoded.data).data == ["event", (7, b"1j"), None]


def test_a_configured_packet_class_is_asked_first_about_dates() -> None:
    configure = getattr(MsgPackPacket, "configure", None)
    if configure is None:
        pytest.skip("python-socketio has it since 5.15")

    def year(value: Any) -> Any:
        if isinstance(value, date):
            return value.year
        raise TypeError

    own = make_codec(configure(dumps_default=year))
    body = own.encode(["event", date(2026, 1, 2), time(12)])
    assert own.load(body) == ["event", 2026, "12:00:00"]


def test_a_subclass_with_methods_of_its_own_is_used_as_it_is() -> None:
    class Own(MsgPackPacket):  # type: ignore[misc]
        def encode(self) -> Any:
            return super().encode()

    assert isinstance(make_codec(Own), PacketCodec)
    assert isinstance(make_codec(MsgPackPacket), MsgpackCodec)
