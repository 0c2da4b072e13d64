"""What uvicorn's protocol objects have when they are new, found out once: their constructor takes long."""

from __future__ import annotations

from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


def new_parser(owner: HttpToolsProtocol) -> Any:
    """A parser as uvicorn makes it for each connection."""
    parser = httptools.HttpRequestParser(owner)
    try:
        parser.set_dangerous_leniencies(lenient_data_after_close=True)
    except AttributeError:  # httptools before 0.6.3
        pass
    return parser


def shared_attributes(arguments: dict[str, Any]) -> dict[str, Any]:
    """The attributes that all new connections share; none unless parser and pipeline alone differ."""
    first, second = (vars(HttpToolsProtocol(**arguments)) for _ in range(2))
    shared = {name: value for name, value in first.items() if value is second.get(name)}
    return shared if first.keys() - shared.keys() == {"parser", "pipeline"} else {}
