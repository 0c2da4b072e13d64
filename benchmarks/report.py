"""The results as Markdown, JSON and a chart (SVG)."""

from __future__ import annotations

import json
import math
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

import flood_report
from goals import check, check_floods
from measure import Outcome
from servers import OURS, PEERS

RESULTS = Path(__file__).resolve().parent / "results"
COLOURS = {
    "python-socketio": "#4c78a8",
    "flask-gevent": "#72b7b2",
    "flask-threading": "#9d9da1",
    "node": "#54a24b",
    "bun": "#e3a857",
    "floor": "#222222",
    "gunicorn-gthread": "#b279a2",
    "gunicorn-gevent": "#d67195",
    "granian-wsgi": "#439894",
    "express": "#83bcb6",
    "a2wsgi": "#bab0ac",
    "wsgi-to-asgi": "#8c6d31",
}


def summarise(workload: Any, size: int, rounds: dict[str, list[Outcome] | str]) -> dict[str, Any]:
    """The medians of one workload's rounds, ready for JSON.

    A ratio is the median over the rounds of a server's figure in a round to the base's in the same round.
    """
    if workload.group == "hostile":
        return flood_report.summarise(workload, rounds)
    ours = rounds.get(workload.base)
    servers: dict[str, Any] = {}
    for name, outcomes in rounds.items():
        title = PEERS[name].title
        if isinstance(outcomes, str):
            servers[name] = {"title": title, "error": outcomes}
            continue
        figures = [_figure(outcome) for outcome in outcomes]
        result: dict[str, Any] = {"title": title, "value": median(figures), "rounds": figures}
        if isinstance(ours, list):
            result["ratio"] = median(
                theirs / _figure(own) for theirs, own in zip(figures, ours, strict=True) if _figure(own) > 0
            )
        if outcomes[0].latencies:
            for percent in (50, 99):
                result[f"p{percent}_us"] = median(outcome.percentile_us(percent) or 0 for outcome in outcomes)
            result["operations"] = sum(outcome.operations for outcome in outcomes)
            result["server_busy"] = median(outcome.server_busy for outcome in outcomes)
            result["load_busy"] = median(outcome.load_busy() for outcome in outcomes)
            result["errors"] = sum(outcome.errors for outcome in outcomes)
            result["load_limited"] = sum(o.load_limited() for o in outcomes) * 2 > len(outcomes)
        servers[name] = result
    return {
        "name": workload.name,
        "title": workload.title.format(size=f"{size:,}"),
        "size": size,
        "unit": workload.unit,
        "measure": "KB" if any("p50_us" not in s for s in servers.values() if "value" in s) else "us",
        "servers": servers,
    }


def _figure(outcome: Outcome) -> float:
    return outcome.memory / 1024 if outcome.memory is not None else outcome.cpu_us()


def text(workload: dict[str, Any]) -> str:
    """One workload's results for the terminal."""
    if workload["measure"] == flood_report.MEASURE:
        return flood_report.text(workload)
    unit = f"server CPU µs per {workload['unit']}" if workload["measure"] == "us" else "KB per client"
    lines = [f"\n{workload['title']} ({unit})"]
    for result in workload["servers"].values():
        if "error" in result:
            lines.append(f"  {result['title']:46}{result['error'][:300]}")
            continue
        line = f"  {result['title']:46}{_number(result['value']):>9}"
        line += f"  {result['ratio']:6.2f}x" if "ratio" in result else ""
        if "p50_us" in result:
            line += f"  p50 {_time(result['p50_us']):>8}  p99 {_time(result['p99_us']):>8}"
            line += f"  server {result['server_busy']:4.0%} load {result['load_busy']:4.0%}"
        line += f"  {result['errors']} errors" if result.get("errors") else ""
        lines.append(line + ("  load is the limit" if result.get("load_limited") else ""))
    return "\n".join(lines)


def write(results: dict[str, Any], partial: bool) -> None:
    """Write latest.md, latest.json and latest.svg (or quick.*, partial.*), and hostile.*, into results/."""
    RESULTS.mkdir(exist_ok=True)
    floods = [w for w in results["workloads"] if w["measure"] == flood_report.MEASURE]
    others = [w for w in results["workloads"] if w["measure"] != flood_report.MEASURE]
    if floods:
        hostile = {**results, "workloads": floods, "goals": check_floods(floods)}
        _write("hostile", hostile, flood_report.markdown(hostile))
    if others:
        name = "partial" if partial else "quick" if results["quick"] else "latest"
        results = {**results, "workloads": others, "goals": check({w["name"]: w for w in others})}
        _write(name, results, markdown(results, f"{name}.svg"))
        (RESULTS / f"{name}.svg").write_text(chart(results))


def _write(name: str, results: dict[str, Any], page: str) -> None:
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
    (RESULTS / f"{name}.md").write_text(page)
    print(f"\nWritten: {RESULTS / name}.md, .json")


def markdown(results: dict[str, Any], chart_name: str) -> str:
    """The table."""
    machine = results["machine"]
    lines = [
        "# Benchmarks",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"load from {machine['load generator']}. "
        f"{results['rounds']} measured rounds after one that was not, the servers by turns, medians"
        + (", a quick run: fewer clients, short rounds." if results["quick"] else ".")
        + f" It took {results['minutes']} minutes.",
        "",
        ", ".join(f"{name} {version}" for name, version in results["versions"].items()) + ".",
        "",
        "**A ratio is what the peer costs in units of what asyncsock costs: above 1, asyncsock is cheaper.** "
        "The figures beside it are CPU microseconds of the server and its children per operation "
        "(KB for memory).",
        "",
        f"![Ratios]({chart_name})",
        "",
        "## Ratios",
        "",
    ]
    lines += _ratios(results["workloads"])
    if results["goals"]:
        lines += ["", "## Goals", "", "| Workload | Goal | Here | Met |", "|---|---|--:|---|"]
        for goal in results["goals"]:
            met = "yes" if goal["met"] else "**no**"
            lines.append(f"| {goal['workload']} | {goal['goal']} | {goal['figure']} | {met} |")
    lines += ["", "## Figures"]
    for workload in results["workloads"]:
        lines += ["", *_figures(workload)]
    return "\n".join(lines) + "\n"


def _ratios(workloads: list[dict[str, Any]]) -> list[str]:
    columns = ["python-socketio", "flask-gevent", "flask-threading", "node", "bun"]
    shown = [w for w in workloads if any(name in w["servers"] for name in columns)]
    if not shown:
        return ["No peers in this run."]
    titles = " | ".join(PEERS[name].title for name in columns)
    lines = [f"| Workload | asyncsock | {titles} |", "|---|" + "--:|" * (len(columns) + 1)]
    for workload in shown:
        unit = "µs" if workload["measure"] == "us" else "KB"
        own = workload["servers"].get(OURS, {})
        cells = [f"{_number(own['value'])} {unit}" if "value" in own else "-"]
        for name in columns:
            result = workload["servers"].get(name, {})
            if "ratio" in result:
                cells.append(f"{_number(result['ratio'])}x ({_number(result['value'])})")
            else:
                cells.append("-")
        lines.append(f"| {workload['title']} | " + " | ".join(cells) + " |")
    return lines


def _figures(workload: dict[str, Any]) -> list[str]:
    cpu = workload["measure"] == "us"
    lines = [f"### {workload['title'][0].upper()}{workload['title'][1:]}", ""]
    if cpu:
        lines += [
            f"| Server | CPU µs per {workload['unit']} | Ratio | p50 | p99 | Server busy | Load busy |",
            "|---|--:|--:|--:|--:|--:|--:|",
        ]
    else:
        lines += ["| Server | KB per client | Ratio |", "|---|--:|--:|"]
    notes = []
    for result in workload["servers"].values():
        if "error" in result:
            notes.append(f"{result['title']}: {result['error'].splitlines()[0][:200]}.")
            continue
        ratio = f"{_number(result['ratio'])}x" if "ratio" in result else "-"
        row = f"| {result['title']} | {_number(result['value'])} | {ratio} |"
        if cpu:
            row += f" {_time(result['p50_us'])} | {_time(result['p99_us'])} |"
            row += f" {result['server_busy']:.0%} | {result['load_busy']:.0%} |"
        lines.append(row)
        if result.get("errors"):
            asked = result["errors"] + result["operations"]
            notes.append(
                f"{result['title']}: {result['errors']} of {asked} requests were answered with errors."
            )
        if result.get("load_limited"):
            notes.append(f"{result['title']}: the load generator was the limit, not the server.")
    for note in notes:
        lines += ["", note]
    return lines


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _time(microseconds: float) -> str:
    if microseconds < 1000:
        return f"{microseconds:.0f} µs"
    if microseconds < 1_000_000:
        return f"{microseconds / 1000:.1f} ms"
    return f"{microseconds / 1_000_000:.2f} s"


# The chart: one bar per peer and workload, its length the ratio on a logarithmic scale.

LEFT, WIDTH, BAR, GAP = 330, 560, 11, 16
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200)


def chart(results: dict[str, Any]) -> str:
    """A bar chart of the ratios, as SVG."""

    def x(ratio: float) -> float:
        low, high = math.log(TICKS[0]), math.log(TICKS[-1])
        return LEFT + WIDTH * (math.log(min(max(ratio, TICKS[0]), TICKS[-1])) - low) / (high - low)

    body = []
    y = 98.0
    for workload in results["workloads"]:
        bars = [(n, r["ratio"]) for n, r in workload["servers"].items() if n in COLOURS and r.get("ratio")]
        if not bars:
            continue
        height = len(bars) * BAR
        title = escape(_short(workload["title"]))
        body.append(f'<text x="{LEFT - 10}" y="{y + height / 2 + 4:.0f}" text-anchor="end">{title}</text>')
        for name, ratio in bars:
            start, end = sorted((x(1), x(ratio)))
            body.append(
                f'<rect x="{start:.1f}" y="{y:.0f}" width="{max(end - start, 1):.1f}" height="{BAR - 2}" '
                f'fill="{COLOURS[name]}"><title>{escape(PEERS[name].title)}: {ratio:.2f}x</title></rect>'
            )
            right = x(max(ratio, 1)) + 4
            body.append(f'<text class="figure" x="{right:.1f}" y="{y + 8:.0f}">{_number(ratio)}x</text>')
            y += BAR
        y += GAP
    lines = [
        f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="86" y2="{y - 8:.0f}" '
        f'stroke="{"#444" if t == 1 else "#ddd"}"/>'
        f'<text class="figure" x="{x(t):.1f}" y="80" text-anchor="middle">{t:g}x</text>'
        for t in TICKS
    ]
    legend, at, row, width = [], 20.0, 30, LEFT + WIDTH + 60
    for name, colour in COLOURS.items():
        length = 34 + 6.2 * len(PEERS[name].title)
        if at + length > width:
            at, row = 20.0, row + 18
        legend.append(f'<rect x="{at:.0f}" y="{row}" width="11" height="11" fill="{colour}"/>')
        legend.append(f'<text x="{at + 16:.0f}" y="{row + 10}">{escape(PEERS[name].title)}</text>')
        at += length
    style = (
        "text{font:12px sans-serif;fill:#222}.figure{font-size:9px}.title{font-weight:bold;font-size:14px}"
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{y:.0f}" '
        f'viewBox="0 0 {width:.0f} {y:.0f}">\n<style>{style}</style>\n'
        f'<rect width="100%" height="100%" fill="#fff"/>\n'
        '<text class="title" x="20" y="19">Server CPU per operation (memory per client): '
        "the peer's in units of asyncsock's</text>\n" + "\n".join(legend + lines + body) + "\n</svg>\n"
    )


def _short(title: str) -> str:
    return title.replace("`", "").replace(" that offer permessage-deflate as Chromium does", ", deflate")[:54]
