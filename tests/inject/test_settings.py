"""The injector's settings file: strict, and mistakes tell their place."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from gateway.errors import ConfigError
from gateway.inject.settings import read_settings

from . import pods


def mistakes(folder: Path, text: str) -> str:
    file = folder / "inject.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as told:
        read_settings(file)
    return str(told.value)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = tmp_path / "inject.yaml"
    file.write_text(yaml.safe_dump(pods.WRITTEN))
    found = read_settings(file)
    assert found == pods.settings()
    assert found.excluded_namespaces == ("kube-system", "kube-public", "kube-node-lease")
    assert not found.allow_opt_out


def test_every_mistake_is_told_with_its_place(tmp_path: Path) -> None:
    told = mistakes(
        tmp_path,
        "listen: 127.0.0.1\n"
        "probes: 127.0.0.1:9091\n"
        "tls: {}\n"
        "image: toolgate:1\n"
        "uid: 0\n"
        "pull_policy: Sometimes\n"
        "profiles:\n"
        "  default: {config: c, policies: P_, redirected: true}\n",
    )
    for place, word in {"1": "listen", "3": "self: or files:", "5": "uid", "6": "Sometimes", "8": "redirect"}.items():
        assert any(f"inject.yaml:{place}:" in line and word in line for line in told.splitlines()), (place, told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"secrets": ["Not_A_Name"]}, "write lower-case letters, digits, '-' and '.'"),
        ({"secrets": "github"}, "write [github]"),
        ({"agent_env": [{"name": "1A", "value": "x"}]}, "no digit first"),
        ({"env": [{"name": "A", "value": 7}]}, 'write "7" in quotes'),
        ({"tokens": [{"path": "a", "audience": "b", "expirationSeconds": 60}]}, "expirationSeconds"),
    ],
)
def test_a_value_that_cannot_be_used_is_told_with_what_can(
    tmp_path: Path, change: dict[str, object], told: str
) -> None:
    profiles = {"default": {"config": "c", "policies": "p", **change}}
    assert told in mistakes(tmp_path, yaml.safe_dump({**pods.WRITTEN, "profiles": profiles}))


@pytest.mark.parametrize("text", ["", "a: [", "[]", "a: 1\n---\nb: 2\n"])
def test_what_are_no_settings_is_told(tmp_path: Path, text: str) -> None:
    assert "inject.yaml" in mistakes(tmp_path, text)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="missing"):
        read_settings(tmp_path / "missing.yaml")
