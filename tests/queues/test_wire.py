"""The messages between processes, against python-socketio's own client managers."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import socketio
from hypothesis import given
from hypothesis import strategies as st

from asyncsock.codec.base import event_arguments
from asyncsock.codec.json_codec import JSONCodec
from asyncsock.queues import wire

HOST = "0" * 32
text = st.text() | st.text(st.sampled_from('\ud83da"é\\'), max_size=3)  # half an emoji
numbers = st.integers() | st.integers(2**63, 2**80) | st.floats()
scalars = st.none() | st.booleans() | numbers | text | st.binary(max_size=100)
trees = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=10,
)
arguments = st.lists(trees, max_size=3).map(tuple)
names = text.filter(bool) | numbers.filter(bool)
rooms = st.none() | names | st.lists(names, min_size=1, max_size=3)
codec = JSONCodec()


class TheirManager(socketio.PubSubManager):
    """python-socketio's manager, which keeps what it would publish and what it would emit."""

    def __init__(self) -> None:
        super().__init__()
        self.published: list[bytes] = []

    def _publish(self, data: Any) -> None:
        self.published.append(json.dumps(data).encode())


class TheirListener(TheirManager):
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.emitted: list[tuple[Any, ...]] = []
        self.answers: list[tuple[Any, ...]] = []
        monkeypatch.setattr(socketio.Manager, "emit", self.keep)

    def keep(self, event: str, data: Any, **options: Any) -> None:
        self.emitted.append((event, data, options))

    def trigger_callback(self, sid: str, id: int, data: Any) -> None:
        self.answers.append((sid, id, data))


def as_sent(data: Any) -> Any:
    """Data as it arrives: lists for tuples, null for what is not a number, text for keys."""
    if isinstance(data, (list, tuple)):
        return [as_sent(item) for item in data]
    if isinstance(data, dict):
        return {key: as_sent(value) for key, value in data.items()}
    return None if isinstance(data, float) and not math.isfinite(data) else data


def same(a: Any, b: Any) -> bool:
    """Whether rooms are the same, NaN too."""
    return repr(a) == repr(b)


def emitted(event: str, data: tuple[Any, ...], room: Any = None, skip: Any = None, seq: int = 1) -> bytes:
    body = codec.encode(event_arguments(data))
    return wire.encode(wire.emit_fields(event, body, "/chat", room, skip, None), HOST, seq)


@given(event=text, data=arguments, room=rooms, skip=rooms)
def test_python_socketio_reads_what_is_written(
    event: str, data: tuple[Any, ...], room: Any, skip: Any
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        listener = TheirListener(patch)
        listener._handle_emit(json.loads(emitted(event, data, room, skip)))
        ((name, received, options),) = listener.emitted
    assert (name, options["namespace"]) == (event, "/chat")
    assert same([options["room"], options["skip_sid"]], [room, skip])
    # they give a single argument as it is, and null stands for none
    expected = as_sent(data)
    assert event_arguments(received) == event_arguments(tuple(expected) if len(data) != 1 else expected[0])


@given(event=text, data=arguments, room=rooms, skip=rooms)
def test_what_python_socketio_writes_is_read(event: str, data: tuple[Any, ...], room: Any, skip: Any) -> None:
    manager = TheirManager()
    manager.emit(event, data, namespace="/chat", room=room, skip_sid=skip)
    message = wire.decode(manager.published[0])
    assert (message.method, message.event, message.namespace) == ("emit", event, "/chat")
    assert same([message.room, message.skip_sid], [room, skip])
    assert (message.sender, message.host_id) == (None, manager.host_id)
    body = wire.event_arguments(message)
    assert codec.load(body) == ([] if data == (None,) else as_sent(data))
    assert codec.load(codec.prepend(event, body)) == [event, *codec.load(body)]


@given(event=text, data=arguments, room=rooms, skip=rooms, seq=st.integers(1, 2**62))
def test_what_is_written_is_read(event: str, data: tuple[Any, ...], room: Any, skip: Any, seq: int) -> None:
    message = wire.decode(emitted(event, data, room, skip, seq))
    assert (message.method, message.event, message.namespace) == ("emit", event, "/chat")
    assert same([message.room, message.skip_sid], [room, skip])
    assert (message.sender, message.host_id, message.seq) == (HOST, HOST, seq)
    assert codec.load(wire.event_arguments(message)) == as_sent(data)


@given(method=st.sampled_from(["enter_room", "leave_room", "close_room"]), room=names, sid=text)
def test_what_is_written_about_a_client_is_read(method: str, room: Any, sid: str) -> None:
    encoded = wire.encode(wire.client_fields(method, "/chat", sid, room), HOST, 1)
    message = wire.decode(encoded)
    assert (message.method, message.sid, message.namespace) == (method, sid, "/chat")
    assert same(message.room, room)
    assert same(json.loads(encoded)["room"], room)


@given(data=arguments, sid=text, id=st.integers(0, 2**53), seq=st.integers(1, 2**62))
def test_an_acknowledgement_comes_back_as_it_was(data: tuple[Any, ...], sid: str, id: int, seq: int) -> None:
    encoded = wire.encode(wire.callback_fields("asker", sid, "/", id, codec.encode(list(data))), HOST, seq)
    message = wire.decode(encoded)
    assert (message.host_id, message.sender, message.seq) == ("asker", HOST, seq)
    assert (message.sid, message.id) == (sid, id)
    assert codec.load(wire.callback_arguments(message)) == as_sent(data)


no_binary = st.lists(trees.filter(lambda tree: "b'" not in repr(tree) and 'b"' not in repr(tree)), max_size=3)


@given(data=no_binary, id=st.integers(0, 2**53))
def test_python_socketio_reads_the_acknowledgement_that_is_written(data: list[Any], id: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        asker = TheirListener(patch)
        fields = wire.callback_fields(asker.host_id, "sid", "/", id, codec.encode(data))
        asker._handle_callback(json.loads(wire.encode(fields, HOST, 1)))
    assert asker.answers == [("sid", id, as_sent(data))]


@given(data=no_binary, id=st.integers(0, 2**53))
def test_the_acknowledgement_that_python_socketio_writes_is_read(data: list[Any], id: int) -> None:
    manager = TheirManager()
    manager._return_callback("asker", "sid", "/", id, *data)
    message = wire.decode(manager.published[0])
    assert (message.method, message.host_id, message.sid, message.id) == ("callback", "asker", "sid", id)
    assert codec.load(wire.callback_arguments(message)) == as_sent(data)


@pytest.mark.parametrize("number", [0, 5, "a", None])
def test_an_acknowledgement_that_looks_like_a_placeholder_comes_back_as_it_was(number: Any) -> None:
    lookalike = {"_placeholder": True, "num": number}
    fields = wire.callback_fields("asker", "sid", "/", 1, codec.encode([lookalike]))
    body = wire.callback_arguments(wire.decode(wire.encode(fields, HOST, 1)))
    assert codec.load(body) == [lookalike]


@pytest.mark.parametrize("number", [0, 5, "a", None])
def test_an_event_whose_data_look_like_placeholders_comes_as_it_was_sent(number: Any) -> None:
    data = ({"_placeholder": True, "num": number}, [{"_placeholder": True, "num": number}])
    assert codec.load(wire.event_arguments(wire.decode(emitted("event", data)))) == list(data)


@pytest.mark.parametrize("number", [0, 1, -1, "0", None, 0.5, {}])
def test_an_event_with_a_placeholder_for_no_attachment_of_its_own_is_refused(number: Any) -> None:
    data = [[{"_placeholder": True, "num": 0}, {"_placeholder": True, "num": number}], "eA=="]
    encoded = json.dumps({"method": "emit", "event": "event", "binary": True, "data": data}).encode()
    with pytest.raises(ValueError, match="placeholder|attachments"):
        wire.event_arguments(wire.decode(encoded))


@given(event=text, data=arguments, seq=st.integers(1, 2**62))
def test_the_mark_of_a_sender_is_in_its_messages_only(event: str, data: tuple[Any, ...], seq: int) -> None:
    end = emitted(event, data, seq=seq)[-wire.MARK_WITHIN :]
    assert wire.mark(HOST) in end
    assert wire.mark("1" * 32) not in end


@pytest.mark.parametrize("room", [b"room", 1j, object(), {"a": 1}.keys(), ["a", b"b"]])
def test_a_room_of_a_type_that_has_no_name_in_other_processes_is_refused(room: Any) -> None:
    with pytest.raises(TypeError, match="rooms are text, numbers or lists of them"):
        emitted("event", (), room)
    with pytest.raises(TypeError, match="rooms are text, numbers or lists of them"):
        wire.client_fields("close_room", "/", room=room)


def check(data: bytes) -> None:
    """What is read of a message is JSON that every client reads, or it is a ValueError."""
    try:
        message = wire.decode(data)
        body = wire.event_arguments(message)
    except ValueError:
        return
    encoded = codec.prepend("event", body).data.decode()
    assert json.loads(encoded, parse_constant=pytest.fail)[0] == "event"


@given(st.binary() | st.text().map(lambda value: value.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_a_message_or_a_value_error(data: bytes) -> None:
    check(data)


@given(data=arguments, position=st.floats(0, 1), bytes_=st.binary(max_size=2), cut=st.integers(0, 3))
def test_a_damaged_message_is_a_message_or_a_value_error(
    data: tuple[Any, ...], position: float, bytes_: bytes, cut: int
) -> None:
    whole = emitted("event", data, "room")
    at = int(position * len(whole))
    check(whole[:at] + bytes_ + whole[at + cut :])


@pytest.mark.parametrize(
    "data",
    [
        b"{}", b"1", b"null", b'"text"', b"[ ]", b"[ null ]", b"[1e999,NaN]", b'["\xff"]', b'["\\ud83d"]',
        b'["\xed\xa0\xbd"]', b"[" * 100_000, b"[" * 500 + b"]" * 500, b'[{"_placeholder":true}]',
    ],
)  # fmt: skip
@pytest.mark.parametrize("binary", [b"true", b"false", b"null", b"1"])
def test_the_data_of_a_hostile_message_are_json_or_a_value_error(data: bytes, binary: bytes) -> None:
    check(b'{"method":"emit","event":"x","binary":%b,"data":%b}' % (binary, data))
    try:
        codec.load(wire.callback_arguments(wire.decode(b'{"method":"callback","args":%b}' % data)))
    except ValueError:
        pass
