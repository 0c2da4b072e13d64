"""The documents: links lead somewhere, and the tables name everything that Flask-SocketIO has."""

from __future__ import annotations

import ast
import dataclasses
import functools
import importlib.util
import inspect
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote

import pytest

from asyncsock.engine.limits import Limits
from tests.support.log_calls import Line, logged_lines
from tests.support.parity_differences import DIFFERENCES
from tests.support.required_parts import require
from tests.support.server_process import ROOT

MIGRATING = ROOT / "docs" / "howto" / "migrating.md"
SAME = ROOT / "docs" / "reference" / "same-as-flask-socketio.md"
TABLES = (MIGRATING, SAME, ROOT / "docs" / "howto" / "python-socketio.md")
GUARANTEES = ROOT / "docs" / "explanation" / "guarantees.md"
MANUAL = [page for page in sorted(ROOT.glob("docs/**/*.md")) if "_build" not in page.parts]
DOCUMENTS = [
    *sorted(ROOT.glob("*.md")),
    *MANUAL,
    ROOT / "benchmarks" / "README.md",
    *sorted(ROOT.glob("examples/*/README.md")),
]
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def headings(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.*)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_relative_link_leads_somewhere(document: Path) -> None:
    text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
    for _, target in LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        path, _, anchor = unquote(target).partition("#")
        file = (document.parent / path).resolve() if path else document
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in headings(file), target


def test_the_small_application_is_the_one_in_the_examples() -> None:
    section = MIGRATING.read_text().partition("## A small application")[2].partition("\n## ")[0]
    blocks = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 2
    for block, name in zip(blocks, ("before.py", "after.py"), strict=True):
        program = (ROOT / "examples" / "migrated" / name).read_text()
        for part in block.strip().split("\n\n\n"):
            assert all(piece in program for piece in part.split("\n\n")), part


# The tables of what differs from Flask-SocketIO, what is the same, and of python-socketio


class Row(NamedTuple):
    page: Path
    section: str
    theirs: str
    here: str
    tests: str


@functools.cache
def rows_of(pages: tuple[Path, ...]) -> list[Row]:
    found = []
    for page in pages:
        section = ""
        for line in page.read_text().splitlines():
            if line.startswith("#"):
                section = line.strip("# ")
            cells = [cell.strip() for cell in line.strip().strip("|").split(" | ")]
            if line.startswith("|") and len(cells) == 3 and not set(cells[0]) <= set("-|"):
                found.append(Row(page, section, *cells))
    return [row for row in found if row.tests != "Test"]


def rows() -> list[Row]:
    return rows_of(TABLES)


@functools.cache
def functions_of(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize(
    "row", rows_of((*TABLES, GUARANTEES)), ids=lambda row: f"{row.section}: {row.theirs}"
)
def test_every_row_has_a_link_to_its_test(row: Row) -> None:
    links = LINK.findall(row.tests)
    assert links
    for name, target in links:
        assert name.startswith("test_")
        assert name in functions_of((row.page.parent / target).resolve()), target


def test_every_difference_of_the_parity_script_has_a_row() -> None:
    shown = [row for row in rows() if "test_the_differences_are_there" in row.tests]
    assert len(shown) == len(DIFFERENCES)


def named(section: str) -> set[str]:
    """What stands in backticks in the first column of a section's rows."""
    cells = [row.theirs for row in rows() if row.section.startswith(section)]
    return {name for cell in cells for name in re.findall("`(.+?)`", cell)}


@pytest.fixture
def flask_socketio() -> Any:
    require(importlib.util.find_spec("flask_socketio"), "Python package flask-socketio")
    return importlib.import_module("flask_socketio")


def parameters(function: Any) -> set[str]:
    """The parameters of a function, from its documentation too, as it takes most of them as keywords."""
    described = set(re.findall(r":param \*?(\w+):", inspect.getdoc(function) or ""))
    return (described | set(inspect.signature(function).parameters)) - {"self", "kwargs"}


def public(thing: type) -> set[str]:
    return {name for name in dir(thing) if not name.startswith("_")}


def test_every_option_of_the_constructor_is_in_the_table(flask_socketio: Any) -> None:
    import engineio
    import socketio

    options = parameters(flask_socketio.SocketIO) - {"app"}
    options |= parameters(socketio.Server) - {"kwargs"}
    options |= parameters(engineio.Server) - {"kwargs"}
    assert len(options) > 20
    assert options <= named("Options of")


def test_every_method_of_socketio_is_in_the_table(flask_socketio: Any) -> None:
    cells = " ".join(row.theirs for row in rows())
    for name in public(flask_socketio.SocketIO):
        assert f"`{name}()`" in cells or re.search(rf"socketio\.{name}(\(\))?`", cells), name


def test_every_function_is_in_the_table(flask_socketio: Any) -> None:
    functions = [
        name
        for name, value in vars(flask_socketio).items()
        if inspect.isfunction(value) and value.__module__ == "flask_socketio"
    ]
    assert len(functions) >= 8
    everything = named("")
    assert {f"{name}()" for name in functions} <= everything


@pytest.mark.parametrize("class_name", ["Namespace", "SocketIOTestClient"])
def test_every_method_of_the_other_classes_is_in_the_table(flask_socketio: Any, class_name: str) -> None:
    methods = {
        f"{class_name}.{name}()"
        for name, value in inspect.getmembers(getattr(flask_socketio, class_name), inspect.isfunction)
        if not name.startswith("_")
    }
    assert len(methods) >= 6
    assert methods <= named("")


def test_every_argument_is_in_the_table(flask_socketio: Any) -> None:
    for name in ("emit", "send", "call"):
        arguments = parameters(getattr(flask_socketio, name)) | parameters(
            getattr(flask_socketio.SocketIO, name)
        )
        assert arguments - {"event", "message", "data"} <= named("Sending")
    for name in ("join_room", "leave_room", "close_room", "rooms", "disconnect"):
        arguments = parameters(getattr(flask_socketio, name))
        assert arguments - {"room", "namespace"} <= named("Rooms")
    client = flask_socketio.SocketIO.test_client
    assert parameters(client) - {"app"} <= named("Test client")
    assert parameters(flask_socketio.SocketIO.run) - {"app"} <= named("Running")


# docs/howto/hostile-clients.md


@pytest.mark.parametrize(
    "limit", [each for each in dataclasses.fields(Limits) if each.init], ids=lambda each: each.name
)
def test_every_limit_is_in_the_guide_with_its_default(limit: dataclasses.Field[Any]) -> None:
    page = (ROOT / "docs" / "howto" / "hostile-clients.md").read_text()
    (row,) = [line for line in page.splitlines() if line.startswith("| ") and f"`{limit.name}`" in line]
    bounded = page.index(row) < page.index("## What to set")
    assert bounded == (limit.default is not None)
    if bounded:
        default = limit.default
        spellings = f"{default:,}", f"{default / 1024:g} KB", f"{default:g} seconds"
        assert any(f"`{limit.name}`, {spelling} " in row for spelling in spellings), row


# docs/howto/observing.md


OBSERVING = (ROOT / "docs" / "howto" / "observing.md").read_text()


def test_every_warning_and_every_error_is_in_the_list_with_what_to_do() -> None:
    listed: dict[Line, str] = {}
    logger = ""
    for row in (ROOT / "docs" / "reference" / "log-lines.md").read_text().splitlines():
        if named := re.match("`(.+?)`: ", row):
            logger = named[1]
        elif cells := re.fullmatch(r"\| (WARNING|ERROR) \| (`+ ?)(.+?) ?`+ \| (.+) \|", row):
            listed[Line(logger, cells[1], cells[3])] = cells[4]
    lines = logged_lines()
    assert len(lines) > 50
    assert [line for line in lines if line not in listed] == []
    assert [line for line in listed if line not in lines] == []


@pytest.mark.parametrize("name", ["json_lines.py", "logging.json"])
def test_the_page_quotes_the_files_about_logs(name: str) -> None:
    assert f"\n{(ROOT / 'docs' / 'files' / name).read_text()}```" in OBSERVING
