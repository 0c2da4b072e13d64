"""One requirement, such as `flask-socketio>=5.3`, and what becomes of it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from .names import GREEN_PACKAGES
from .tree import SourceFile

REQUIREMENT = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)(?P<extras>[ \t]*\[[^\]\n]*\])?"
    r"(?P<version>[ \t]*\(?(?:[ \t]*,?[ \t]*(?:===|==|~=|!=|<=|>=|<|>)[ \t]*[\w.*+!-]+)*\)?)"
    r"(?P<marker>[ \t]*;[^#\r\n]*)?[ \t]*"
)
# The oldest versions that asyncsock works with, of packages that are often held back.
OLDEST = {
    "flask": (3,),
    "werkzeug": (3,),
    "python-socketio": (5, 14),
    "python-engineio": (4, 12),
    "uvicorn": (0, 52),
    "websockets": (13,),
}
WITH_FLASK = ("flask", "werkzeug")  # which can be moved before
UPPER = re.compile(r"(===|==|~=|<=|<)\s*(\d+(?:\.\d+)*)")
WORKER_EXTRAS = {"eventlet", "gevent", "gthread"}  # of gunicorn


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


class Needs:
    """What the project needs after the move.

    Args:
        kept: the packages of eventlet and gevent that the project still uses, with a file that does.
    """

    def __init__(self, kept: Mapping[str, str]) -> None:
        self.kept = kept
        self.has_worker = False  # whether uvicorn's worker for gunicorn is among the requirements

    def decide(self, file: SourceFile, offset: int, found: re.Match[str]) -> str | None:
        """What comes in the place of a requirement: another, nothing (an empty text), or itself (None)."""
        name = normal(found["name"])
        self.has_worker = self.has_worker or name == "uvicorn-worker"
        if name == "flask-socketio":
            old = "This is older than Flask-SocketIO 5: move to that first, with clients of version 3 or 4."
            self._look_at_version(file, offset, found, (5,), old)
            return "asyncsock" + (found["marker"] or "").rstrip()
        if name in GREEN_PACKAGES:
            if name not in self.kept:
                return ""
            said = f"stays, as {self.kept[name]} names it; asyncsock does not need it"
            file.remark(offset, f"{found['name']} {said}.")
        elif name == "gunicorn":
            return self._without_extras(found)
        elif name in OLDEST:
            wanted = f"{found['name']} {'.'.join(map(str, OLDEST[name]))}"
            first = "move to that first, while the project is on Flask-SocketIO"
            said = f"asyncsock needs {wanted} or later: {first if name in WITH_FLASK else 'raise this'}."
            self._look_at_version(file, offset, found, OLDEST[name], said)
        return None

    def _without_extras(self, gunicorn: re.Match[str]) -> str | None:
        """``gunicorn[gevent]`` without the extra, or None where nothing changes."""
        extras = [extra.strip() for extra in (gunicorn["extras"] or "").strip(" \t[]").split(",")]
        left = [extra for extra in extras if extra not in WORKER_EXTRAS - self.kept.keys()]
        if left == extras:
            return None
        text = f"[{','.join(left)}]" if left else ""
        return f"{gunicorn['name']}{text}{gunicorn['version']}{gunicorn['marker'] or ''}".rstrip()

    def _look_at_version(
        self, file: SourceFile, offset: int, found: re.Match[str], oldest: tuple[int, ...], said: str
    ) -> None:
        for operator, version in UPPER.findall(found["version"] or ""):
            if _is_below(operator, version, oldest):
                file.remark(offset, said)
                return


def _is_below(operator: str, version: str, oldest: tuple[int, ...]) -> bool:
    """Whether a bound such as ``<3`` or ``==2.3.1`` keeps a package below the oldest version that works."""
    numbers = tuple(map(int, version.split(".")))
    if operator == "<":
        return numbers + (0,) * (len(oldest) - len(numbers)) <= oldest + (0,) * (len(numbers) - len(oldest))
    if operator == "~=" and len(numbers) == 2 and numbers[0] == oldest[0]:
        return False  # "~=5.8" may be 5.14
    return numbers[: len(oldest)] < oldest
