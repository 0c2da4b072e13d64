"""gunicorn's commands: the worker class and the application change together, or not at all."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from .edits import Edit
from .names import UVICORN_WORKER
from .tree import SourceFile
from .words import Command, Word, commands

FLAGS = {  # options that take no value
    *(
        "-D",
        "--daemon",
        "-R",
        "--enable-stdio-inheritance",
        "--reload",
        "--preload",
        "--spew",
        "--check-config",
    ),
    *(
        "--print-config",
        "--no-sendfile",
        "--reuse-port",
        "--capture-output",
        "--log-syslog",
        "--proxy-protocol",
    ),
    *(
        "--do-handshake-on-connect",
        "--suppress-ragged-eofs",
        "--disable-redirect-access-to-syslog",
        "--initgroups",
    ),
    *("--strip-header-spaces", "--permit-unconventional-http-method", "--permit-unconventional-http-version"),
    *("--permit-obsolete-folding", "--casefold-http-method", "--no-control-socket"),
}
TARGET = re.compile(r"[\w.]+(:\w+)?$")
CALL = re.compile(r"[\w.]+:\w+\(.*\)$", re.DOTALL)
WORKER_OPTIONS = ("-k", "--worker-class")
YAML = (".yml", ".yaml")
SAID = f"start `module:asgi` with -k {UVICORN_WORKER} (package uvicorn-worker), both together"


@dataclass
class Start:
    """A command that starts gunicorn.

    Args:
        file: where it is.
        command: its words.
        target: the word that names the application, if one does.
        worker: the numbers of the words that name the worker class, and the class.
        threads: the numbers of the words that tell a number of threads.
        config: the file with its configuration, if it names one.
        folder: the folder that it changes to.
        edits: what is to be done, if its application can be served.
    """

    file: SourceFile
    command: Command
    target: Word | None = None
    worker: tuple[tuple[int, int], str] | None = None
    threads: list[tuple[int, int]] = field(default_factory=list)
    config: str | None = None
    folder: str | None = None

    @property
    def offset(self) -> int:
        return self.command.words[0].start

    @property
    def module(self) -> tuple[str, str]:
        """The module and the name of the application in it."""
        assert self.target is not None
        module, _, name = self.target.text.partition(":")
        return module, name or "application"

    def moved(self, has_class: bool) -> list[Edit]:
        """The changes.

        Args:
            has_class: whether a file of configuration names the worker class.
        """
        assert self.target is not None
        text = self.file.text
        edits = []
        _, colon, name = self.target.text.partition(":")
        if colon:
            edits.append(self.command.replace(self.target, name, "asgi"))
        else:
            edits.append(Edit(self.target.end, self.target.end, ":asgi"))
        if self.worker is not None:
            (number, _), name = self.worker
            edits.append(self.command.replace(self.command.words[number], name, UVICORN_WORKER))
        elif not has_class:
            edits.append(self.command.insert(text, ("-k", UVICORN_WORKER)))
        return edits + [self.command.remove(text, number, count) for number, count in self.threads]


def starts(file: SourceFile) -> list[Start]:
    """The commands of a file that start gunicorn."""
    return [
        read(file, command) for command in commands(file.text, yaml=file.name.endswith(YAML)) if command.words
    ]


def read(file: SourceFile, command: Command) -> Start:
    """What the words of a command mean."""
    found = Start(file, command)
    words = command.words
    at = 1
    while at < len(words):
        word = words[at]
        option, equals, value = word.text.partition("=")
        if not word.text.startswith("-"):
            if found.target is None and (
                TARGET.match(word.text) or CALL.match(word.text) or "$" in word.text
            ):
                found.target = word
            at += 1
            continue
        if option in FLAGS:
            at += 1
            continue
        if re.match(r"-[kwbct]\S", word.text) and not word.text.startswith("--"):  # "-w4"
            option, value, equals = word.text[:2], word.text[2:], "="
        count = 1 if equals else 2
        if count == 2 and at + 1 >= len(words):
            break
        value = value if equals else words[at + 1].text
        if option in WORKER_OPTIONS:
            found.worker = (at + count - 1, count), value
        elif option == "--threads":
            found.threads.append((at, count))
        elif option in ("-c", "--config"):
            found.config = value
        elif option == "--chdir":
            found.folder = value
        at += count
    return found


def remark_others(file: SourceFile, say: Callable[[int, str], None]) -> None:
    """Remark commands that start servers for WSGI, and options that come from the environment."""
    for pattern, text in OTHERS:
        for found in pattern.finditer(file.content):
            before = file.content[file.text.line_start(found.start()) : found.start()]
            if not re.match(r"\s*(#|//|REM\b)", before) and not re.search(r"\b(install|add|apk)\b", before):
                say(found.start(), text)


def _at_start(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.@=-]){pattern}")


OTHERS = (
    (_at_start(r"waitress-serve\b"), "waitress serves WSGI only: start `uvicorn module:asgi` in its place."),
    (
        _at_start(r"uwsgi(?=[ \"',]+(-|\S+\.(ini|ya?ml|xml)))"),
        "uWSGI cannot serve asyncsock: start `uvicorn module:asgi` in its place.",
    ),
    (
        re.compile(r"^\[uwsgi\]", re.MULTILINE),
        "uWSGI cannot serve asyncsock: start `uvicorn module:asgi` in its place.",
    ),
    (
        re.compile(r"\bGUNICORN_CMD_ARGS\b"),
        f"gunicorn has options in the environment: {SAID}, and without --threads.",
    ),
    (
        re.compile(
            r"(?<![\w.-])flask(?![\w.:-])(?=[^\n;&|]{0,200}?(\s|\", ?\")run\b)(?![^\n]{0,200}\bsocketio\b)"
        ),
        "`flask run` serves no Socket.IO: use `flask --app module socketio run`.",
    ),
)
