"""The base for kustomize: ``python -m tests.deploy.helm.kustomize`` (make kustomize) writes what the chart renders."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from tests.deploy.tools.fetch import tools

from .chart import ROOT, objects, settings, template

FOLDER = ROOT / "deploy/kustomize"
MADE = FOLDER / "base/toolgate.yaml"
HEADER = "# Made by make kustomize of the chart; patch it in an overlay.\n"
VALUES = ['existingConfigMap="toolgate-config"', 'existingPoliciesConfigMap="toolgate-policies"', "tokenReview=true"]
HELMS = ("app.kubernetes.io/managed-by", "helm.sh/chart")
"""Labels that only Helm has."""


def base(helm: Path) -> str:
    """toolgate.yaml."""
    rendered = objects(template(helm, *settings(VALUES), "--skip-tests", release="toolgate"))
    for one in rendered:
        _without_helm(one)
    return HEADER + yaml.safe_dump_all(rendered, sort_keys=False, width=120)


def _without_helm(thing: dict[str, Any]) -> None:
    for label in HELMS:
        thing.get("metadata", {}).get("labels", {}).pop(label, None)
    for inner in thing.values():
        if isinstance(inner, dict):
            _without_helm(inner)


if __name__ == "__main__":
    MADE.write_text(base(tools().helm4))
    sys.stdout.write(f"{MADE.relative_to(ROOT)}\n")
