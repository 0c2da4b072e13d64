"""What starts the server: commands of gunicorn, its configuration, and the modules that these name."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from .asgi_line import TESTS, has_asgi, is_start, served_by, write_line
from .edits import Edit
from .gunicorn import CALL, SAID, Start, remark_others, starts
from .gunicorn_config import NAME, OLD_CLASSES, UVICORN_WORKERS, GunicornConfig
from .modules import PythonModule
from .names import UVICORN_WORKER
from .project import Project
from .requirements import CONDA, PIP
from .tree import SourceFile

COMMANDS = re.compile(
    r"(^|/)(dockerfile|containerfile|procfile|makefile|justfile)[^/]*$"
    r"|\.(dockerfile|procfile|mk|sh|bash|bat|cmd|ps1|ya?ml|toml|json|service|replit|conf|ini|cfg|env)$|(^|/)\.env[^/]*$",
    re.IGNORECASE,
)
SCRIPT = re.compile(r"#!.*\b(ba|da|z|k)?sh\b")


class Starting:
    """What a project is started with.

    Args:
        project: the project.
    """

    def __init__(self, project: Project) -> None:
        self.project = project
        self.moved: list[tuple[SourceFile, int]] = []  # where gunicorn was given uvicorn's worker
        self._configs: dict[str, GunicornConfig] = {}
        self._served_there: dict[tuple[str, str], bool] = {}  # by modules and names of applications

    def move(self) -> None:
        """Write the `asgi` lines, and change the commands whose application has one."""
        found = [start for file in self.project.files if has_commands(file) for start in starts(file)]
        for file in self.project.files:
            if has_commands(file):
                remark_others(file, file.remark)
        by_config: dict[str | None, list[Start]] = {}
        for start in found:
            if start.target is None and start.worker is None and start.config is None:
                continue  # a word in a list
            config = self._config_of(start)
            by_config.setdefault(config.module.file.name if config is not None else None, []).append(start)
        for name in self.project.python:
            if NAME.search(name) and (name in by_config or self._is_config(name)):
                by_config.setdefault(name, [])
        for config_name, together in by_config.items():
            config = self._config(config_name) if config_name is not None else None
            for group in [together] if config is not None else [[start] for start in together]:
                self._move_together(group, config)
        for module in self.project.modules():
            if is_start(self.project, module):
                self._write_or_remark(module)
        for file in self.project.python.values():
            if "gunicorn" in file.content and not NAME.search(file.name) and not TESTS.search(file.name):
                self._remark_program(file)

    def _move_together(self, group: list[Start], config: GunicornConfig | None) -> None:
        """Move commands that have a configuration in common; without one, a single command."""
        if config is not None and not group:
            self._move_config(config)
            return
        targets = [self._served(start, config) for start in group]
        ours = [start for start, served in zip(group, targets, strict=True) if served is not None]
        is_shared = len(ours) < len(group)  # with a command that serves another application
        can_move = config is None or (config.can_move and not (is_shared and config.has_class))
        if not can_move or False in targets:
            for start, served in zip(group, targets, strict=True):
                if served is not None:
                    self._remark_start(start, config, served)
            return
        for start in ours:
            self._move_start(start, config)
        if config is not None and ours and not is_shared:
            config.module.file.edits += config.moved()

    def _move_start(self, start: Start, config: GunicornConfig | None) -> None:
        if start.worker is not None and start.worker[1] in UVICORN_WORKERS:
            pass  # it is moved
        elif start.target is not None:
            start.file.edits += start.moved(config is not None and config.has_class)
        elif start.worker is not None:
            start.file.edits += _without_target(start)
        self.moved.append((start.file, start.offset))

    def _move_config(self, config: GunicornConfig) -> None:
        """A configuration that no command names: it can change alone if it names the application."""
        module = self._module(config.target[0], config, None) if config.target is not None else None
        if config.target is not None and module is not None and config.can_move:
            app = config.target[1]
            has_line = has_asgi(module) if app == "asgi" else write_line(self.project, module, app)
            if has_line:
                config.module.file.edits += config.moved()
                self.moved.append((config.module.file, config.offset))
                return
        if not config.is_moved and config.has_class and (module is None or self.project.reaches(module.file)):
            config.module.file.remark(
                config.offset,
                "The worker class has to change together with the command that starts gunicorn with this "
                f"file: {SAID}.",
            )

    def _served(self, start: Start, config: GunicornConfig | None) -> bool | None:
        """Whether the application of a command can be served; None if it has nothing to do with Socket.IO."""
        if start.target is not None:
            if not re.fullmatch(r"[\w.]+(:\w+)?", start.target.text):
                return False
            module_name, app = start.module
        elif config is not None and config.target is not None:
            module_name, app = config.target
        else:
            return False
        module = self._module(module_name, config, start)
        if module is None:
            return False
        if not self.project.reaches(module.file):
            return None
        if start.worker is not None and not OLD_CLASSES.match(start.worker[1]):
            return app == "asgi" and start.worker[1] in UVICORN_WORKERS
        if app == "asgi":
            return write_line(self.project, module) or None
        place = (module.file.name, app)
        if place not in self._served_there:
            self._served_there[place] = served_by(self.project, module, app) is not None and write_line(
                self.project, module, app
            )
        return self._served_there[place]

    def _remark_program(self, file: SourceFile) -> None:
        """Remark the commands that a Python program starts gunicorn with."""
        module = self.project.module(file)
        documentation = module.documentation() if module is not None else []
        for start in starts(file):
            has_old_class = start.worker is not None and OLD_CLASSES.match(start.worker[1])
            if has_old_class and not any(span.start <= start.offset < span.end for span in documentation):
                file.remark(start.offset, f"This program starts gunicorn with a worker for WSGI: {SAID}.")

    def _remark_start(self, start: Start, config: GunicornConfig | None, served: bool) -> None:
        target = start.target.text if start.target is not None else "its application"
        if CALL.match(target):
            factory = target.partition(":")[2]
            said = (
                f"gunicorn calls {factory} here, and needs an ASGI application: make a module with the lines "
                f'`app = {factory}` and `asgi = app.extensions["socketio"].asgi_app`, and {SAID}'
            )
        elif served and config is not None:
            said = (
                f"This command and {config.module.file.name} have to change together: {SAID}, without threads"
            )
        else:
            said = (
                f"gunicorn serves {target} as WSGI here: {SAID}, where the module has `asgi = "
                "socketio.asgi_app`"
            )
        start.file.remark(start.offset, f"{said}.")

    def _module(self, name: str, config: GunicornConfig | None, start: Start | None) -> PythonModule | None:
        """The module that gunicorn imports by a name."""
        folders = [start.folder if start is not None else None, config.folder if config is not None else None]
        at = start.file if start is not None else config.module.file if config is not None else None
        here = at.folder if at is not None else ""
        for folder in filter(None, folders):
            for place in (posixpath.normpath(posixpath.join(here, folder)), folder.strip("/")):
                found = self.project.find(name, "" if place == "." else place)
                if found is not None:
                    return found
        return self.project.find(name, here) or self.project.find_anywhere(name)

    def _config_of(self, start: Start) -> GunicornConfig | None:
        names = [start.config] if start.config is not None else ["gunicorn.conf.py"]
        for name in names:
            plain = name.removeprefix("file:").removeprefix("python:")
            for folder in (start.folder or "", start.file.folder, ""):
                place = posixpath.normpath(posixpath.join(folder, plain)).lstrip("/")
                if place in self.project.python:
                    return self._config(place)
            if start.config is not None:
                last = posixpath.basename(plain)
                found = [each for each in self.project.python if posixpath.basename(each) == last]
                return self._config(found[0]) if len(found) == 1 else None
        return None

    def _config(self, name: str) -> GunicornConfig | None:
        if name not in self._configs:
            module = self.project.module(self.project.python[name])
            if module is None:
                return None
            self._configs[name] = GunicornConfig(module)
        return self._configs[name]

    def _is_config(self, name: str) -> bool:
        text = self.project.python[name].content
        return re.search(
            r"^(worker_class|wsgi_app)\s*=", text, re.MULTILINE
        ) is not None and not TESTS.search(name)

    def configs(self) -> list[GunicornConfig]:
        """The files of configuration that were found."""
        return list(self._configs.values())

    def naming(self, package: str) -> Iterator[str]:
        """The files with commands that stay and name a package, as ``celery worker --pool gevent`` does."""
        word = re.compile(rf"(?<![\w.-]){package}(?![\w-])")
        for file in filter(has_commands, self.project.files):
            installed = [range(*found.span()) for found in PIP.finditer(file.content)]
            for found in word.finditer(file.content):
                line = file.content[file.text.line_start(found.start()) : found.start()]
                is_edited = any(edit.start <= found.start() < edit.end for edit in file.edits)
                is_installed = any(found.start() in span for span in installed)
                if not is_edited and not is_installed and not line.lstrip().startswith(("#", "//", "REM ")):
                    yield file.name

    def _write_or_remark(self, module: PythonModule) -> None:
        if write_line(self.project, module):
            return
        made = next(
            (binding for binding in module.made if not binding.function and not binding.statement), None
        )
        if "asgi" in module.assigned or "asgi" in module.imported:
            module.file.remark(
                module.span(module.tree).start,
                "The name asgi is taken in this module: give `socketio.asgi_app` another one, and start "
                "uvicorn with it.",
            )
        elif made is not None and made.has_app:
            module.file.remark(
                module.span(made.call).start,
                "SocketIO() is called within another statement: write `asgi = socketio.asgi_app` behind "
                "that.",
            )


def has_commands(file: SourceFile) -> bool:
    """Whether a file may have commands."""
    name = file.name.rpartition("/")[2]
    if name in ("pyproject.toml", "setup.cfg", "package-lock.json") or CONDA.search(file.name):
        return False
    if COMMANDS.search(file.name):
        return True
    return "." not in name and SCRIPT.match(file.content) is not None


def _without_target(start: Start) -> list[Edit]:
    """The changes to a command whose application is named by a configuration."""
    assert start.worker is not None
    (number, _), name = start.worker
    edits = [start.command.replace(start.command.words[number], name, UVICORN_WORKER)]
    return edits + [start.command.remove(start.file.text, at, count) for at, count in start.threads]
