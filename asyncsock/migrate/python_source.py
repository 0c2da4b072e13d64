"""Imports of Flask-SocketIO, and arguments that asyncsock has no use for."""

from __future__ import annotations

import re
from collections.abc import Callable

import libcst as cst
from libcst.helpers import get_full_name_for_node

from ..server_options import IGNORED
from .edits import Edit, Span, without_items
from .modules import PythonModule, is_called_socketio
from .names import PACKAGE, SHARED, STAR_ONLY, SUBMODULES
from .project import Project

MODULE_NAME = re.compile(rf"(?<![\w.-]){PACKAGE}(?![\w-])")
PLAIN_METHODS = {"get", "lower", "strip", "upper"}
PLAIN_FUNCTIONS = {"builtins.getattr", "builtins.str", "os.getenv"}
ANY_NAME = re.compile(r"flask[-_]socketio", re.IGNORECASE)
# As in "flask-socketio>=5" and "pip install flask flask-socketio".
INSTALLED = re.compile(
    r"^[\"']*flask-socketio\s*([<>=~!\[;][^\"']*)?[\"']*$|pip3? install [^;&|]*\bflask-socketio\b",
    re.IGNORECASE,
)
HAND = "Write asyncsock's name for it by hand."


def move_imports(project: Project, module: PythonModule) -> None:
    """Import asyncsock where Flask-SocketIO is imported, and use that name."""
    if not ANY_NAME.search(module.file.content) or project.has_module(PACKAGE, module.file):
        return
    module.tree.visit(_Imports(module))
    module.tree.visit(_Strings(module))


class _Imports(cst.CSTVisitor):
    def __init__(self, module: PythonModule) -> None:
        self.module = module
        self.edits = module.file.edits

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        name = get_full_name_for_node(node.module) if node.module is not None and not node.relative else None
        if name is None or name.split(".")[0] != PACKAGE:
            return
        offset = self.module.span(node).start
        _, _, submodule = name.partition(".")
        known = SHARED | SUBMODULES.keys() if not submodule else SUBMODULES.get(submodule, set())
        if isinstance(node.names, cst.ImportStar):
            missing = STAR_ONLY & self._used_without_import() if not submodule else set()
            said = "the names that come with it and that asyncsock has not"
        else:
            missing = {alias.evaluated_name for alias in node.names} - known
            said = "what asyncsock has not"
        if missing:
            self.module.keeps_package = True
            names = ", ".join(sorted(missing))
            self.module.file.remark(
                offset,
                f"This imports {said} ({names}): import these from where they are defined, and run this "
                "again.",
            )
        elif node.module is not None:
            self._rename(node.module)

    def _used_without_import(self) -> set[str]:
        used: set[str] = set()

        class Names(cst.CSTVisitor):
            def visit_Name(self, node: cst.Name) -> None:
                used.add(node.value)

            def visit_Attribute(self, node: cst.Attribute) -> bool:
                node.value.visit(self)
                return False

            def visit_Import(self, node: cst.Import) -> bool:
                return False

            def visit_ImportFrom(self, node: cst.ImportFrom) -> bool:
                return False

        self.module.tree.visit(Names())
        return used - self.module.imported.keys() - self.module.assigned.keys()

    def visit_Import(self, node: cst.Import) -> None:
        for alias in node.names:
            name = alias.evaluated_name
            if name.split(".")[0] != PACKAGE:
                continue
            if name != PACKAGE and name.partition(".")[2] not in SUBMODULES:
                self.module.file.remark(
                    self.module.span(node).start, f"asyncsock has no module {name}. {HAND}"
                )
            elif alias.asname is not None:
                self._rename(alias.name)
            else:
                self._rename_with_uses(alias)

    def _rename_with_uses(self, alias: cst.ImportAlias) -> None:
        """Rename what ``import flask_socketio`` binds; or keep the name where it may be something else."""
        uses = self.module.uses(alias)
        if uses is not None and "asyncsock" not in self.module.imported and all(map(self._is_known, uses)):
            self._rename(alias.name)
            for use in uses:
                self._rename(use)
        elif alias.evaluated_name == PACKAGE:
            span = self.module.span(alias.name)
            self.edits.append(Edit(span.start, span.end, f"asyncsock as {PACKAGE}"))
        else:
            self.module.file.remark(
                self.module.span(alias.name).start,
                f"{PACKAGE} is used as something else besides a module. {HAND}",
            )

    def _is_known(self, node: cst.CSTNode) -> bool:
        if not self.module.has_place(node):  # it is in an annotation that is a text
            return False
        name = get_full_name_for_node(node) or ""
        _, _, attribute = name.partition(".")
        parent = self.module.parent(node)
        if not attribute and isinstance(parent, cst.Attribute) and parent.value is node:
            attribute = parent.attr.value
        return attribute.split(".")[0] in SHARED | SUBMODULES.keys()

    def _rename(self, node: cst.CSTNode) -> None:
        """Put asyncsock's name in the place of the first part of a dotted name."""
        start = self.module.span(node).start
        if self.module.file.content.startswith(PACKAGE, start):
            self.edits.append(Edit(start, start + len(PACKAGE), "asyncsock"))


class _Strings(cst.CSTVisitor):
    """Remarks texts that name Flask-SocketIO's module, as in ``mock.patch()``, but no documentation."""

    def __init__(self, module: PythonModule) -> None:
        self.module = module

    def visit_Expr(self, node: cst.Expr) -> bool:
        return not isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString))

    def visit_SimpleString(self, node: cst.SimpleString) -> None:
        self._look(node, node.value)

    def visit_FormattedStringText(self, node: cst.FormattedStringText) -> None:
        self._look(node, node.value)

    def _look(self, node: cst.CSTNode, value: str) -> None:
        if INSTALLED.search(value) and not self.module.file.name.endswith("setup.py"):
            self.module.file.remark(
                self.module.span(node).start,
                "A text names flask-socketio: write asyncsock if it is the name of the package.",
            )
        elif MODULE_NAME.search(value):
            self.module.file.remark(
                self.module.span(node).start,
                f"A text names {PACKAGE}: write asyncsock if it is the name of the module.",
            )


def move_arguments(project: Project, module: PythonModule) -> None:
    """Remove ``async_mode=``, and the options of `run()` that only the servers of before had."""
    module.tree.visit(_Arguments(project, module))


class _Arguments(cst.CSTVisitor):
    def __init__(self, project: Project, module: PythonModule) -> None:
        self.project = project
        self.module = module
        self.made = {id(binding.call) for binding in module.made}

    def visit_Call(self, node: cst.Call) -> None:
        function = node.func
        method = function.attr.value if isinstance(function, cst.Attribute) else ""
        ours = isinstance(function, cst.Attribute) and self.project.is_socketio(self.module, function.value)
        if id(node) in self.made or (method == "init_app" and ours):
            self._remove(node, lambda name, value: name == "async_mode" and self._is_plain(value))
        elif method == "run" and ours:
            self._remove(node, lambda name, value: name in IGNORED and self._is_plain(value))
        elif method == "run" and isinstance(function, cst.Attribute) and is_called_socketio(function.value):
            # No other run() has this option.
            self._remove(node, lambda name, value: name == "allow_unsafe_werkzeug" and self._is_plain(value))
        self._remark(node)

    def _remove(self, node: cst.Call, decide: Callable[[str, cst.BaseExpression], bool]) -> None:
        removed = {
            number
            for number, argument in enumerate(node.args)
            if argument.keyword is not None and decide(argument.keyword.value, argument.value)
        }
        if not removed:
            return
        spans = [self.module.span(argument) for argument in node.args]
        end = self.module.span(node).end - len(")")
        start = self.module.file.content.index("(", self.module.span(node.func).end) + 1
        self.module.file.edits += without_items(self.module.text, spans, removed, Span(start, end))

    def _is_plain(self, value: cst.BaseExpression) -> bool:
        """Whether nothing but the argument is lost with an expression: it calls nothing of consequence."""
        plain = True
        module = self.module

        class Calls(cst.CSTVisitor):
            def visit_Call(self, node: cst.Call) -> None:
                nonlocal plain
                is_method = isinstance(node.func, cst.Attribute) and node.func.attr.value in PLAIN_METHODS
                plain = plain and (is_method or bool(PLAIN_FUNCTIONS & module.names_of(node.func)))

            def visit_NamedExpr(self, node: cst.NamedExpr) -> None:
                nonlocal plain
                plain = False

        value.visit(Calls())
        return plain

    def _remark(self, node: cst.Call) -> None:
        """Remark the arguments that could not be removed, as those that another function passes on."""
        edits = self.module.file.edits
        for argument in node.args:
            name = argument.keyword.value if argument.keyword is not None else ""
            span = self.module.span(argument)
            if name not in ("async_mode", "allow_unsafe_werkzeug") or any(
                edit.start <= span.start and span.end <= edit.end for edit in edits
            ):
                continue
            if name == "async_mode" and not self._may_be_passed_on(node, argument.value):
                continue
            where = "run()" if name == "allow_unsafe_werkzeug" else "SocketIO"
            condition = "" if id(node) in self.made else f" if it is passed on to its {where}"
            self.module.file.remark(
                span.start, f"{name} is for Flask-SocketIO's servers: remove it{condition}."
            )

    def _may_be_passed_on(self, node: cst.Call, value: cst.BaseExpression) -> bool:
        """Whether an ``async_mode=`` may come to a SocketIO: it is none for a page or another package."""
        of_others = any(
            name.split(".")[0] in ("flask", "socketio") for name in self.module.imports_of(node.func)
        )
        is_asked = isinstance(value, cst.Attribute) and value.attr.value == "async_mode"
        return self.project.reaches(self.module.file) and not of_others and not is_asked

    def visit_DictElement(self, node: cst.DictElement) -> None:
        self._key(node.key)

    def visit_SubscriptElement(self, node: cst.SubscriptElement) -> None:
        if isinstance(node.slice, cst.Index):
            self._key(node.slice.value)

    def _key(self, key: cst.BaseExpression) -> None:
        name = key.evaluated_value if isinstance(key, cst.SimpleString) else None
        if name in ("async_mode", "allow_unsafe_werkzeug") and self.project.reaches(self.module.file):
            self.module.file.remark(
                self.module.span(key).start,
                f"{name} is set in a dictionary: remove it if its options are for SocketIO() or its run().",
            )
