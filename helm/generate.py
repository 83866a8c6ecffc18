"""Writes what the chart has of other files: ``python helm/generate.py`` (make chart). A test compares.

values.schema.json is values.schema.yaml with the gateway's own schema in it, README.md is what values.yaml says of
itself, the alerts and the dashboard are those of docs/, and the version is the gateway's.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).parents[1]
CHART = ROOT / "helm/toolgate"
HEADER = """# The chart toolgate

The execution gateway between AI agents and their tools. [docs/kubernetes.md](../../docs/kubernetes.md) says how it is
used: as one shared gateway, or as a sidecar that is injected into agents' pods. Kubernetes 1.29, Helm 3.17, or newer.

```sh
helm install toolgate helm/toolgate -n toolgate --create-namespace -f values.yaml
helm test toolgate -n toolgate
```

What a key may be is in values.schema.json, and Helm refuses what is not. `config` has the keys of [the gateway's
configuration](../../docs/configuration.md).

## Values

| key | default | meaning |
|---|---|---|
"""
SHORT = 60
"""Characters of a default that stands in the table."""


class Row(NamedTuple):
    """A key of values.yaml, as the file has it."""

    key: str
    default: str
    meaning: str


def schema() -> str:
    """values.schema.json."""
    own = yaml.safe_load((ROOT / "helm/values.schema.yaml").read_text())
    config = json.loads((ROOT / "docs/schema/config.schema.json").read_text())
    definitions = config.pop("$defs")
    del config["$schema"], config["required"]  # the chart asks for tools itself, where no ConfigMap is given
    own["$defs"] |= definitions | {"Config": config}
    return json.dumps(own, separators=(",", ":"), ensure_ascii=False) + "\n"


def readme() -> str:
    """README.md of the chart."""
    rows = [
        f"| `{row.key}` | {row.default} | {row.meaning} |\n" for row in rows_of((CHART / "values.yaml").read_text())
    ]
    return HEADER + "".join(rows)


def rows_of(text: str) -> Iterator[Row]:
    """Each key with a value of its own: no mapping of further keys."""
    values = yaml.safe_load(text)
    path: list[tuple[int, str]] = []
    told: list[str] = []
    for line in text.splitlines():
        if comment := re.fullmatch(r"\s*# (-- )?(.*)", line):
            if comment[1]:
                told = [comment[2]]
            elif told:
                told.append(comment[2])
            continue
        found = re.match(r"(\s*)([A-Za-z]\w*):(?: |$)", line)
        if found is None:
            continue
        indent = len(found[1])
        path = [step for step in path if step[0] < indent]
        value = _at(values, [name for _, name in path])
        if not isinstance(value, dict) or found[2] not in value or any(name == "" for _, name in path):
            continue
        inner = value[found[2]]
        leaf = not isinstance(inner, dict) or line.rstrip().endswith("}")
        if leaf or told:
            yield Row(
                ".".join([*(name for _, name in path), found[2]]), _shown(inner, leaf or bool(told)), " ".join(told)
            )
        # What is below an explained mapping with no comments of its own is its value, not further keys.
        path.append((indent, found[2] if not (told and not leaf) else ""))
        told = []


def _at(values: Any, path: list[str]) -> Any:
    for name in path:
        values = values.get(name) if isinstance(values, dict) else None
    return values


def _shown(value: Any, whole: bool) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return f"`{text}`" if whole and len(text) <= SHORT else "see values.yaml"


def version() -> str:
    """The gateway's."""
    (found,) = re.findall(r'(?m)^__version__ = "(.+)"$', (ROOT / "gateway/__init__.py").read_text())
    return str(found)


def chart() -> str:
    """Chart.yaml, of this version."""
    return re.sub(r"(?m)^(version|appVersion): .*$", rf"\1: {version()}", (CHART / "Chart.yaml").read_text())


def made() -> dict[Path, str]:
    """Every file, and what it should be."""
    return {
        CHART / "Chart.yaml": chart(),
        CHART / "values.schema.json": schema(),
        CHART / "README.md": readme(),
        CHART / "files/alerts.yaml": (ROOT / "docs/prometheus/alerts.yaml").read_text(),
        CHART / "files/recording.yaml": (ROOT / "docs/prometheus/recording.yaml").read_text(),
        CHART / "files/toolgate.json": (ROOT / "docs/grafana/toolgate.json").read_text(),
    }


if __name__ == "__main__":
    for path, text in made().items():
        path.write_text(text)
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
