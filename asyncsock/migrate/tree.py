"""The files of a project: which of them are read, and how."""

from __future__ import annotations

import io
import os
import tokenize
from collections.abc import Iterator
from pathlib import Path

from .edits import Edit, Remark, Text, apply, moved_to

LARGEST = 1_000_000  # bytes of a file; what is larger was not written by hand
SKIPPED_FOLDERS = {
    *(".git", ".hg", ".svn", ".tox", ".nox", ".eggs", ".venv", "venv", "node_modules", "site-packages"),
    *("__pycache__", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".ipynb_checkpoints", "bower_components"),
}
MARKS_OF_ENVIRONMENTS = {"pyvenv.cfg", "conda-meta"}


class SourceFile:
    """A file of the project, and what is found about it.

    Args:
        path: where it is.
        name: its path below the root, with slashes.
        content: the text.
        encoding: what the text has to be encoded with again.
    """

    def __init__(self, path: Path, name: str, content: str, encoding: str) -> None:
        self.path = path
        self.name = name
        self.text = Text(content)
        self.encoding = encoding
        self.edits: list[Edit] = []
        self.remarks: list[Remark] = []

    @property
    def content(self) -> str:
        return self.text.text

    @property
    def folder(self) -> str:
        """The path of its folder below the root, or an empty text for the root itself."""
        return self.name.rpartition("/")[0]

    def remark(self, offset: int, text: str) -> None:
        self.remarks.append(Remark(offset, text))

    def lines_to_look_at(self, *, written: bool) -> list[tuple[int, str]]:
        """The numbers of the lines that are remarked, before or after the changes, and the remarks."""
        text = Text(self.changed()) if written else self.text
        edits = self.edits if written else []
        return sorted({(text.line_of(moved_to(offset, edits)), said) for offset, said in self.remarks})

    def changed(self) -> str:
        """The text as it is to be."""
        return apply(self.content, self.edits)

    def write(self) -> None:
        self.path.write_bytes(self.changed().encode(self.encoding))


def read_tree(path: Path) -> tuple[list[SourceFile], list[str]]:
    """Read a file, or the files of a folder.

    Returns:
        The files that can be read as text, and the names of Python files that cannot, or that are too large,
        and seem to have to do with Socket.IO.

    Raises:
        OSError: the path is not there, or cannot be read.
    """
    if path.is_file():
        root, paths = path.parent, [path]
    else:
        os.listdir(path)  # which raises where os.walk does not
        root, paths = path, sorted(_walk(path))
    files, unread = [], []
    for each in paths:
        name = each.relative_to(root).as_posix()
        try:
            found = _read(each, name)
        except (OSError, SyntaxError, ValueError):
            found = None
        if found is not None:
            files.append(found)
        elif name.endswith(".py") and _may_concern(each):
            unread.append(name)
    return files, unread


def _may_concern(path: Path) -> bool:
    """Whether the beginning of a file that cannot be read as text names Socket.IO."""
    try:
        with path.open("rb") as file:
            return b"socketio" in file.read(LARGEST)
    except OSError:
        return True


def _walk(root: Path) -> Iterator[Path]:
    """The files that are neither in an environment nor elsewhere, where a link leads."""
    for folder, folders, names in os.walk(root):
        if Path(folder) != root and MARKS_OF_ENVIRONMENTS.intersection([*folders, *names]):
            folders.clear()
            continue
        folders[:] = [name for name in folders if name not in SKIPPED_FOLDERS]
        for name in names:
            path = Path(folder, name)
            if is_of_interest(name) and not path.is_symlink() and path.is_file():
                yield path


def is_of_interest(name: str) -> bool:
    """Whether a file of this name may have something to move."""
    stem, dot, suffix = name.lower().rpartition(".")
    return (
        dot == ""  # a Dockerfile, or a script that says in its first line what runs it
        or suffix in SUFFIXES
        or stem in NAMES
        or (stem.startswith("requirements") and suffix in ("txt", "in", "lock"))
    )


NAMES = {"dockerfile", "containerfile", "procfile"}  # also with something behind a dot
SUFFIXES = {
    *(
        "py",
        "pyw",
        "txt",
        "in",
        "toml",
        "cfg",
        "ini",
        "conf",
        "yml",
        "yaml",
        "json",
        "lock",
        "sh",
        "bash",
        "bat",
    ),
    *(
        "service",
        "replit",
        "dockerfile",
        "procfile",
        "env",
        "html",
        "htm",
        "j2",
        "jinja",
        "jinja2",
        "js",
        "mk",
        "cmd",
        "ps1",
    ),
}


def _read(path: Path, name: str) -> SourceFile | None:
    if path.stat().st_size > LARGEST:
        return None
    raw = path.read_bytes()
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"  # what PowerShell writes for "pip freeze > requirements.txt"
    elif b"\0" in raw:
        return None
    elif path.suffix in (".py", ".pyw"):
        encoding = tokenize.detect_encoding(io.BytesIO(raw).readline)[0]
    else:
        encoding = "utf-8-sig" if raw.startswith(b"\xef\xbb\xbf") else "utf-8"
    try:
        content = raw.decode(encoding)
    except UnicodeDecodeError:
        if encoding != "utf-8" or path.suffix in (".py", ".pyw"):
            raise
        encoding = "latin-1"  # which has a character for each byte
        content = raw.decode(encoding)
    return SourceFile(path, name, content, encoding) if content.encode(encoding) == raw else None
