"""The page about injection is true."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import yaml
from click.testing import CliRunner
from prometheus_client.exposition import generate_latest
from pydantic import BaseModel

from gateway.cli.root import toolgate
from gateway.inject.patch import INJECT, INJECTED, PROFILE
from gateway.inject.settings import InjectSettings, Profile, Token, Variable, read_settings
from gateway.inject.tally import OUTCOMES, TROUBLES, Tally, registry_of

PAGE = (Path(__file__).parents[2] / "docs/injection.md").read_text()
ROWS = dict(re.findall(r"^\| `([a-zA-Z_.]+)` \| (required|`[^|]+`) \| .+ \|$", PAGE, re.MULTILINE))
DEPLOYMENT = """
kind: Deployment
apiVersion: apps/v1
metadata: {name: reporter}
spec:
  template:
    metadata: {labels: {app: reporter}}
    spec: {containers: [{name: agent, image: "agent:1"}]}
"""


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The dotted name of each key, and its default; None where it must be given."""
    for name, field in model.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        if get_origin(field.annotation) is not None and Profile in get_args(field.annotation):
            yield from keys(Profile, f"{key}.NAME.")
        elif inner := next((one for one in (field.annotation, *get_args(field.annotation)) if is_section(one)), None):
            yield from keys(inner, f"{key}.")
        else:
            yield key, None if field.is_required() else field.default


def is_section(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel) and kind not in (Token, Variable)


def written(default: object) -> str:
    if default is None:
        return "required"
    shown = list(default) if isinstance(default, tuple) else default
    if isinstance(shown, bool | list | dict):
        return f"`{yaml.safe_dump(shown, default_flow_style=True, width=200).removesuffix('...' + chr(10)).strip()}`"
    return f"`{shown}`"


def test_every_key_is_documented_with_its_default_and_no_other() -> None:
    assert {key: written(default) for key, default in keys(InjectSettings)} == ROWS


def test_members_of_tokens_and_variables_are_documented() -> None:
    for model in (Token, Variable):
        for name, field in model.model_fields.items():
            assert f"`{field.alias or name}`" in PAGE


def test_the_example_is_settings_and_shows_what_becomes_of_a_deployment(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "inject.yaml"
    file.write_text(example)
    assert list(read_settings(file).profiles) == ["default"]
    shown = CliRunner().invoke(toolgate, ["inject", "--dry-run", "--config", str(file), "-n", "agents"], DEPLOYMENT)
    assert shown.exit_code == 0, shown.output
    pod = yaml.safe_load(shown.stdout)
    assert pod["metadata"]["labels"] == {"app": "reporter", INJECTED: "true"}
    assert [one["name"] for one in pod["spec"]["initContainers"]] == ["toolgate"]
    denied = DEPLOYMENT.replace("spec: {containers", "spec: {hostNetwork: true, containers")
    shown = CliRunner().invoke(toolgate, ["inject", "--dry-run", "--config", str(file)], denied)
    assert (shown.exit_code, "node's network" in shown.output) == (1, True)


def test_names_on_the_page_are_those_of_the_code() -> None:
    for name in (f"`{INJECT}: enabled`", f'`{INJECT}: "false"`', f"`{PROFILE}: NAME`", f'`{INJECTED}: "true"`'):
        assert name in PAGE, name
    told = re.findall(r"^# TYPE (toolgate_\w+)", generate_latest(registry_of(Tally())).decode(), re.MULTILINE)
    assert set(re.findall(r"`(toolgate_inject\w*)(?:\{\w+\})?`", PAGE)) == set(told)
    for word in (*OUTCOMES, *TROUBLES):
        assert f"`{word}`" in PAGE, word
