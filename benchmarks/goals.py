"""The goals of this project, and whether a run met them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Goal:
    """What a peer's figure is in units of ours (`least`), or ours in units of the peer's (`most`)."""

    workload: str
    peer: str
    least: float | None = None
    most: float | None = None


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
]
MOST_IDLE_KB = 10
FLAT = ("disconnect-1000", "disconnect-8000", 1.25)  # the same cost per client, give or take the noise


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
