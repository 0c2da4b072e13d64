"""docs/explanation/architecture.md names what is there, and imports point the way that its map shows."""

from __future__ import annotations

import ast
import functools
import graphlib
import re
from collections.abc import Iterator, Sequence

from tests.support.server_process import ROOT

PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
PACKAGE = ROOT / "asyncsock"
FILES = [path.relative_to(PACKAGE).as_posix() for path in sorted(PACKAGE.rglob("*.py"))]


@functools.cache
def tree_of(file: str) -> ast.Module:
    return ast.parse((PACKAGE / file).read_text())


# Names


def defined(body: Sequence[ast.stmt], owner: str = "") -> Iterator[str]:
    """The functions and classes of a body, and what is assigned to in it or, in methods, to ``self``."""
    for node in body:
        is_function = isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield owner + node.name
        if isinstance(node, ast.ClassDef):
            yield from defined(node.body, f"{owner}{node.name}.")
            continue
        for part in ast.walk(node):
            if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store):
                if ast.unparse(part.value) == "self":
                    yield owner + part.attr
            elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and not is_function:
                yield owner + part.id


def named() -> Iterator[tuple[str, str]]:
    """Each name of the page after the file that was named last before it in the same item or row."""
    for item in re.split(r"\n\n|\n(?=\|| *- |\d+\. )", PAGE):
        file = ""
        for span in re.findall(r"`([^`]+)`", item):
            if span.endswith((".py", "/")):
                file = span
                yield file, ""
            elif re.fullmatch(r"\w+(\.\w+)*", span):
                yield file, span


def is_there(file: str, name: str) -> bool:
    if not name or not file.endswith(".py"):
        return not name and (PACKAGE / file).exists()
    return file in FILES and name in set(defined(tree_of(file).body))


def test_every_file_and_every_name_of_the_page_is_there() -> None:
    names = list(named())
    assert len(names) > 200
    unknown = [f"{file or '(no file before it)'}: {name}" for file, name in names if not is_there(file, name)]
    assert not unknown, "\n".join(unknown)


# Layers


def module_of(file: str) -> str:
    return f"asyncsock/{file}".removesuffix(".py").removesuffix("/__init__").replace("/", ".")


OURS = {module_of(file): file for file in FILES}


def imported(file: str) -> Iterator[str]:
    """What a file imports, within functions and for types only too: files of ours, or others' modules."""
    folders = f"asyncsock/{file}".split("/")[:-1]
    for node in ast.walk(tree_of(file)):
        if isinstance(node, ast.Import):
            yield from (OURS.get(alias.name, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = folders[: len(folders) - node.level + 1] if node.level else []
            module = ".".join([*package, *filter(None, [node.module])])
            names = [f"{module}.{alias.name}" for alias in node.names]
            yield from (OURS.get(name) or OURS.get(module, name) for name in names)


IMPORTS = {file: set(imported(file)) for file in FILES}


def test_imports_point_down_on_the_map() -> None:
    table = PAGE.partition("\n## The packages\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
    parts = [part for row in rows for part in re.findall(r"`([^`]+)`", row)]
    levels = {file: [at for at, part in enumerate(parts) if file.startswith(part)] for file in FILES}
    assert {file: found for file, found in levels.items() if len(found) != 1} == {}
    assert [(a, b) for a in FILES for b in IMPORTS[a] & levels.keys() if levels[a] > levels[b]] == []
    assert parts[-1] == "engine/"  # so it imports nothing else of ours


def test_only_the_flask_bridge_imports_flask_and_only_the_uvicorn_folder_the_insides_of_uvicorn() -> None:
    for file, names in IMPORTS.items():
        for name in names.difference(FILES):
            if re.match(r"(flask|werkzeug)\b", name):
                assert file.startswith("flask_bridge/"), f"{file} imports {name}"
            if re.match(r"uvicorn\b", name):  # the module itself is for programs: it starts a server
                assert file.startswith("uvicorn/" if "." in name else "flask_bridge/"), (
                    f"{file} imports {name}"
                )


def test_no_module_imports_itself_through_others() -> None:
    graph = {file: names & IMPORTS.keys() for file, names in IMPORTS.items()}
    graphlib.TopologicalSorter(graph).prepare()  # it raises CycleError, which names the files
