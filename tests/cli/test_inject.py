"""``toolgate inject``: what it says where it cannot start, and what becomes of a pod without a cluster."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from tests.inject import pods

DEPLOYMENT = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: agent}
spec: {template: {metadata: {labels: {app: agent}}, spec: {containers: [{name: agent, image: "agent:1"}]}}}
"""
CRON_JOB = """
apiVersion: batch/v1
kind: CronJob
metadata: {name: agent}
spec: {jobTemplate: {spec: {template: {spec: {containers: [{name: agent, image: "agent:1"}]}}}}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "inject.yaml"
    file.write_text(yaml.safe_dump(pods.WRITTEN))
    return file


def dry_run(file: Path, text: str, *more: str) -> Result:
    return CliRunner().invoke(toolgate, ["inject", "-c", str(file), "--dry-run", *more], input=text)


@pytest.mark.parametrize("text", [yaml.safe_dump(pods.pod()), DEPLOYMENT, CRON_JOB])
def test_a_dry_run_prints_the_pod_as_it_would_be(file: Path, text: str) -> None:
    result = dry_run(file, text)
    assert result.exit_code == 0, result.output
    made = yaml.safe_load(result.stdout)
    assert made["kind"] == "Pod"
    assert [one["name"] for one in made["spec"]["initContainers"]] == ["toolgate"]
    again = dry_run(file, result.stdout)
    assert again.stdout == result.stdout


def test_a_dry_run_says_what_would_be_denied(file: Path) -> None:
    result = dry_run(file, yaml.safe_dump(pods.pod({"hostNetwork": True, "containers": []})))
    assert result.exit_code == 1
    assert "Error: denied: a pod on the node's network" in result.output
    assert dry_run(file, DEPLOYMENT, "-n", "kube-system").stdout.count("toolgate") == 0


@pytest.mark.parametrize("text", ["", "a: [", "[]", "kind: Service\nspec: {}\n", "kind: Pod\nspec: {containers: 1}\n"])
def test_what_is_no_pod_is_told(file: Path, text: str) -> None:
    result = dry_run(file, text)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")


def test_it_says_why_it_cannot_start(file: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(toolgate, ["inject", "-c", str(tmp_path / "missing.yaml")])
    assert (result.exit_code, "missing.yaml" in result.output) == (1, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = f"127.0.0.1:{taken.getsockname()[1]}"
        file.write_text(yaml.safe_dump({**pods.WRITTEN, "probes": at}))
        result = CliRunner().invoke(toolgate, ["inject", "-c", str(file)])
    assert result.exit_code == 1
    assert f"cannot listen on {at}" in result.output
