"""What the chart has of other files is as they are (``make chart`` writes it); values and schema have the same keys."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
import yaml

from gateway import __version__
from gateway.inject.settings import InjectSettings

from .chart import CHART, ROOT

VALUES: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA: dict[str, Any] = yaml.safe_load((ROOT / "helm/values.schema.yaml").read_text())


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "helm/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_files_are_as_they_were_made(generate: ModuleType) -> None:
    old = [str(path.relative_to(ROOT)) for path, text in generate.made().items() if path.read_text() != text]
    assert old == [], "run make chart"


def test_the_version_is_the_gateways() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == __version__


def test_the_sidecars_user_is_the_same_everywhere_and_rarely_an_agents() -> None:
    """What images begin counting at (1000, 1001, 10000, 10001, 65532, ...) would be agents that are denied."""
    user = VALUES["sidecar"]["runAsUser"]
    assert user == InjectSettings.model_fields["uid"].default
    assert 10_100 < user < 60_000
    assert f"redirect apply --uid {user} " in (ROOT / "docs/enforcement.md").read_text()


def test_every_value_has_a_row_that_says_something_or_its_name_does() -> None:
    told = dict(re.findall(r"^\| `([\w.]+)` \| .+? \| (.*) \|$", (CHART / "README.md").read_text(), re.MULTILINE))
    for section in VALUES:
        assert any(key == section or key.startswith(f"{section}.") for key in told), section
    assert len([key for key, meaning in told.items() if meaning]) > len(told) / 2


def test_values_and_schema_have_the_same_keys() -> None:
    def of_values(values: Any, schema: dict[str, Any], path: str) -> Iterator[str]:
        for key, value in values.items():
            yield f"{path}{key}"
            inner = schema.get("properties", {}).get(key, {})
            if isinstance(value, dict) and "properties" in inner and value:
                yield from of_values(value, inner, f"{path}{key}.")

    def of_schema(schema: dict[str, Any], path: str) -> Iterator[str]:
        for key, inner in schema.get("properties", {}).items():
            yield f"{path}{key}"
            if "properties" in inner:
                assert inner["additionalProperties"] is False, f"{path}{key} takes any key"
                yield from of_schema(inner, f"{path}{key}.")

    own = {
        key for key in of_schema(SCHEMA, "") if not key.startswith(("global", "injector.tls.issuerRef.", "imagePull"))
    }
    assert own - set(of_values(VALUES, SCHEMA, "")) - {"imagePullSecrets"} == set()
    assert set(of_values(VALUES, SCHEMA, "")) - set(of_schema(SCHEMA, "")) == set()


def test_the_chart_is_small_enough_for_a_release() -> None:
    """Helm keeps the chart in a Secret, compressed; those are 1 MiB at most."""
    sizes = [file.stat().st_size for file in CHART.rglob("*") if file.is_file() and "ci" not in file.parts]
    assert sum(sizes) < 512 * 1024
    json.loads((CHART / "values.schema.json").read_text())
