"""The base for kustomize is the chart's gateway, and what is built on it can be used."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from gateway.config.load import attempt
from tests.deploy.pss import violations
from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import Tools

from .chart import Rendered, objects
from .kustomize import FOLDER, MADE, base
from .mounted import config_in

BUILT = ["base", "overlays/example"]


def build(kubectl: Path, folder: str) -> Rendered:
    command = [kubectl, "kustomize", FOLDER / folder]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{folder}: {done.stderr}"
    return Rendered(folder, {}, objects(done.stdout))


def test_the_base_is_what_the_chart_renders(tooling: Tools) -> None:
    assert base(tooling.helm4) == MADE.read_text(), "run make kustomize"


@pytest.mark.parametrize("folder", BUILT)
def test_what_is_built_is_valid_restricted_and_can_be_used(
    folder: str, tooling: Tools, schemas: Schemas, tmp_path: Path
) -> None:
    built = build(tooling.kubectl, folder)
    for version in ("1.30", "1.37"):
        assert [fault for one in built.objects for fault in schemas.faults(one, version)] == []
    spec = built.one("Deployment")["spec"]["template"]["spec"]
    assert violations(spec) == []
    (container,) = spec["containers"]
    path, text = config_in(built, spec, container, tmp_path)
    made = attempt(path)
    assert [str(problem) for problem in made.errors] == [], text
    assert made.loaded is not None
    config = made.loaded.config
    assert config.admin.probes is not None
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert (config.listen.port, config.admin.probes.port) == (ports["gateway"], ports["probes"])
    stop = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert spec["terminationGracePeriodSeconds"] > config.wire.drain + stop


def test_the_example_has_its_own_image_replicas_and_files(tooling: Tools) -> None:
    built = build(tooling.kubectl, "overlays/example")
    deployment = built.one("Deployment")["spec"]
    assert deployment["replicas"] == 3
    assert deployment["template"]["spec"]["containers"][0]["image"].startswith("registry.example.org/")
    assert set(built.one("ConfigMap", "policies")["data"]) == {"grants.yaml", "budgets.yaml"}
    labels = deployment["template"]["metadata"]["labels"].items()
    assert built.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"].items() <= labels
