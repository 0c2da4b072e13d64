"""The Python modules of a project, and which of their names are the same object."""

from __future__ import annotations

import re
from collections.abc import Iterator

import libcst as cst

from .modules import PythonModule
from .names import PACKAGE
from .tree import SourceFile

# What a file has to name to be looked at, and what is enough where it imports Flask-SocketIO through others.
NAMED = (PACKAGE, "flask-socketio", "Flask-SocketIO", "asyncsock", "eventlet", "gevent", "psycogreen")
CONCERNED = re.compile(
    r"(?i:socket_?io)|\.run\(|_app\(|\bmake|create|waitress|run_simple|server|wsgi|json|signal|async_mode|worker_class"
)
USES = re.compile(rf"^\s*(?:from|import)\s+(?:[\w., ]+,\s*)?(?:{PACKAGE}|asyncsock)\b", re.MULTILINE)
IMPORTS = re.compile(
    r"^[ \t]*(?:from[ \t]+([.\w]+)[ \t]+import[ \t]+\(?([^)#\n\r]*)|import[ \t]+([^#\n\r]*))", re.MULTILINE
)
MOST_STEPS = 20  # from a name to where it is defined


class Project:
    """The Python files of a project.

    Args:
        files: all files that were read.
    """

    def __init__(self, files: list[SourceFile]) -> None:
        self.files = files
        self.python = {file.name: file for file in files if file.name.endswith((".py", ".pyw"))}
        self._parsed: dict[str, PythonModule | None] = {}
        self._reaching: set[str] | None = None
        self.uses = any(map(_uses, self.python.values()))

    def module(self, file: SourceFile) -> PythonModule | None:
        """A Python file with its tree, or None if it cannot be parsed, which is remarked."""
        if file.name not in self._parsed:
            try:
                self._parsed[file.name] = PythonModule(file)
            except cst.ParserSyntaxError as error:
                self._parsed[file.name] = None
                self._unreadable(
                    file, file.text.offset(error.raw_line, 0), "this is no Python 3 that can be parsed"
                )
            except RecursionError:
                self._parsed[file.name] = None
                self._unreadable(file, 0, "an expression is nested too deeply to be parsed")
        return self._parsed[file.name]

    def _unreadable(self, file: SourceFile, offset: int, why: str) -> None:
        file.remark(
            min(offset, len(file.content)), f"{why}, so nothing of this file was changed: move it by hand."
        )

    def modules(self) -> Iterator[PythonModule]:
        """The modules that may have something to move."""
        for file in self.python.values():
            concerned = any(name in file.content for name in NAMED) or (
                self.reaches(file) and CONCERNED.search(file.content)
            )
            if concerned and (module := self.module(file)) is not None:
                yield module

    def unparsed(self) -> Iterator[SourceFile]:
        """The files that could not be parsed."""
        yield from (self.python[name] for name, module in self._parsed.items() if module is None)

    def has_module(self, name: str, file: SourceFile) -> bool:
        return self._find(name, file.folder) is not None

    def find(self, name: str, folder: str) -> PythonModule | None:
        """The module of a name, as a program in a folder of the project would import it."""
        file = self._find(name, folder)
        return self.module(file) if file is not None else None

    def find_anywhere(self, name: str) -> PythonModule | None:
        """The only module whose name ends so, in any folder of the project."""
        ends = tuple(f"{name.replace('.', '/')}{end}" for end in (".py", "/__init__.py"))
        found = [
            each for each in self.python if each in ends or each.endswith(tuple(f"/{end}" for end in ends))
        ]
        return self.module(self.python[found[0]]) if len(found) == 1 else None

    def _find(self, name: str, folder: str) -> SourceFile | None:
        if name.startswith("."):
            rest = name.lstrip(".")
            for _ in range(len(name) - len(rest) - 1):
                folder = folder.rpartition("/")[0]
            return self._in_folder(rest, folder)
        while True:
            found = self._in_folder(name, folder) or self._in_folder(name, f"{folder}/src".lstrip("/"))
            if found is not None or not folder:
                return found
            folder = folder.rpartition("/")[0]

    def _in_folder(self, name: str, folder: str) -> SourceFile | None:
        path = "/".join(filter(None, [folder, *name.split(".")]))
        endings = ("/__init__.py", ".py") if name else ("/__init__.py",)
        return next((self.python[path + end] for end in endings if path + end in self.python), None)

    def definition(
        self, module: PythonModule, name: str, steps: int = MOST_STEPS
    ) -> tuple[PythonModule, str] | None:
        """Where an object of a module is defined, past the modules that only import it.

        Args:
            module: the module that uses it.
            name: its name in full, as `PythonModule.names_of` tells it.

        Returns:
            The module, and the name there, or None if it is none of this project's.
        """
        first = name.split(".")[0]
        if module.is_imported(name):
            pass  # as "app.create_app", whatever else is called app here
        elif first in module.imported and not name.startswith("."):
            name = module.imported[first] + name[len(first) :]
        elif module.made_here(name) or steps == 0 or (first and self._is_defined(module, first)):
            return module, name
        elif not name.startswith(".") and "." not in name:
            for starred in module.starred:
                target = self.find(starred, module.file.folder)
                found = self.definition(target, name, steps - 1) if target is not None else None
                if found is not None:
                    return found
            return None
        owner, _, attribute = name.rpartition(".")
        if not owner.strip("."):  # "from . import socketio"
            owner = name[: len(name) - len(attribute)]
        target = self.find(owner, module.file.folder)
        if target is None or target is module or steps == 0:
            return None
        return self.definition(target, attribute, steps - 1)

    def _is_defined(self, module: PythonModule, name: str) -> bool:
        if name in module.assigned:
            return True
        return any(
            isinstance(each, (cst.FunctionDef, cst.ClassDef)) and each.name.value == name
            for each in module.tree.body
        )

    def socketio(self, module: PythonModule, node: cst.BaseExpression) -> tuple[PythonModule, str] | None:
        """The SocketIO object that an expression is, by its module and its name there; None if it is none."""
        for name in module.names_of(node):
            found = self.definition(module, name)
            if found is not None and found[0].made_here(found[1]):
                return found
        return None

    def is_socketio(self, module: PythonModule, node: cst.BaseExpression) -> bool:
        """Whether an expression is a SocketIO object, also as an attribute that this module gives one to."""
        if isinstance(node, cst.Attribute) and node.attr.value in module.attributes:
            return True
        return self.socketio(module, node) is not None

    def reaches(self, file: SourceFile) -> bool:
        """Whether a file imports Flask-SocketIO or asyncsock, or a module of the project that does."""
        if self._reaching is None:
            importers: dict[str, set[str]] = {}
            for each in self.python.values():
                for imported in self._imported(each):
                    importers.setdefault(imported.name, set()).add(each.name)
            left = [each.name for each in self.python.values() if _uses(each)]
            self._reaching = set(left)
            while left:
                new = importers.get(left.pop(), set()) - self._reaching
                self._reaching |= new
                left += new
        return file.name in self._reaching

    def _imported(self, file: SourceFile) -> Iterator[SourceFile]:
        for found in IMPORTS.finditer(file.content):
            start, names, modules = found.groups()
            asked = [part.split()[0] for part in (names or modules or "").split(",") if part.split()]
            dot = "" if start is None or start.endswith(".") else "."
            for name in [start, *(f"{start}{dot}{each}" for each in asked)] if start else asked:
                imported = self._find(name, file.folder)
                if imported is not None and imported is not file:
                    yield imported


def _uses(file: SourceFile) -> bool:
    return (PACKAGE in file.content or "asyncsock" in file.content) and USES.search(file.content) is not None
