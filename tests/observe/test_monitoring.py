"""The dashboard and the alerts ask for metrics that are there, and the alerts fire when they should."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

from gateway.inject.tally import Tally
from gateway.model import Reason
from gateway.observe.exposition import Exposition, Gauges
from gateway.observe.metrics import Metrics

DOCS = Path(__file__).parents[2] / "docs"
RULES = DOCS / "prometheus"
DASHBOARD = json.loads((DOCS / "grafana" / "toolgate.json").read_text())
FILES = {name: yaml.safe_load((RULES / name).read_text()) for name in ("recording.yaml", "alerts.yaml")}
PROMTOOL = shutil.which("promtool")
OF_SCRAPES = {"job", "instance", "le", "profile"}
"""Labels that Prometheus adds (the chart's PodMonitor has it add ``profile``), or that histograms have."""


def known() -> dict[str, set[str]]:
    """Every series that the gateway shows, and its labels."""
    found: dict[str, set[str]] = {}
    for family in (*Exposition(Metrics(), Gauges()).collect(), *Tally().collect()):
        ends = [""]
        if isinstance(family, CounterMetricFamily):
            ends = ["_total"]
        elif isinstance(family, HistogramMetricFamily):
            ends = ["_bucket", "_count", "_sum"]
        found |= {family.name + end: set(family._labelnames) for end in ends}
    return found


KNOWN = known()
RECORDED = {rule["record"] for group in FILES["recording.yaml"]["groups"] for rule in group["rules"]}
RULED = [rule for file in FILES.values() for group in file["groups"] for rule in group["rules"]]
ALERTS = [rule for rule in RULED if "alert" in rule]


def asked() -> Iterator[tuple[str, str]]:
    """Where something is asked of Prometheus, and what."""
    for rule in RULED:
        yield rule.get("alert") or rule["record"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        yield from ((panel["title"], target["expr"]) for target in panel.get("targets", ()))
    for variable in DASHBOARD["templating"]["list"]:
        yield variable["name"], variable["query"]["query"] if isinstance(variable["query"], dict) else ""
    yield "annotations", DASHBOARD["annotations"]["list"][0]["expr"]


@pytest.mark.parametrize(("where", "what"), list(asked()))
def test_only_series_and_labels_that_exist_are_asked_for(where: str, what: str) -> None:
    plain = re.sub(r'"[^"]*"', '""', what)
    for prefix, name, matchers in re.findall(r"(\b\w+:)?(toolgate_[a-z0-9_]+(?::\w+)?)(\{[^}]*\})?", plain):
        if prefix:
            assert prefix + name in RECORDED, f"{where}: {prefix}{name} is not recorded"
            continue
        assert name in KNOWN, f"{where}: there is no {name}"
        unknown = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", matchers)) - KNOWN[name] - OF_SCRAPES
        assert not unknown, f"{where}: {name} has no label {unknown}"
    names = {name for name in re.findall(r"toolgate_[a-z0-9_]+", plain) if name in KNOWN}
    labels = {label for grouped in re.findall(r"\bby \(([^)]*)\)", plain) for label in re.findall(r"\w+", grouped)}
    if names:
        assert labels <= set().union(*(KNOWN[name] for name in names)) | OF_SCRAPES, where


def test_reasons_that_are_asked_for_exist():
    written = (RULES / "recording.yaml").read_text()
    reasons = {reason for each in re.findall(r'reason=~"([^"]*)"', written) for reason in each.split("|")}
    assert reasons
    assert reasons <= {reason.value for reason in Reason}


def test_every_alert_says_what_is_wrong_and_how_urgent_it_is():
    assert len({rule["alert"] for rule in ALERTS}) == len(ALERTS)
    for rule in ALERTS:
        assert rule["labels"]["severity"] in ("page", "ticket"), rule["alert"]
        assert rule["annotations"].keys() == {"summary", "description"}, rule["alert"]


def test_the_dashboard_has_a_place_for_every_panel():
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for one, other in combinations([panel["gridPos"] for panel in panels], 2):
        assert not _overlap(one, other), (one, other)
    for panel in panels:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["type"] == "row" or panel["datasource"]["uid"] == "${datasource}"


def _overlap(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(one[at] < other[at] + other[size] and other[at] < one[at] + one[size] for at, size in ("xw", "yh"))


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
@pytest.mark.parametrize("args", [["check", "rules", *FILES], ["test", "rules", "alerts.test.yaml"]])
def test_promtool_takes_the_rules_and_they_fire_as_their_tests_say(args: list[Any]) -> None:
    done = subprocess.run([PROMTOOL, *args], cwd=RULES, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(PROMTOOL is None, reason="promtool is not installed")
def test_promtool_reads_every_question_of_the_dashboard(tmp_path: Path) -> None:
    given = {"$__rate_interval": "5m", "$tool": ".*"}
    rules = []
    for number, (_, what) in enumerate(asked()):
        if "label_values" in what or not what:
            continue
        for name, value in given.items():
            what = what.replace(name, value)
        rules.append({"record": f"asked:{number}", "expr": what})
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = subprocess.run([PROMTOOL, "check", "rules", file], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
