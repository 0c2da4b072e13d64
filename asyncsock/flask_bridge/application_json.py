"""``json=flask.json``: the JSON provider of the application."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app, has_app_context


class ApplicationJSON:
    """A JSON module that asks ``app.json`` at each call, in the application's context.

    Outside such a context ``flask.json`` itself does not use ``app.json``, which the application may replace
    at any time.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app

    def dumps(self, data: Any, **options: Any) -> str:
        """Encode."""
        return self._call("dumps", data, options)  # type: ignore[no-any-return]

    def loads(self, text: str | bytes, **options: Any) -> Any:
        """Decode."""
        return self._call("loads", text, options)

    def _call(self, function: str, argument: Any, options: dict[str, Any]) -> Any:
        if has_app_context() and current_app._get_current_object() is self._app:  # type: ignore[attr-defined]
            return getattr(self._app.json, function)(argument, **options)
        with self._app.app_context():
            return getattr(self._app.json, function)(argument, **options)
