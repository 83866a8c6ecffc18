"""The values on the page about Kubernetes render, and its commands name what is there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.deploy.tools.fetch import Tools

from .chart import ROOT, objects, template

PAGE = (ROOT / "docs/kubernetes.md").read_text()


def test_values_of_the_page_render(tooling: Tools, tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    files = []
    for number, block in enumerate(blocks):
        files.append(tmp_path / f"{number}.yaml")
        files[-1].write_text(block)
    gateway, replicas, sidecar = files
    for given in ([gateway], [gateway, replicas], [sidecar]):
        made = objects(template(tooling.helm4, *(part for file in given for part in ("--values", file))))
        assert {"ConfigMap", "Deployment"} <= {one["kind"] for one in made}, [file.read_text() for file in given]


def test_names_on_the_page_are_those_of_the_chart(tooling: Tools, tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0])
    made = objects(template(tooling.helm4, "--values", values, release="toolgate"))
    names = {(one["kind"], one["metadata"]["name"]) for one in made}
    assert ("Deployment", "toolgate") in names
    assert ("Service", "toolgate") in names
    assert "deploy/toolgate" in PAGE
    assert "toolgate.toolgate.svc:8080" in PAGE


def test_keys_on_the_page_are_values(tooling: Tools) -> None:
    known = set(re.findall(r"^\| `([\w.]+)` \|", (ROOT / "helm/toolgate/README.md").read_text(), re.MULTILINE))
    sections = {key.partition(".")[0] for key in known if "." in key} - {"image"}
    for name in re.findall(r"`([a-z]\w*(?:\.\w+)+)(?:: [^`]*)?`", PAGE):
        if name.partition(".")[0] in sections:
            assert name in known or any(key.startswith(f"{name}.") for key in known), name
