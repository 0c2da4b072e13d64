"""The warnings and errors that asyncsock logs, as its source has them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.server_process import ROOT

PACKAGE = ROOT / "asyncsock"
LEVELS = {
    "warning": "WARNING",
    "warn": "WARNING",
    "error": "ERROR",
    "exception": "ERROR",
    "critical": "ERROR",
}
# What only passes on a text that its caller has.
PASSED_ON = {"engine/session.py: text", "engine/log_lines.py: text", "engine/tested_versions.py: … (…)"}


class Line(NamedTuple):
    """A kind of line: ``…`` stands for what differs from one to the next."""

    logger: str
    level: str
    text: str


def logged_lines() -> set[Line]:
    """All of them."""
    return {line for path in sorted(PACKAGE.rglob("*.py")) for line in _Module(path).lines()}


class _Module:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._tree = ast.parse(path.read_text())
        self._functions = [
            node for node in ast.walk(self._tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        ]

    def lines(self) -> Iterator[Line]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Call) and node.args:
                yield from self._line(node)

    def _line(self, call: ast.Call) -> Iterator[Line]:
        if isinstance(call.func, ast.Name) and call.func.id == "warn_once":
            yield Line(self._logger(call.args[0]), "WARNING", f"{self._text(call, call.args[1])} (…)")
        if not isinstance(call.func, ast.Attribute) or call.func.attr not in LEVELS:
            return
        owner = ast.unparse(call.func.value)
        own = call.func.value
        text = call.args[0]
        if call.func.attr == "warn":
            if owner == "warnings":
                return
            own, text = call.args[0], call.args[1]
        elif not owner.endswith(("logger", "lines", "_get_logger()")):
            return
        found = self._text(call, text)
        if f"{self._path.relative_to(PACKAGE).as_posix()}: {found}" not in PASSED_ON:
            yield Line(self._logger(own), LEVELS[call.func.attr], found)

    def _logger(self, expression: ast.expr) -> str:
        source = ast.unparse(expression)
        if source in ("logger", "lines"):
            return self._global(source) or "asyncsock.server"  # a local name, for that of a server
        named = re.search(r"getLogger\('(.*)'\)", source)
        return named[1] if named else "asyncsock.server" if "server" in source else "asyncsock.engine"

    def _global(self, name: str) -> str | None:
        """The name of a logger that the module has, or imports from another."""
        for node in self._tree.body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
                source = ast.unparse(node.value)
                named = re.search(r"getLogger\('(.*)'\)", source)
                return named[1] if named else self._global("logger")
            if isinstance(node, ast.ImportFrom) and name in [alias.name for alias in node.names]:
                folder = self._path.parents[node.level - 1]
                return _Module(folder / f"{(node.module or '').replace('.', '/')}.py")._global(name)
        return None

    def _text(self, call: ast.Call, expression: ast.expr) -> str:
        if isinstance(expression, ast.Name):
            assigned = self._assigned(call, expression.id)
            return self._text(call, assigned) if assigned is not None else expression.id
        if isinstance(expression, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "…" for part in expression.values]
            return _plain("".join(map(str, parts)))
        if isinstance(expression, ast.Constant):
            return _plain(re.sub(r"%[.\d]*\w", "…", str(expression.value)))
        raise AssertionError(f"{self._path}:{call.lineno}: the text of a log line has to be a literal")

    def _assigned(self, call: ast.Call, name: str) -> ast.expr | None:
        """What is assigned to a name in the function of a call, or in the module."""
        around = [each for each in self._functions if each.lineno <= call.lineno <= (each.end_lineno or 0)]
        for scope in [*reversed(around), self._tree]:
            nodes = ast.walk(scope) if scope is not self._tree else self._tree.body
            found = [
                node
                for node in nodes
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
                if scope is self._tree or node.lineno < call.lineno
            ]
            if found:
                return max(found, key=lambda node: node.lineno).value
        return None


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "/")
