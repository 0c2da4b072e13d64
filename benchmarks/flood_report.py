"""The results of the floods: the worst answer of another client, and the growth of the server's memory."""

from __future__ import annotations

from statistics import median
from typing import Any

from measure import Outcome
from servers import PEERS

MEASURE = "ms"  # how the results of a flood are told from others


def summarise(workload: Any, rounds: dict[str, list[Outcome] | str]) -> dict[str, Any]:
    """One flood's figures, ready for JSON: the worst of all rounds."""
    servers: dict[str, Any] = {}
    for name, outcomes in rounds.items():
        servers[name] = {"title": PEERS[name].title}
        if isinstance(outcomes, str):
            servers[name]["error"] = outcomes
            continue
        worst = [max(outcome.latencies) * 1000 for outcome in outcomes]
        servers[name] |= {
            "value": max(worst),
            "rounds": worst,
            "p50_us": median(outcome.percentile_us(50) or 0 for outcome in outcomes),
            "growth_mb": max((outcome.growth or 0) / 1e6 for outcome in outcomes),
            "logged_kb": max(outcome.logged / 1000 for outcome in outcomes),
            "sent_mb": median(outcome.sent / 1e6 for outcome in outcomes),
        }
    return {
        "name": workload.name,
        "title": workload.title,
        "size": 1,
        "unit": workload.unit,
        "measure": MEASURE,
        "servers": servers,
    }


def text(workload: dict[str, Any]) -> str:
    """One flood's results for the terminal."""
    lines = [f"\n{workload['title']} (the other's worst answer, growth of memory)"]
    for result in workload["servers"].values():
        if "error" in result:
            lines.append(f"  {result['title']:46}{result['error'][:300]}")
            continue
        lines.append(
            f"  {result['title']:46}{result['value']:9,.1f} ms  {result['growth_mb']:+8,.1f} MB"
            f"  p50 {result['p50_us'] / 1000:7.2f} ms  log {result['logged_kb']:9,.1f} KB"
            f"  sent {result['sent_mb']:7,.2f} MB"
        )
    return "\n".join(lines)


def markdown(results: dict[str, Any]) -> str:
    """The page of the floods: a table of all, the goals, and the figures of each."""
    machine = results["machine"]
    lines = [
        "# Hostile clients",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"load from {machine['load generator']}. {_rounds(results['rounds'])}, "
        f"each on servers that were started for it. It took {results['minutes']} minutes.",
        "",
        ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".",
        "",
        "One client floods the server. Another, over a WebSocket of its own, asks for an acknowledgement "
        "every 20 ms. **The first figure is the longest that it waited for one, the second is what the "
        "server's resident memory grew by at most.**",
        "",
        *_overview(results["workloads"]),
    ]
    if results["goals"]:
        lines += ["", "## Goals", "", "| Flood | Goal | Here | Met |", "|---|---|--:|---|"]
        for goal in results["goals"]:
            met = "yes" if goal["met"] else "**no**"
            lines.append(f"| {goal['workload']} | {goal['goal']} | {goal['figure']} | {met} |")
    lines += ["", "## Figures"]
    for workload in results["workloads"]:
        lines += ["", *_figures(workload)]
    return "\n".join(lines) + "\n"


def _rounds(number: int) -> str:
    return "One round of each flood" if number == 1 else f"The worst of {number} rounds"


def _overview(workloads: list[dict[str, Any]]) -> list[str]:
    names = list(dict.fromkeys(name for workload in workloads for name in workload["servers"]))
    lines = [
        "| Flood | " + " | ".join(PEERS[name].title for name in names) + " |",
        "|---|" + "--:|" * len(names),
    ]
    for workload in workloads:
        cells = [_cell(workload["servers"].get(name)) for name in names]
        lines.append(f"| {workload['title']} | " + " | ".join(cells) + " |")
    return lines


def _cell(result: dict[str, Any] | None) -> str:
    if result is None:
        return "-"
    return f"{_ms(result['value'])}, {result['growth_mb']:+,.0f} MB" if "value" in result else "failed"


def _figures(workload: dict[str, Any]) -> list[str]:
    lines = [
        f"### {workload['title'][0].upper()}{workload['title'][1:]}",
        "",
        "| Server | Worst answer | in each round | p50 | Memory | Log | Bytes of the flood |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    notes = []
    for result in workload["servers"].values():
        if "error" in result:
            notes += ["", f"{result['title']}: {result['error'].splitlines()[0][:200]}."]
            continue
        lines.append(
            f"| {result['title']} | {_ms(result['value'])} | "
            f"{', '.join(_ms(worst) for worst in result['rounds'])} | {result['p50_us'] / 1000:.1f} ms | "
            f"{result['growth_mb']:+,.1f} MB | {result['logged_kb']:,.1f} KB | {result['sent_mb']:,.2f} MB |"
        )
    return lines + notes


def _ms(milliseconds: float) -> str:
    return f"{milliseconds / 1000:.2f} s" if milliseconds >= 1000 else f"{milliseconds:.0f} ms"
