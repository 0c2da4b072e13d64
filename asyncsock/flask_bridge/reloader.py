"""Werkzeug's reloader, which Werkzeug offers together with its own server only."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..engine.tested_versions import warn_once


def can_reload() -> bool:
    """Whether this Werkzeug has its reloader where we look for it; warns if not."""
    try:
        import werkzeug._reloader

        return callable(werkzeug._reloader.run_with_reloader)
    except (ImportError, AttributeError) as error:
        text = f"the program is not reloaded when it changes, with this Werkzeug: {error}"
        warn_once(logging.getLogger("asyncsock.server"), text, "werkzeug")
        return False


def run_with_reloader(function: Callable[[], None], **options: Any) -> None:
    """Werkzeug's function of this name. Only if `can_reload` says so."""
    from werkzeug._reloader import run_with_reloader

    run_with_reloader(function, **options)
