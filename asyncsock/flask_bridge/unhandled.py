"""Errors in handlers that no error handler takes: Flask's signal tells of them, and Sentry hears it."""

from __future__ import annotations

import builtins
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask, request
from flask.signals import got_request_exception
from socketio.exceptions import ConnectionRefusedError

from ..engine.log import shown
from ..engine.log_lines import LogLines
from ..typed.invalid_payload import InvalidPayload

ACKNOWLEDGEMENT = "acknowledgement"  # in the place of an event's name, where a callback has failed


class Reports:
    """Reports errors in handlers that no error handler takes.

    Whoever is told may take long: Sentry takes milliseconds, on the event loop if the handler is a
    coroutine. So of one line of code as many errors are reported as are logged.

    Args:
        app: The Flask application.
        logger: Where it is logged how many were not reported.
    """

    def __init__(self, app: Flask, logger: logging.Logger) -> None:
        self._app = app
        self._bound = LogLines(logger, "errors in handlers that got_request_exception would have told of")

    def send(self, error: BaseException) -> None:
        """Send `got_request_exception` for an error of the current event, as Flask does for a view.

        A connect handler that refuses the client is no error, and neither is what a client has sent wrong.
        """
        if not got_request_exception.receivers or isinstance(error, InvalidPayload):
            return
        event: str | None = request.event["message"]  # type: ignore[attr-defined]
        refusals = (ConnectionRefusedError, builtins.ConnectionRefusedError)
        if event == "connect" and isinstance(error, refusals):
            return
        if not self._bound.allow_error(error):
            return
        app, namespace = self._app, request.namespace  # type: ignore[attr-defined]
        with _sentry_transaction(ACKNOWLEDGEMENT if event is None else shown(event), shown(namespace)):
            got_request_exception.send(app, _async_wrapper=app.ensure_sync, exception=error)


@contextmanager
def _sentry_transaction(name: str, namespace: str) -> Iterator[None]:
    """Name what happens in the block for Sentry, if the program uses that: its integration of Flask takes the
    name of a view from the URL, which is the same for all events."""
    sentry: Any = sys.modules.get("sentry_sdk")
    new_scope = getattr(sentry, "new_scope", None)  # not before version 2
    if new_scope is None:
        yield
        return
    with new_scope() as scope:
        scope.set_transaction_name(name, source="custom")
        scope.set_tag("socketio.namespace", namespace)
        yield
