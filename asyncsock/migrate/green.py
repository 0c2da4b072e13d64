"""What is left of eventlet and gevent in Python files: patches, idle imports, and direct calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import libcst as cst
from libcst.helpers import get_full_name_for_node

from .edits import Edit, Span, Text, without_items
from .modules import PythonModule
from .names import GREEN, PATCHES, remedy
from .project import Project

CELERY = {"celery"}


def remove_patches(project: Project, module: PythonModule, *, sure: bool = False) -> None:
    """Remove monkey patches and imports of eventlet and gevent that nothing uses; remark the other uses.

    Args:
        project: the project.
        module: one of its modules.
        sure: whether the module is known to be for the server, although it does not import the application.
    """
    imports = list(_imports(module))
    if not imports:
        return
    patches = _Patches(module)
    module.tree.visit(patches)
    served = sure or project.reaches(module.file)
    by_celery = bool(CELERY & {name.split(".")[0] for name in module.imported.values()})
    if not served or by_celery:
        for statement in patches.statements:
            module.file.remark(
                module.span(statement).start,
                "This patches Python, and asyncsock cannot serve in a process that is patched: remove it "
                "if this "
                "program serves the application.",
            )
        return
    gone = set(map(id, patches.calls))
    removed: list[cst.BaseSmallStatement] = list(patches.statements)
    removed_aliases: dict[int, tuple[cst.Import | cst.ImportFrom, set[int]]] = {}
    for node, number, alias in imports:
        uses = module.uses(alias) if alias is not None else None
        left = [use for use in uses or () if not _is_within(module, use, gone)]
        if uses is not None and not left and not _is_asked_for(module, node):
            removed_aliases.setdefault(id(node), (node, set()))[1].add(number)
        else:
            _remark_uses(module, node, alias, left)
    for statement, numbers in removed_aliases.values():
        if not isinstance(statement.names, cst.ImportStar) and len(numbers) < len(statement.names):
            _remove_aliases(module, statement, numbers)
        else:
            removed.append(statement)
    module.file.edits += _without_statements(module, removed)


def uses_green(module: PythonModule, package: str) -> bool:
    """Whether something of a module of eventlet's or gevent's is still imported when the edits are made."""
    for node, _, alias in _imports(module, (package,)):
        span = module.span(alias if alias is not None else node)
        if not any(edit.start <= span.start and span.end <= edit.end for edit in module.file.edits):
            return True
    return False


class _Patches(cst.CSTVisitor):
    """Finds statements that do nothing but patch."""

    def __init__(self, module: PythonModule) -> None:
        self.module = module
        self.statements: list[cst.BaseSmallStatement] = []
        self.calls: list[cst.Call] = []

    def visit_Expr(self, node: cst.Expr) -> None:
        if isinstance(node.value, cst.Call):
            names = self.module.imports_of(node.value.func)
            if names and all(name in PATCHES or name.startswith("gevent.monkey.patch_") for name in names):
                self.statements.append(node)
                self.calls.append(node.value)


def _imports(
    module: PythonModule, packages: Sequence[str] = GREEN
) -> Iterator[tuple[cst.Import | cst.ImportFrom, int, cst.ImportAlias | None]]:
    """The imports of eventlet and gevent, by name; without a name for all of a module."""
    found: list[cst.Import | cst.ImportFrom] = []

    class Imports(cst.CSTVisitor):
        def visit_Import(self, node: cst.Import) -> None:
            found.append(node)

        def visit_ImportFrom(self, node: cst.ImportFrom) -> None:
            if node.module is not None and not node.relative:
                found.append(node)

    module.tree.visit(Imports())
    for node in found:
        start = (
            f"{get_full_name_for_node(node.module)}."
            if isinstance(node, cst.ImportFrom) and node.module
            else ""
        )
        if isinstance(node.names, cst.ImportStar):
            if start.split(".")[0] in packages:
                yield node, 0, None
            continue
        for number, alias in enumerate(node.names):
            if f"{start}{alias.evaluated_name}".split(".")[0] in packages:
                yield node, number, alias


def _is_within(module: PythonModule, node: cst.CSTNode, gone: set[int]) -> bool:
    at: cst.CSTNode | None = node
    while at is not None and id(at) not in gone:
        at = module.parent(at)
    return at is not None


def _is_asked_for(module: PythonModule, node: cst.CSTNode) -> bool:
    """Whether a ``try`` asks whether a package is there, and does something else than to patch."""
    at: cst.CSTNode | None = node
    while (at := module.parent(at) if at is not None else None) is not None:
        if isinstance(at, cst.Try):
            small = [
                each
                for line in at.body.body
                if isinstance(line, cst.SimpleStatementLine)
                for each in line.body
            ]
            patching = [
                each for each in small if isinstance(each, (cst.Import, cst.ImportFrom, cst.Expr, cst.Pass))
            ]
            return len(patching) < len(small) or len(at.body.body) > len(small)
    return False


def _remark_uses(
    module: PythonModule,
    node: cst.Import | cst.ImportFrom,
    alias: cst.ImportAlias | None,
    uses: Sequence[cst.CSTNode],
) -> None:
    start = (
        f"{get_full_name_for_node(node.module)}." if isinstance(node, cst.ImportFrom) and node.module else ""
    )
    imported = f"{start}{alias.evaluated_name if alias is not None else '*'}"
    places = [use for use in uses if module.has_place(use)]
    if not uses and alias is not None and _is_asked_for(module, node):
        package = imported.split(".")[0]
        module.file.remark(
            module.span(node).start,
            f"This asks whether {package} is installed, which asyncsock does not use: remove it, and what "
            "depends on the answer.",
        )
        return
    for place in places or [node]:
        at: cst.CSTNode = place
        while isinstance(parent := module.parent(at), cst.Attribute) and parent.value is at:
            at = parent
        names = sorted(module.imports_of(at)) if isinstance(at, (cst.Name, cst.Attribute)) else []
        name = names[0] if names else imported
        module.file.remark(module.span(place).start, f"{name} does not work beside asyncio: {remedy(name)}.")


def _remove_aliases(module: PythonModule, node: cst.Import | cst.ImportFrom, numbers: set[int]) -> None:
    assert not isinstance(node.names, cst.ImportStar)
    spans = [module.span(alias) for alias in node.names]
    module.file.edits += without_items(
        module.text, spans, numbers, Span(spans[0].start, module.span(node).end)
    )


def _without_statements(module: PythonModule, removed: Sequence[cst.BaseSmallStatement]) -> Iterator[Edit]:
    """Remove statements, and the blocks that nothing is left of."""
    gone = set(map(id, removed))
    lines: list[cst.SimpleStatementLine] = []
    for statement in removed:
        parent = module.parent(statement)
        if isinstance(parent, cst.SimpleStatementLine):
            if all(id(each) in gone for each in parent.body):
                lines.append(parent)
            elif (number := list(parent.body).index(statement)) + 1 < len(parent.body):
                yield Edit(module.span(statement).start, module.span(parent.body[number + 1]).start, "")
            else:
                yield Edit(module.span(parent.body[number - 1]).end, module.span(statement).end, "")
        elif isinstance(parent, cst.SimpleStatementSuite):  # "if patched: monkey.patch_all()"
            span = module.span(statement)
            yield Edit(span.start, span.end, "pass")
    left = {id(line) for line in lines}
    done: set[int] = set()
    gone_lines: list[Span] = []
    for line in lines:
        block = module.parent(line)
        if not isinstance(block, cst.IndentedBlock) or not all(id(each) in left for each in block.body):
            gone_lines.append(module.span(line))
        elif id(block) not in done:
            done.add(id(block))
            outer = _outermost(module, block)
            if _is_for_nothing(outer, left) and module.parent(outer) is module.tree:
                gone_lines.append(module.span(outer))
            else:
                yield Edit(module.span(block.body[0]).start, module.span(block.body[-1]).end, "pass")
    for span in _joined(module.text, gone_lines):
        yield module.text.without_lines(span.start, span.end)


def _joined(text: Text, spans: list[Span]) -> list[Span]:
    """Parts of a text, of which those that only spaces separate are one."""
    joined: list[Span] = []
    for span in sorted(spans):
        if joined and not text.text[joined[-1].end : span.start].strip():
            joined[-1] = Span(joined[-1].start, span.end)
        else:
            joined.append(span)
    return joined


def _outermost(module: PythonModule, block: cst.IndentedBlock) -> cst.CSTNode:
    """The statement that a block is of: of an ``elif`` or ``else``, the ``if`` before them."""
    outer = module.parent(block)
    assert outer is not None
    while isinstance(parent := module.parent(outer), cst.If) and parent.orelse is outer:
        outer = parent
    return outer


def _is_for_nothing(statement: cst.CSTNode, gone: set[int]) -> bool:
    """Whether a statement may go with its lines: an ``if`` whose tests do nothing, a plain ``try``."""
    if isinstance(statement, cst.Try):
        return _is_empty(statement.body, gone) and not statement.orelse and not statement.finalbody
    at: cst.CSTNode | None = statement
    while isinstance(at, cst.If) and _is_empty(at.body, gone) and _only_asks(at.test):
        at = at.orelse
    return at is None or (isinstance(at, cst.Else) and _is_empty(at.body, gone))


def _is_empty(body: cst.BaseSuite, gone: set[int]) -> bool:
    return isinstance(body, cst.IndentedBlock) and all(id(line) in gone for line in body.body)


def _only_asks(test: cst.BaseExpression) -> bool:
    asks = True

    class Calls(cst.CSTVisitor):
        def visit_Call(self, node: cst.Call) -> None:
            nonlocal asks
            name = get_full_name_for_node(node.func) or ""
            asks = asks and name in ("os.environ.get", "environ.get", "os.getenv", "getenv")

    test.visit(Calls())
    return asks
