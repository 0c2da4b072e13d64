"""Metrics as a scrape of them reads."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.support.asgi_in_process import request
from tests.support.required_parts import require

PREFIX = "asyncsock_"


class Scraped:
    """The samples of a text.

    Attributes:
        text: The text.
        names: The names of the metrics that have samples.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self._samples: dict[str, list[tuple[dict[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples[sample.name.removeprefix(PREFIX)].append((sample.labels, sample.value))
        self.names = set(self._samples)

    def __call__(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels, over all workers."""
        return sum(value for _, value in self._those(name, labels))

    def by(self, name: str, label: str, **labels: str) -> dict[str, float]:
        """The same by the values of a label."""
        sums: dict[str, float] = defaultdict(float)
        for found, value in self._those(name, labels):
            sums[found[label]] += value
        return dict(sums)

    def _those(self, name: str, labels: dict[str, str]) -> list[tuple[dict[str, str], float]]:
        return [sample for sample in self._samples[name] if labels.items() <= sample[0].items()]

    def __len__(self) -> int:
        return sum(map(len, self._samples.values()))


async def scrape(app: Any, path: str = "/metrics") -> Scraped:
    """What an application of this process answers."""
    answer = await request(app, path=path, query="")
    assert answer.status == 200, answer.text
    return Scraped(answer.text)


def check_with_promtool(text: str) -> None:
    """Have Prometheus' own tool look for what breaks the conventions."""
    require(shutil.which("promtool"), "promtool")
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert not checked.stdout + checked.stderr
