"""The goals of this project, and whether a run met them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from servers import BEFORE


@dataclass(frozen=True)
class Goal:
    """What a peer's figure is in units of ours (`least`, `limit`), or ours in its units (`most`)."""

    workload: str
    peer: str
    least: float | None = None
    most: float | None = None
    limit: float | None = None


GOALS = [
    Goal("paced", "floor", most=1.7),
    Goal("paced", "node", 1.3),
    Goal("paced", "bun", 1.3),
    Goal("paced", "python-socketio", 7),
    Goal("burst", "node", 10),
    Goal("burst", "bun", 10),
    Goal("ack", "node", 1),
    Goal("ack", "bun", 1),
    Goal("ack", "flask-gevent", 10),
    Goal("ack", "python-socketio", 4),
    Goal("ack-def", "flask-gevent", 2.5),
    *[
        goal
        for size in (1000, 4000, 8000)
        for goal in (
            Goal(f"connect-{size}", "node", 1.5),
            Goal(f"connect-{size}", "bun", 1),
            Goal(f"disconnect-{size}", "node", 2),
            Goal(f"disconnect-{size}", "bun", 1),
        )
    ],
    Goal("memory", "node", 2.5),
    Goal("memory", "bun", 2.5),
    Goal("http", "gunicorn-gthread", 1.5),
    Goal("polling", "python-socketio", 2.5),
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
MOST_IDLE_KB = 10
FLAT = ("disconnect-1000", "disconnect-8000", 1.25)  # the same cost per client, give or take the noise

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
        ratio = result.get("ratio")
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
            add(workload, text, f"{ratio:.2f}x", ratio >= (goal.least or 0))
    memory = workloads.get("memory", {}).get("servers", {}).get("asyncsock", {}).get("value")
    if memory is not None:
        add(
            workloads["memory"],
            f"at most {MOST_IDLE_KB} KB per client",
            f"{memory:.1f} KB",
            memory <= MOST_IDLE_KB,
        )
    few, many = (
        workloads.get(name, {}).get("servers", {}).get("asyncsock", {}).get("value") for name in FLAT[:2]
    )
    if few and many:
        add(workloads[FLAT[1]], "as much per client as 1,000", f"{many / few:.2f}x", many / few <= FLAT[2])
    return found
