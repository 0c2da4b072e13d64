"""The rules for what a WSGI application says of its answer."""

from __future__ import annotations

from typing import Any

import pytest

from asyncsock.flask_bridge.wsgi_response import Response


def start(status: Any, *headers: tuple[str, str]) -> dict[str, Any]:
    """The first message of an answer."""
    messages: list[Any] = []
    response = Response("GET", messages.extend, messages.extend)
    response.start_response(status, list(headers))
    response.respond([b"12"])
    start: dict[str, Any] = messages[0]
    return start


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("200 OK", 200),
        ("200", 200),  # gunicorn takes it, too
        ("200 ", 200),
        ("299 Ganz gut, ü", 299),
        ("404 NOT FOUND", 404),
        ("599 UNKNOWN", 599),
    ],
)
def test_a_status_is_three_digits_a_space_and_a_reason(status: str, code: int) -> None:
    assert start(status)["status"] == code


@pytest.mark.parametrize(
    "status",
    [
        *("", "OK", "0 OK", "20 OK", "099 x", "100 Continue", "101 x", "199 x", "600 x", "999 x"),
        *("1000", "2000 x", "200OK", "200-OK", "200\tOK", " 200 OK", "+20 OK", "2_0 OK", "٢٠٠ OK"),
    ],
)
def test_what_is_no_status_of_an_answer_is_an_error(status: str) -> None:
    with pytest.raises(ValueError, match="none of an answer"):
        start(status)


@pytest.mark.parametrize("status", [200, b"200 OK", None])
def test_a_status_is_text(status: Any) -> None:
    with pytest.raises(TypeError):
        start(status)


@pytest.mark.parametrize("length", ["2", " 2 ", "02", "+2"])
def test_a_content_length_is_sent_as_clients_read_it(length: str) -> None:
    assert start("200 OK", ("Content-Length", length))["headers"] == [(b"content-length", b"2")]


@pytest.mark.parametrize("length", ["", "two", "-2", "2.0", "2, 2"])
def test_what_is_no_content_length_is_an_error(length: str) -> None:
    with pytest.raises(ValueError):
        start("200 OK", ("Content-Length", length))
