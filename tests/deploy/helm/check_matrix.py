"""Every values file, with both versions of Helm, for every version of Kubernetes (``make test-helm``)."""

from __future__ import annotations

import subprocess

import pytest

from tests.deploy.pss import violations
from tests.deploy.schemas import Schemas
from tests.deploy.tools.fetch import Tools

from .chart import CHART, VALUES, Rendered, render

TOO_NEW = {"sidecar-policy": 34, "sidecar": 30, "sidecar-redirect": 30}
"""The first minor version that has what these values ask for."""
HELMS = ("helm3", "helm4")


@pytest.mark.parametrize("helm", HELMS)
@pytest.mark.parametrize("name", VALUES)
def test_helm_has_nothing_against_it(name: str, helm: str, tooling: Tools) -> None:
    command = [getattr(tooling, helm), "lint", "--strict", CHART, "--values", VALUES[name], "--kube-version", "1.37.0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", VALUES)
def test_every_kubernetes_knows_what_is_rendered_for_it(name: str, tooling: Tools, schemas: Schemas) -> None:
    oldest = TOO_NEW.get(name, 29)
    versions = [version for version in schemas.versions() if int(version.split(".")[1]) >= oldest]
    assert versions
    for version in versions:
        both = [_for(tooling, helm, name, version) for helm in HELMS]
        assert _sorted(both[0]) == _sorted(both[1]), f"{name}, {version}: the Helms differ"
        for one in both[1].objects:
            assert list(schemas.faults(one, version)) == [], f"{name}, {version}, {one['kind']}"
        for whose, spec in both[1].pods():
            assert violations(spec) == [], f"{name}, {version}, {whose}"


def _for(tooling: Tools, helm: str, name: str, version: str) -> Rendered:
    return render(getattr(tooling, helm), name, "--kube-version", f"{version}.0")


def _sorted(rendered: Rendered) -> list[dict[str, object]]:
    return sorted(rendered.objects, key=lambda one: (one["kind"], str(one["metadata"])))
