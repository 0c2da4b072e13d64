"""gunicorn's file of configuration, which is a Python program."""

from __future__ import annotations

import re

import libcst as cst

from .edits import Edit
from .modules import PythonModule
from .names import UVICORN_WORKER

NAME = re.compile(r"(^|/)(gunicorn[\w.-]*|gconf|guni[\w-]*conf\w*)\.py$")
UVICORN_WORKERS = (UVICORN_WORKER, "uvicorn.workers.UvicornWorker", "uvicorn_worker.UvicornH11Worker")
OLD_CLASSES = re.compile(
    r"(sync|gthread|eventlet|gevent|gevent_wsgi|gevent_pywsgi|tornado|geventwebsocket\.\S+|gunicorn\.\S+)$"
)


class GunicornConfig:
    """A file of configuration for gunicorn.

    Args:
        module: the file.
    """

    def __init__(self, module: PythonModule) -> None:
        self.module = module
        self.worker = self._text("worker_class")
        self.app = self._text("wsgi_app")
        self.folder = self._value(self._text("chdir"))

    def _text(self, name: str) -> cst.SimpleString | None:
        """The text that a name is assigned, once and by a statement of the module's own."""
        statement = self.module.assigned.get(name)
        if statement is None or len(statement.body) != 1 or not isinstance(statement.body[0], cst.Assign):
            return None
        value = statement.body[0].value
        return value if isinstance(value, cst.SimpleString) else None

    def _value(self, node: cst.SimpleString | None) -> str | None:
        value = node.evaluated_value if node is not None else None
        return value if isinstance(value, str) else None

    @property
    def has_class(self) -> bool:
        return "worker_class" in self.module.assigned

    @property
    def is_moved(self) -> bool:
        return self._value(self.worker) in UVICORN_WORKERS

    @property
    def can_move(self) -> bool:
        """Whether the worker class, where it names one, is a text that can be replaced."""
        value = self._value(self.worker)
        return not self.has_class or self.is_moved or (value is not None and bool(OLD_CLASSES.match(value)))

    @property
    def target(self) -> tuple[str, str] | None:
        """The module and the name of the application, if it names them."""
        value = self._value(self.app)
        if value is None or not re.fullmatch(r"[\w.]+(:\w+)?", value):
            return None
        module, _, name = value.partition(":")
        return module, name or "application"

    @property
    def offset(self) -> int:
        node = self.worker or self.app
        return self.module.span(node).start if node is not None else 0

    def moved(self) -> list[Edit]:
        """The changes to the worker class, the application and the threads, as far as it has these."""
        edits = []
        if self.worker is not None and not self.is_moved:
            edits.append(self._replaced(self.worker, UVICORN_WORKER))
        if self.app is not None and self.target is not None:
            edits.append(self._replaced(self.app, f"{self.target[0]}:asgi"))
        threads = self.module.assigned.get("threads")
        if threads is not None and len(threads.body) == 1:
            span = self.module.span(threads)
            edits.append(self.module.text.without_lines(span.start, span.end))
        return edits

    def _replaced(self, node: cst.SimpleString, value: str) -> Edit:
        span = self.module.span(node)
        return Edit(span.start, span.end, f"{node.prefix}{node.quote}{value}{node.quote}")
