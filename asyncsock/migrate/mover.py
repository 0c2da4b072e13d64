"""Moves a project: reads its files, and finds what is to change and what a person has to look at."""

from __future__ import annotations

import re
from pathlib import Path

from .green import remove_patches, uses_green
from .names import GREEN_PACKAGES
from .pages import remark_clients
from .project import Project
from .python_source import move_arguments, move_imports
from .remarks import remark_python
from .requirements import Requirements
from .starting import Starting
from .tree import SourceFile, read_tree

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
    kept = {
        package
        for package, name in GREEN_PACKAGES.items()
        if any(uses_green(module, name) for module in modules)
    }
    requirements = Requirements(files, kept, bool(starting.moved))
    requirements.move()
    if requirements.lacks_worker:
        file, offset = starting.moved[0]
        file.remark(offset, "gunicorn needs uvicorn's worker: pip install uvicorn-worker.")
    for file in files:
        remark_clients(file)
    return files, unread
