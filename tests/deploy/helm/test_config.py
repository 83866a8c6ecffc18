"""The gateway can use every configuration that the chart writes, with the files and variables of its container."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import attempt

from .chart import VALUES, Rendered
from .mounted import config_in

OWN = [name for name in VALUES if not name.startswith("sidecar") and name != "existing"]
"""What has its configuration in a Deployment; test_injection.py is about sidecars."""


@pytest.mark.parametrize("name", OWN)
def test_toolgate_check_finds_no_mistake(
    name: str, everything: dict[str, Rendered], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rendered = everything[name]
    spec = rendered.one("Deployment")["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    for variable in container.get("env", []):
        monkeypatch.setenv(variable["name"], "a-value")
    path, text = config_in(rendered, spec, container, tmp_path)
    made = attempt(path)
    assert [str(problem) for problem in made.errors] == [], f"{rendered.name}:\n{text}"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert made.loaded is not None
    config = made.loaded.config
    assert config.admin.probes is not None
    assert (config.listen.port, config.admin.probes.port) == (ports["gateway"], ports["probes"]), rendered.name
    assert config.listen.host not in ("127.0.0.1", "::1"), rendered.name
