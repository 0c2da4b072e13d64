"""The goals of this project, and whether a run met them."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from servers import BEFORE, OURS


@dataclass(frozen=True)
class Goal:
    """What a peer's figure is in units of ours (`least`, `limit`), or ours in its units (`most`).

    Attributes:
        ours: The server of this project that is meant, "" for the workload's base.
    """

    workload: str
    peer: str
    least: float | None = None
    most: float | None = None
    limit: float | None = None
    ours: str = ""


GOALS = [
    Goal("paced", "floor", most=1.2),
    Goal("paced", "node", 1.3),
    Goal("paced", "bun", 1.2),
    Goal("paced", "python-socketio", 7),
    Goal("paced-20k", "floor", most=1.2),
    Goal("burst", "node", 10),
    Goal("burst", "bun", 10),
    Goal("rooms", "bun", 1.2),
    Goal("ack", "node", 1.8),
    Goal("ack", "bun", 0.85),
    Goal("ack", "bun", 1, ours="asyncsock-bare"),
    Goal("ack", "flask-gevent", 10),
    Goal("ack", "python-socketio", 4),
    Goal("ack-def", "node", 1),
    Goal("ack-def", "flask-gevent", 10),
    Goal("ack-16k", "bun", 1.2),
    Goal("ack-binary", "bun", 0.9),
    Goal("ack-binary-16k", "bun", 1.2),
    *[
        goal
        for size in (1000, 4000, 8000)
        for goal in (
            Goal(f"connect-{size}", "node", 4),
            Goal(f"connect-{size}", "bun", 1.1),
            Goal(f"disconnect-{size}", "node", 2),
            Goal(f"disconnect-{size}", "bun", 1.1),
        )
    ],
    Goal("memory", "node", 2.5),
    Goal("memory", "bun", 2.5),
    Goal("http", "gunicorn-gthread", 2),
    Goal("http", "granian-wsgi", 1),
    Goal("send-file", "gunicorn-gthread", 1.2),
    Goal("polling", "node", 1.2),
    Goal("polling", "python-socketio", 4),
    Goal("queue-1", "node", 1),
    Goal("queue-100", "node", 1),
    Goal("recovery-50k", "node-recovery", 10),
    Goal("recovery-missed", "node-recovery", 10),
    Goal("paced", "asyncsock-recovery", limit=1.15),
    Goal("burst", "asyncsock-recovery", limit=1.15),
    Goal("observed-ack", "asyncsock-metrics", limit=1.03),
    Goal("observed-paced", "asyncsock-metrics", limit=1.01),
    Goal("observed-ack", "asyncsock-admin", limit=1.03),
    Goal("workers-poll", "asyncsock-foreign", limit=1.8),
    Goal("workers-polls", "asyncsock-foreign", limit=1.2),
    Goal("workers-ack", "asyncsock-foreign", limit=1.15),
    Goal("workers-messages", "asyncsock-redis", 1),
    Goal("workers-alone-ack", BEFORE, most=1.02),
    Goal("workers-alone-polling", BEFORE, most=1.02),
]
MOST_IDLE_KB = 3  # per client
# The same cost per client with few of them and with many, give or take the noise and, for memory, what a
# server has free before the first client comes: that is more for each of few.
FLAT = (
    ("disconnect-1000", "disconnect-8000", 1.25),
    ("memory", "memory-20k", 1.25),
    ("paced", "paced-20k", 1.25),
)

MOST_WORST_MS = 100  # that another client waits while one floods the server
MOST_GROWTH_MB = 16  # of the server's memory meanwhile: the largest message, decoded, and garbage
ONE_JOB_MS = 12_000  # that a `def` handler waits for a thread: as long as one job of the flooder takes


def check_floods(workloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The goals of each flood, as `check` gives those of the others."""
    found = []
    for workload in workloads:
        result = workload["servers"].get("asyncsock", {})
        if "value" not in result:
            continue
        most = ONE_JOB_MS if workload["name"] == "hostile-def" else MOST_WORST_MS
        worst, growth = result["value"], result["growth_mb"]
        for goal, figure, met in (
            (f"the other waits at most {most:,} ms", f"{worst:,.0f} ms", worst <= most),
            (f"at most {MOST_GROWTH_MB} MB", f"{growth:,.1f} MB", growth <= MOST_GROWTH_MB),
        ):
            found.append({"workload": workload["title"], "goal": goal, "figure": figure, "met": met})
    return found


def check(workloads: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Each goal that this run has figures for, in words, with the figure and whether it is met."""
    found = []

    def add(workload: dict[str, Any], text: str, figure: str, met: bool) -> None:
        found.append({"workload": workload["title"], "goal": text, "figure": figure, "met": met})

    for goal in GOALS:
        workload = workloads.get(goal.workload)
        if workload is None or goal.peer not in workload["servers"]:
            continue
        result = workload["servers"][goal.peer]
        ratio = _ratio(result, workload["servers"].get(goal.ours, {})) if goal.ours else result.get("ratio")
        if not ratio:
            continue
        if goal.most is not None:
            text = f"at most {goal.most:g}x {result['title']}"
            add(workload, text, f"{1 / ratio:.2f}x", 1 / ratio <= goal.most)
        elif goal.limit is not None:
            text = f"{result['title']} at most {goal.limit:g}x"
            add(workload, text, f"{ratio:.2f}x", ratio <= goal.limit)
        else:
            text = f"{result['title']} at least {goal.least:g}x"
            text += f" {workload['servers'][goal.ours]['title']}" if goal.ours else ""
            add(workload, text, f"{ratio:.2f}x", ratio >= (goal.least or 0))
    for name in ("memory", "memory-20k"):
        if memory := _own(workloads, name):
            text = f"at most {MOST_IDLE_KB:g} KB per client"
            add(workloads[name], text, f"{memory:.2f} KB", memory <= MOST_IDLE_KB)
    for few, many, most in FLAT:
        if (least := _own(workloads, few)) and (figure := _own(workloads, many)):
            text = f"at most {most:g}x the cost per client of {workloads[few]['size']:,}"
            add(workloads[many], text, f"{figure / least:.2f}x", figure / least <= most)
    return found


def _own(workloads: dict[str, dict[str, Any]], name: str) -> float | None:
    """What asyncsock costs in a workload, if that was in the run."""
    return workloads.get(name, {}).get("servers", {}).get(OURS, {}).get("value")


def _ratio(theirs: dict[str, Any], ours: dict[str, Any]) -> float | None:
    """A server's figure in units of another's, in each round, as `report.summarise` does with the base."""
    if "rounds" not in theirs or "rounds" not in ours:
        return None
    return median(one / other for one, other in zip(theirs["rounds"], ours["rounds"], strict=True))
