"""Encoding and decoding of Engine.IO payloads and Socket.IO packets."""

from __future__ import annotations

import json
import math
from collections import OrderedDict, defaultdict
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from socketio.packet import Packet as LibraryPacket

from asyncsock.codec.base import ACK, EVENT, MAX_DEPTH, check_shape, event_arguments, put_back
from asyncsock.codec.json_codec import JSONCodec, decode_usual_event
from asyncsock.engine.errors import BadPacket
from asyncsock.engine.packet import Packet, message_packet, text_packet
from asyncsock.engine.payload import decode_payload, encode_payload

codec = JSONCodec()

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
plain = st.recursive(
    scalars, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)
with_binary = st.recursive(
    scalars | st.binary(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
).filter(lambda data: "_placeholder" not in repr(data))
namespaces = st.just("/") | st.from_regex(r"/[a-z0-9_é-]{1,10}", fullmatch=True)
ids = st.none() | st.integers(0, 2**53 - 1)


def transmit(packets: list[Packet]) -> tuple[int, str, int | None, Any]:
    """Kind, namespace, id and data that the other side decodes from packets, attachments joined."""
    first, *attachments = packets
    assert first.text[0] == "4"
    incoming = codec.decode(first.text[1:])
    assert len(incoming.places) == len(attachments)
    put_back([packet.data for packet in attachments], incoming.places)
    kind = incoming.kind - 3 if attachments else incoming.kind
    return kind, incoming.namespace, incoming.id, incoming.data


@given(st.sampled_from([EVENT, ACK]), namespaces, ids, st.lists(with_binary))
def test_what_is_encoded_is_what_is_decoded(
    kind: int, namespace: str, id: int | None, data: list[Any]
) -> None:
    packets = codec.assemble(kind, namespace, codec.encode(data), id)
    assert transmit(packets) == (kind, namespace, id, data)


@given(namespaces, ids, st.lists(with_binary, min_size=1))
def test_python_socketio_decodes_what_is_encoded_here(
    namespace: str, id: int | None, data: list[Any]
) -> None:
    first, *attachments = codec.assemble(EVENT, namespace, codec.encode(["event", *data]), id)
    packet = LibraryPacket(encoded_packet=first.text[1:])
    for attachment in attachments:
        packet.add_attachment(attachment.data)
    assert (packet.namespace or "/", packet.id, packet.data) == (namespace, id, ["event", *data])


@given(namespaces, ids, st.lists(with_binary, min_size=1))
def test_what_python_socketio_encodes_is_decoded_here(
    namespace: str, id: int | None, data: list[Any]
) -> None:
    encoded = LibraryPacket(EVENT, ["event", *data], namespace, id).encode()
    first, *attachments = encoded if isinstance(encoded, list) else [encoded]
    packets = [message_packet(first), *[message_packet(attachment) for attachment in attachments]]
    assert transmit(packets) == (EVENT, namespace, id, ["event", *data])


@given(st.text() | st.binary())
def test_random_messages_are_decoded_or_refused(message: str | bytes) -> None:
    try:
        check_shape(codec.decode(message))
    except BadPacket:
        pass


@given(st.from_regex(r"[0-9][0-9/a-z,\-]{0,8}[\[{\"].{0,20}", fullmatch=True))
def test_messages_that_look_like_packets_are_decoded_or_refused(message: str) -> None:
    try:
        check_shape(codec.decode(message))
    except BadPacket:
        pass


@given(
    st.lists(
        st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"])) | st.binary(), min_size=1
    )
)
def test_a_payload_is_decoded_into_what_it_was_encoded_from(messages: list[str | bytes]) -> None:
    decoded = decode_payload(encode_payload([message_packet(message) for message in messages]))
    assert list(decoded) == [f"4{message}" if isinstance(message, str) else message for message in messages]


@given(st.binary())
def test_random_payloads_are_decoded_or_refused(body: bytes) -> None:
    try:
        list(decode_payload(body))
    except ValueError:
        pass


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**40])
def test_integers_keep_their_value_in_both_directions(number: int) -> None:
    packets = codec.assemble(EVENT, "/", codec.encode(["n", number]))
    assert packets[0].text == f'42["n",{number}]'
    assert codec.decode(packets[0].text[1:]).data == ["n", number]


def test_a_lone_surrogate_survives() -> None:
    packets = codec.assemble(EVENT, "/", codec.encode(["s", "\ud800"]))
    assert codec.decode(packets[0].text[1:]).data == ["s", "\ud800"]


def test_nan_and_infinity_are_sent_as_null_as_javascript_does() -> None:
    assert codec.encode([math.nan, math.inf]).data == b"[null,null]"


@pytest.mark.parametrize(
    "data", [{1: "a"}, {None: 1}, OrderedDict(a=1), defaultdict(int, a=1), (1, (2, 3)), {"a": (1, b"x")}]
)
def test_what_the_standard_library_encodes_is_encoded_alike(data: Any) -> None:
    body = codec.encode([data])
    if not body.attachments:
        assert json.loads(body.data) == json.loads(json.dumps([data]))
    else:
        assert body.data == b'[{"a":[1,{"_placeholder":true,"num":0}]}]'


@pytest.mark.parametrize("value", [object(), {1, 2}, iter([]), 1j])
def test_what_the_standard_library_refuses_raises_a_type_error(value: Any) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        codec.encode([value])


def test_binary_data_of_every_kind_becomes_an_attachment() -> None:
    body = codec.encode([b"a", bytearray(b"b"), memoryview(b"c")])
    assert list(body.attachments) == [b"a", b"b", b"c"]


def test_the_users_json_module_is_used_for_both_directions() -> None:
    class Shouting:
        @staticmethod
        def dumps(data: Any, **options: Any) -> str:
            return json.dumps(data, **options).upper()

        @staticmethod
        def loads(text: str) -> Any:
            return ["loaded", text]

    own = JSONCodec(Shouting)
    assert own.encode(["a", b"x"]).data == b'["A",{"_PLACEHOLDER":TRUE,"NUM":0}]'
    assert own.decode("2[1]").data == ["loaded", "[1]"]


def test_attachments_find_their_places_in_any_order_beside_data_that_only_resemble_placeholders() -> None:
    packet = codec.decode(
        '52-["a",{"b":[{"_placeholder":true,"num":1}]},{"_placeholder":true,"num":0,"c":1},'
        '{"_placeholder":"true","num":9},{"_placeholder":1}]'
    )
    put_back([b"zero", b"one"], packet.places)
    resembling = [{"_placeholder": "true", "num": 9}, {"_placeholder": 1}]
    assert packet.data == ["a", {"b": [b"one"]}, b"zero", *resembling]


@given(namespaces, st.integers(0, 2**53 - 1), with_binary | st.lists(with_binary).map(tuple))
@example("/", 1, b"alone")
@example("/room", 1, b"alone")
@example("/room", 1, bytearray(b"alone"))
def test_an_acknowledgement_is_encoded_as_its_arguments_are(namespace: str, id: int, result: Any) -> None:
    packets = codec.assemble(ACK, namespace, codec.encode(event_arguments(result)), id)
    assert [packet.frame for packet in codec.acknowledge(namespace, id, result)] == [
        packet.frame for packet in packets
    ]


def test_data_that_look_like_a_placeholder_are_data_in_a_packet_without_attachments() -> None:
    data = ["a", {"_placeholder": True, "num": 5}]
    assert codec.decode("2" + json.dumps(data)).data == data


@pytest.mark.parametrize(
    "message",
    [
        "", "7", "9[]", "x", b"binary", "2", "2{}", '2"a"', "2null", "2[", "2[1", '5["a"]', '50-["a"]',
        '51-["a"]', '52-["a",{"_placeholder":true,"num":0}]', '51-["a",{"_placeholder":true,"num":1}]',
        '51-["a",{"_placeholder":true,"num":-1}]', '51-["a",{"_placeholder":true,"num":"0"}]',
        '51-["a",{"_placeholder":true,"num":{}}]', '51-["a",{"_placeholder":true,"num":0.0}]',
        '51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
        '51-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
        '52-["a",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":1}],{"_placeholder":true,"num":0}]',
        '53-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0},{"_placeholder":true,"num":2}]',
        '52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
        '51-["a",{"_placeholder":true}]', '510000-["a"]', "5" + "9" * 30 + '-["a"]', f'2{2**53}["a"]',
        '2' + "1" * 30 + '["a"]', '2²["a"]', '2-1["a"]', "3[", "30", "31{}", "0[",
        "4{}", "2[NaN]", '2["a",' + "[" * 300 + "]" * 301, "2" + "[" * 100_000,
        "2[]", "2[1]", "2[null]", '2["connect"]', '2["disconnect"]', "3[1]",
    ],
)  # fmt: skip
def test_a_malformed_packet_is_refused(message: str | bytes) -> None:
    with pytest.raises(BadPacket):
        check_shape(codec.decode(message))


@pytest.mark.parametrize("words", ["", "x" * 1000])
@pytest.mark.parametrize("before", [0, 1, 99, 100, 101, 198])
@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_data_nested_too_deeply_are_refused_wherever_the_words_between_their_brackets_are(
    begin: str, end: str, before: int, words: str
) -> None:
    def event(depth: int) -> str:
        after = depth - before - 2
        inner = begin * after + "1" + end * after
        return '42["echo",' + begin * before + f'["{words}",{inner}]' + end * before + "]"

    assert decode_usual_event(event(MAX_DEPTH)) is not None
    assert decode_usual_event(event(MAX_DEPTH + 1)) is None  # left to `decode`, which looks closer
    with pytest.raises(BadPacket, match="nested too deeply"):
        codec.decode(event(300)[1:])


def test_a_namespace_loses_its_query() -> None:
    assert codec.decode("0/chat?token=1,").namespace == "/chat"


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_a_packet_knows_its_data_under_its_frame(size: int) -> None:
    packet = text_packet(b"x" * size)
    assert packet.data == b"x" * size
    assert packet.text == "x" * size
    assert packet.polling == b"x" * size
