"""The page about metrics and the dashboard name what there is, and nothing else."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

from asyncsock.observing.families import FAMILIES, HISTOGRAM, PREFIX, SILENT
from tests.support.required_parts import require
from tests.support.server_process import ROOT

DASHBOARD: dict[str, Any] = json.loads((ROOT / "docs" / "files" / "grafana-dashboard.json").read_text())
LABELS = {PREFIX + family.name: {*family.labels, "worker"} for family in [*FAMILIES, SILENT]}


def queries() -> list[str]:
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel.get("targets", ())]


def metric_of(name: str) -> str:
    """The metric that a sample is of."""
    for family in FAMILIES:
        if family.kind == HISTOGRAM and name.startswith(PREFIX + family.name):
            return PREFIX + family.name
    return name


def test_the_dashboard_uses_all_metrics_and_no_others() -> None:
    used = {metric_of(name) for query in queries() for name in re.findall(r"\basyncsock_\w+", query)}
    assert used == {name for name in LABELS if name not in NOT_SHOWN}


# What other panels show, or what is of use in a question about one worker only.
NOT_SHOWN = {
    "asyncsock_sessions_upgraded_total",
    "asyncsock_clients_connected_total",
    "asyncsock_queue_lost_seconds_total",
    "asyncsock_connections_taken_total",
}


def test_the_queries_of_the_dashboard_use_labels_that_their_metrics_have() -> None:
    for query in queries():
        has = set.union(*[LABELS[metric_of(name)] for name in re.findall(r"\basyncsock_\w+", query)])
        grouped = re.findall(r"by \(([\w, ]+)\)", query)
        named = {label for group in grouped for label in group.split(", ")} - {"le"}
        assert named | set(re.findall(r'(\w+)="', query)) <= has, query
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            shown = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"by \(([\w, ]+)\)", target["expr"])
            assert shown <= {label for group in grouped for label in group.split(", ")}, target


def test_prometheus_understands_the_queries_of_the_dashboard(tmp_path: Path) -> None:
    require(shutil.which("promtool"), "promtool")
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    path = tmp_path / "rules.json"  # JSON is YAML, too
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    checked = subprocess.run(["promtool", "check", "rules", path], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_page_lists_every_metric_with_its_labels() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| \w+ \| ([^|]*) \|", page, re.MULTILINE))
    assert rows == {
        family.name: ", ".join(f"`{label}`" for label in family.labels) for family in [*FAMILIES, SILENT]
    }
