"""The chart as Helm renders it, and what can be found in that."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[3]
CHART = ROOT / "helm/toolgate"
VALUES = {file.name.removesuffix("-values.yaml"): file for file in sorted((CHART / "ci").glob("*-values.yaml"))}
NAMESPACE = "toolgate"
Json = dict[str, Any]


class Rendered(NamedTuple):
    """What becomes of a values file."""

    name: str
    values: Json
    objects: list[Json]

    def of(self, kind: str) -> list[Json]:
        """All objects of a kind."""
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind: str, name: str = "") -> Json:
        """The object of a kind whose name ends so."""
        (found,) = [one for one in self.of(kind) if one["metadata"]["name"].endswith(name)]
        return found

    def pods(self) -> Iterator[tuple[str, Json]]:
        """Each PodSpec, and whose it is."""
        for one in self.objects:
            if one["kind"] == "Pod":
                yield f"Pod {one['metadata']['name']}", one["spec"]
            elif "template" in (one.get("spec") or {}):
                yield f"{one['kind']} {one['metadata']['name']}", one["spec"]["template"]["spec"]

    @property
    def sidecar(self) -> bool:
        """Whether it is the injector."""
        return self.values.get("mode") == "sidecar"


def template(helm: Path, *arguments: str | Path, release: str = "prod") -> str:
    """What ``helm template`` writes.

    Raises:
        ValueError: it refuses; says why.
    """
    command = [helm, "template", release, CHART, "--namespace", NAMESPACE, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise ValueError(done.stderr)
    return done.stdout


def objects(text: str) -> list[Json]:
    """The objects in a stream of YAML."""
    return [one for one in yaml.safe_load_all(text) if one]


def render(helm: Path, name: str, *arguments: str | Path) -> Rendered:
    """A values file of ci/ as Helm renders it."""
    try:
        text = template(helm, "--values", VALUES[name], *arguments)
    except ValueError as error:
        raise AssertionError(f"{VALUES[name].name} does not render: {error}") from error
    return Rendered(name, yaml.safe_load(VALUES[name].read_text()), objects(text))


def settings(pairs: Iterable[str]) -> list[str]:
    """Values as options of the command line; what follows the first ``=`` is YAML."""
    return [part for pair in pairs for part in ("--set-json", pair)]
