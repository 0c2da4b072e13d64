"""A Python file as LibCST reads it: its imports, its SocketIO objects, and what functions do with them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import libcst as cst
from libcst.helpers import get_full_name_for_node
from libcst.metadata import (
    CodeRange,
    ImportAssignment,
    MetadataWrapper,
    ParentNodeProvider,
    PositionProvider,
    QualifiedNameSource,
    Scope,
    ScopeProvider,
)

from .edits import Span
from .names import PACKAGE, SHARED, SOCKETIO_CLASSES
from .tree import SourceFile


@dataclass
class Binding:
    """A call that makes a SocketIO object, or gives one its application.

    Args:
        owner: the object's name in full, such as ``socketio`` or ``create_app.<locals>.socketio``.
        call: the call.
        has_app: whether it gives the object an application.
        app: the application, where that is a plain name.
        function: the name in full of the function that it is in; empty in the module itself.
        statement: the statement of the module that it is; None in functions, and in other statements.
    """

    owner: str
    call: cst.Call
    has_app: bool
    app: str | None
    function: str
    statement: cst.SimpleStatementLine | None


@dataclass
class Called:
    """A call of something that has a name, in a function or, where ``function`` is empty, in the module."""

    names: frozenset[str]
    call: cst.Call
    function: str
    statement: cst.SimpleStatementLine | None
    targets: tuple[str, ...]
    elements: tuple[str, ...]  # of "app, socketio = create_app()"


class PythonModule:
    """A Python file with its tree.

    Args:
        file: the file.

    Raises:
        libcst.ParserSyntaxError: it cannot be parsed.
    """

    def __init__(self, file: SourceFile) -> None:
        self.file = file
        self.text = file.text
        self.wrapper = MetadataWrapper(cst.parse_module(file.content), unsafe_skip_copy=True)
        self.tree = self.wrapper.module
        resolved = self.wrapper.resolve_many([PositionProvider, ScopeProvider, ParentNodeProvider])
        self._positions = cast("Mapping[cst.CSTNode, CodeRange]", resolved[PositionProvider])
        self._scopes = cast("Mapping[cst.CSTNode, Scope | None]", resolved[ScopeProvider])
        self._parents = cast("Mapping[cst.CSTNode, cst.CSTNode]", resolved[ParentNodeProvider])
        self.imported: dict[str, str] = {}  # the names that the module imports, and what they are in full
        self.starred: list[str] = []  # the modules of which it imports all names
        self.keeps_package = False  # whether an import of Flask-SocketIO has to stay
        self.made: list[Binding] = []  # calls of SocketIO()
        self.given: list[Binding] = []  # calls of init_app()
        self.attributes: set[str] = set()  # as "ws" where it says self.ws = SocketIO()
        self.calls: list[Called] = []
        self.assigned: dict[str, cst.SimpleStatementLine] = {}  # by the module's last statement for each
        self.is_package = file.name.endswith("__init__.py")
        self.tree.visit(_Facts(self))

    def span(self, node: cst.CSTNode) -> Span:
        """Where a node is, without the spaces around it."""
        position = self._positions[node]
        return Span(
            self.text.offset(position.start.line, position.start.column),
            self.text.offset(position.end.line, position.end.column),
        )

    def has_place(self, node: cst.CSTNode) -> bool:
        return node in self._positions

    def parent(self, node: cst.CSTNode) -> cst.CSTNode | None:
        return self._parents.get(node)

    def scope(self, node: cst.CSTNode) -> Scope | None:
        return self._scopes.get(node)

    def names_of(self, node: cst.CSTNode) -> set[str]:
        """What an expression may be, by its name in full: of what is imported, the name there."""
        scope = self.scope(node)
        if scope is None:
            return set()
        found = {name.name for name in scope.get_qualified_names_for(node)}
        return found or self._starred_names(node)

    def _starred_names(self, node: cst.CSTNode) -> set[str]:
        """What a name that nothing else binds may be, where all names of some modules are imported."""
        name = get_full_name_for_node(node) if self.starred else None
        if name is None:
            return set()
        package = next((each for each in self.starred if each in (PACKAGE, "asyncsock")), None)
        of_others = any("socketio" in each.lower() for each in self.starred)  # as socketIO_client
        if package is None and name == "SocketIO" and not of_others:
            package = PACKAGE  # by way of a module of the project
        return {f"{package}.{name}" if package is not None and name.split(".")[0] in SHARED else name}

    def same_as(self, name: str) -> list[str]:
        """A name of the module, and those that it is assigned from, as in ``application = app``."""
        names = [name]
        while (statement := self.assigned.get(names[-1])) is not None and len(statement.body) == 1:
            value = statement.body[0].value if isinstance(statement.body[0], cst.Assign) else None
            if not isinstance(value, cst.Name) or value.value in names:
                break
            names.append(value.value)
        return names

    def imports_of(self, node: cst.CSTNode) -> set[str]:
        """What an expression is if it is imported. Empty if its name may also be something else."""
        scope = self.scope(node)
        names = scope.get_qualified_names_for(node) if scope is not None else ()
        if any(name.source != QualifiedNameSource.IMPORT for name in names):
            return set()
        return {name.name for name in names}

    def is_imported(self, name: str) -> bool:
        """Whether a name in full is that of something that the module imports, or is in such a thing."""
        return any(name == each or name.startswith(f"{each}.") for each in self.imported.values())

    def uses(self, alias: cst.ImportAlias) -> list[cst.CSTNode] | None:
        """Where what an import binds is used, or None if its name is also bound otherwise."""
        name = alias.evaluated_alias or alias.evaluated_name
        scope = self.scope(alias)
        if scope is None:
            return None
        found: list[cst.CSTNode] = []
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            for each in scope[".".join(parts[:length])]:
                if not isinstance(each, ImportAssignment):
                    return None
                found += [access.node for access in each.references]
        return found

    def function_of(self, node: cst.CSTNode) -> str:
        """The name in full of the function that a node is in; empty for the module itself."""
        names: list[str] = []
        at: cst.CSTNode | None = node
        while (at := self.parent(at) if at is not None else None) is not None:
            if isinstance(at, cst.FunctionDef):
                names += ["<locals>", at.name.value]
            elif isinstance(at, cst.ClassDef):
                names.append(at.name.value)
            elif isinstance(at, cst.Lambda):
                names += ["<locals>", "<lambda>"]
        return ".".join(reversed(names)).removesuffix(".<locals>") if "<locals>" in names else ""

    def statement_of(self, node: cst.CSTNode) -> cst.SimpleStatementLine | None:
        """The statement of the module that a node is in, if that is a plain line and no block."""
        at: cst.CSTNode | None = node
        while at is not None and not isinstance(at, cst.SimpleStatementLine):
            at = self.parent(at)
        return at if at is not None and self.parent(at) is self.tree else None

    def documentation(self) -> list[Span]:
        """The texts that are statements, as the documentation of functions is."""
        found: list[Span] = []
        span = self.span

        class Texts(cst.CSTVisitor):
            def visit_Expr(self, node: cst.Expr) -> None:
                if isinstance(node.value, (cst.SimpleString, cst.ConcatenatedString)):
                    found.append(span(node))

        self.tree.visit(Texts())
        return found

    def made_here(self, name: str) -> bool:
        return any(binding.owner == name for binding in self.made)


class _Facts(cst.CSTVisitor):
    """Collects what `PythonModule` tells."""

    def __init__(self, module: PythonModule) -> None:
        self.module = module

    def visit_Import(self, node: cst.Import) -> None:
        if self.module.function_of(node) == "":
            for alias in node.names:
                name = alias.evaluated_alias or alias.evaluated_name.split(".")[0]
                self.module.imported[name] = alias.evaluated_name if alias.asname else name

    def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
        module = "." * len(node.relative) + (get_full_name_for_node(node.module) or "" if node.module else "")
        if self.module.function_of(node) != "":
            return
        if isinstance(node.names, cst.ImportStar):
            self.module.starred.append(module)
            return
        for alias in node.names:
            name = alias.evaluated_alias or alias.evaluated_name
            dot = "" if module.endswith(".") else "."
            self.module.imported[name] = f"{module}{dot}{alias.evaluated_name}"

    def visit_Call(self, node: cst.Call) -> None:
        names = frozenset(self.module.names_of(node.func))
        function, statement = self.module.function_of(node), self.module.statement_of(node)
        targets = self._targets(node)
        if names & SOCKETIO_CLASSES:
            self._made(node, function, statement, targets)
        elif isinstance(node.func, cst.Attribute) and node.func.attr.value == "init_app":
            for owner in self.module.names_of(node.func.value):
                app = _first_argument(node)
                plain = app.value if isinstance(app, cst.Name) else None
                binding = Binding(owner, node, app is not None, plain, function, statement)
                self.module.given.append(binding)
        if names:
            self.module.calls.append(
                Called(names, node, function, statement, _plain(targets), _plain(_elements(targets)))
            )

    def _made(
        self,
        node: cst.Call,
        function: str,
        statement: cst.SimpleStatementLine | None,
        targets: Sequence[cst.BaseExpression],
    ) -> None:
        app = _first_argument(node)
        has_app = app is not None and not (isinstance(app, cst.Name) and app.value == "None")
        plain = app.value if isinstance(app, cst.Name) and has_app else None
        owners = [name for target in targets for name in self.module.names_of(target)]
        for target in targets:
            if isinstance(target, cst.Attribute):
                self.module.attributes.add(target.attr.value)
        self.module.made += [
            Binding(owner, node, has_app, plain, function, statement) for owner in owners or [""]
        ]

    def _targets(self, node: cst.Call) -> list[cst.BaseExpression]:
        parent = self.module.parent(node)
        if isinstance(parent, cst.Assign):
            return [target.target for target in parent.targets]
        return [parent.target] if isinstance(parent, cst.AnnAssign) else []

    def visit_Assign(self, node: cst.Assign) -> None:
        for target in node.targets:
            self._assigned(target.target, node)

    def visit_AnnAssign(self, node: cst.AnnAssign) -> None:
        self._assigned(node.target, node)

    def _assigned(self, target: cst.BaseExpression, node: cst.CSTNode) -> None:
        statement = self.module.statement_of(node)
        for each in [target, *_elements([target])]:
            if statement is not None and isinstance(each, cst.Name):
                self.module.assigned[each.value] = statement


def _elements(targets: Sequence[cst.BaseExpression]) -> list[cst.BaseExpression]:
    return [
        element.value
        for target in targets
        if isinstance(target, (cst.Tuple, cst.List))
        for element in target.elements
    ]


def _plain(targets: Sequence[cst.BaseExpression]) -> tuple[str, ...]:
    return tuple(each.value for each in targets if isinstance(each, cst.Name))


def _first_argument(call: cst.Call) -> cst.BaseExpression | None:
    """The first argument, or the one that is named app."""
    for argument in call.args:
        if argument.keyword is not None and argument.keyword.value == "app":
            return argument.value
    first = call.args[0] if call.args else None
    return first.value if first is not None and first.keyword is None and not first.star else None


def is_called_socketio(node: cst.BaseExpression) -> bool:
    """Whether a name, or the last part of one, is what programs call their SocketIO object."""
    last = node.attr if isinstance(node, cst.Attribute) else node
    return isinstance(last, cst.Name) and re.fullmatch(r"(?i)\w*socket_?io|sio", last.value) is not None
