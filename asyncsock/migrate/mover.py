"""Moves a project: reads its files, and finds what is to change and what a person has to look at."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

from .green import remove_patches, uses_green
from .gunicorn_requirement import add_worker
from .names import GREEN_PACKAGES
from .pages import remark_clients
from .project import Project
from .python_source import move_arguments, move_imports
from .remarks import remark_python
from .requirement import Needs
from .requirements import Requirements
from .starting import Starting, has_commands
from .tree import SourceFile, read_tree

NAMED = re.compile(r"(?<![\w.:/-])flask[-_]socketio(?![\w:/-]|\.\w)", re.IGNORECASE)
MENTIONED = re.compile(r"flask[-_.]socketio", re.IGNORECASE)


def move(path: Path) -> tuple[list[SourceFile], list[str]]:
    """Find what moving a project takes.

    Args:
        path: a folder, or one Python file.

    Returns:
        The files of the project, with their changes and what is to be said of their lines; and the names of
        Python files that could not be read. Without a sign of Flask-SocketIO, nothing is changed.

    Raises:
        OSError: the path is not there, or cannot be read.
    """
    files, unread = read_tree(path)
    project = Project(files)
    if not project.uses and not any(MENTIONED.search(file.content) for file in files):
        return files, []
    modules = list(project.modules())
    for module in modules:
        move_imports(project, module)
        move_arguments(project, module)
    starting = Starting(project)
    starting.move()
    configs = {
        id(config.module) for config in starting.configs() if config.module.file.edits or config.is_moved
    }
    for module in modules:
        remove_patches(project, module, sure=id(module) in configs)
        remark_python(project, module)
    places = {
        package: next(
            chain(
                (module.file.name for module in modules if uses_green(module, name)),
                (file.name for file in project.unparsed() if name in file.content),
                starting.naming(name),
            ),
            None,
        )
        for package, name in GREEN_PACKAGES.items()
    }
    kept = {package: place for package, place in places.items() if place is not None}
    needs = Needs(kept)
    Requirements(files, needs).move()
    if starting.moved and not needs.has_worker and not add_worker(files):
        file, offset = starting.moved[0]
        file.remark(offset, "gunicorn needs uvicorn's worker: pip install uvicorn-worker.")
    for file in files:
        remark_clients(file)
        if has_commands(file):
            _remark_names(file)
    return files, unread


def _remark_names(file: SourceFile) -> None:
    """Remark what else names Flask-SocketIO in a script or a configuration."""
    for found in NAMED.finditer(file.content):
        line = file.content[file.text.line_start(found.start()) : found.start()]
        is_edited = any(edit.start <= found.start() < edit.end for edit in file.edits)
        if not is_edited and not line.lstrip().startswith(("#", "//", ";")):
            file.remark(found.start(), f"This names {found[0]}: write asyncsock if that is what is meant.")
