"""The line `asgi = socketio.asgi_app`: which modules need it, and where it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass

import libcst as cst

from .edits import Edit
from .modules import PythonModule
from .names import FLASK_NAMES
from .project import Project

TESTS = re.compile(r"(^|/)(tests?|testing)/|(^|/)(test_[^/]*|[^/]*_test|conftest|setup)\.py$")
STARTS = re.compile(r"(^|/)(wsgi|asgi)\.py$")


@dataclass
class Served:
    """The application of a module that an ASGI server can be given.

    Args:
        app: the name of the Flask application there; None where it is not a plain name.
        line: what to write: ``asgi = socketio.asgi_app``.
        behind: the statement that it comes behind.
    """

    app: str | None
    line: str
    behind: cst.SimpleStatementLine


def served_by(project: Project, module: PythonModule, app: str | None = None) -> Served | None:
    """What `asgi` is to be in a module whose own statements make a SocketIO object and its application.

    Args:
        project: the project.
        module: the module.
        app: the name that a command calls the application by there, if one does.

    Returns:
        It, or None if that cannot be told.
    """
    found = [
        *_bound_here(project, module),
        *_from_factory(project, module, app),
        *(_imported(project, module, app) if app is not None else ()),
    ]
    if app is not None:
        found = [each for each in found if each.app in module.same_as(app)]
    return max(found, key=lambda each: module.tree.body.index(each.behind), default=None)


def has_asgi(module: PythonModule) -> bool:
    """Whether a module has the line."""
    statement = module.assigned.get("asgi")
    return statement is not None and ".asgi_app" in cst.Module([statement]).code


def write_line(project: Project, module: PythonModule, app: str | None = None) -> bool:
    """Write the line into a module where it belongs.

    Returns:
        Whether the module has it then.
    """
    if has_asgi(module):
        return True
    served = served_by(project, module, app)
    if served is None or "asgi" in module.imported or "asgi" in module.assigned:
        return False
    end = module.span(served.behind).end
    if any(
        edit.text.startswith("asgi = ") or edit.text.lstrip().startswith("asgi = ")
        for edit in module.file.edits
    ):
        return True
    offset = module.text.line_end(end)
    newline = module.text.newline
    ended = module.file.content[:offset].endswith(("\n", "\r"))
    gap = newline if _is_import(served.behind) else ""
    line = f"{gap}{served.line}{newline}" if ended else f"{newline}{gap}{served.line}"
    module.file.edits.append(Edit(offset, offset, line))
    return True


def is_start(project: Project, module: PythonModule) -> bool:
    """Whether a module that nobody names in a command is what a server starts with."""
    if TESTS.search(module.file.name):
        return False
    made = any(binding.has_app and not binding.function for binding in module.made)
    if made or any(_bound_here(project, module)) or STARTS.search(module.file.name):
        return True
    return any(
        isinstance(call.call.func, cst.Attribute)
        and call.call.func.attr.value == "run"
        and project.socketio(module, call.call.func.value) is not None
        for call in module.calls
    )


def _bound_here(project: Project, module: PythonModule) -> list[Served]:
    """SocketIO(app) or socketio.init_app(app) as a statement of the module."""
    found = []
    for binding in [*module.made, *module.given]:
        if not binding.has_app or binding.statement is None or not binding.owner.isidentifier():
            continue
        target = project.definition(module, binding.owner)
        name = _name_of(module, binding.owner)
        if target is not None and _has_asgi_app(target) and name is not None:
            found.append(Served(binding.app, f"asgi = {name}.asgi_app", binding.statement))
    return found


def _has_asgi_app(owner: tuple[PythonModule, str]) -> bool:
    """Whether an object is a SocketIO, and of asyncsock when the changes are made."""
    module, name = owner
    return module.made_here(name) and not module.keeps_package


def _name_of(module: PythonModule, owner: str) -> str | None:
    bound = owner in module.assigned or owner in module.imported or module.starred
    return owner if bound else None


def _from_factory(project: Project, module: PythonModule, app: str | None) -> list[Served]:
    """``app = create_app()`` in the module itself, where that gives a SocketIO object its application."""
    found = []
    for call in module.calls:
        targets = call.targets or [each for each in call.elements if each == app or each in FLASK_NAMES]
        if call.statement is None or len(targets) != 1:
            continue
        owners = [_given_by(project, module, name) for name in sorted(call.names)]
        given = [owner for owner in owners if owner is not None]
        if given and given.count(given[0]) == len(given):  # from one place, whatever names a try gives it
            found.append(Served(targets[0], _line(project, module, given[0], targets[0]), call.statement))
    return found


def _given_by(project: Project, module: PythonModule, function: str) -> tuple[PythonModule, str] | None:
    """The SocketIO object that a function gives its application."""
    place = project.definition(module, function)
    if place is None:
        return None
    owners: list[tuple[PythonModule, str]] = []
    _collect(project, *place, owners, set())
    return owners[0] if len(owners) == 1 else None


def _collect(
    project: Project,
    module: PythonModule,
    function: str,
    owners: list[tuple[PythonModule, str]],
    seen: set[tuple[str, str]],
) -> None:
    if (module.file.name, function) in seen:
        return
    seen.add((module.file.name, function))
    for binding in [*module.made, *module.given]:
        if binding.function == function and binding.has_app:
            owner = project.definition(module, binding.owner)
            if owner is not None and _has_asgi_app(owner) and owner not in owners:
                owners.append(owner)
    for call in module.calls:
        if call.function == function:
            for name in sorted(call.names):
                place = project.definition(module, name)
                if place is not None:
                    _collect(project, *place, owners, seen)


def _imported(project: Project, module: PythonModule, app: str) -> list[Served]:
    """An application and its SocketIO object that the module has from other modules of the project."""
    target = project.definition(module, app)
    if app not in module.imported or target is None or target[0] is module:
        return []
    there = served_by(project, target[0], target[1])
    if there is None:
        return []
    behind = next(
        (each for each in reversed(_leading_imports(module)) if isinstance(each, cst.SimpleStatementLine)),
        None,
    )
    if behind is None:
        return []
    owner_name = there.line.removeprefix("asgi = ").removesuffix(".asgi_app")
    owner = project.definition(target[0], owner_name)
    line = (
        _line(project, module, owner, app)
        if owner is not None
        else f'asgi = {app}.extensions["socketio"].asgi_app'
    )
    return [Served(app, line, behind)]


def _line(project: Project, module: PythonModule, owner: tuple[PythonModule, str], app: str) -> str:
    """The line, by the name that the object has in the module, or else through the application."""
    for name in [*module.imported, *module.assigned]:
        if project.definition(module, name) == owner:
            return f"asgi = {name}.asgi_app"
    return f'asgi = {app}.extensions["socketio"].asgi_app'


def _leading_imports(module: PythonModule) -> list[cst.SimpleStatementLine]:
    """The imports before anything else, but for the module's documentation."""
    found = []
    for statement in module.tree.body:
        if _is_import(statement) and isinstance(statement, cst.SimpleStatementLine):
            found.append(statement)
        elif found and not (
            isinstance(statement, cst.SimpleStatementLine) and isinstance(statement.body[0], cst.Expr)
        ):
            break
    return found


def _is_import(statement: cst.CSTNode) -> bool:
    return isinstance(statement, cst.SimpleStatementLine) and isinstance(
        statement.body[0], (cst.Import, cst.ImportFrom)
    )
