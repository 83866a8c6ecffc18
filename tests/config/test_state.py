"""Where state is kept, as the configuration says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config import packages
from gateway.config.load import attempt, load
from gateway.errors import ConfigError
from gateway.model.state_url import read_state_url
from tests.config.support import CONFIG, GRANT, told, written


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("memory:", "memory:"),
        ("sqlite:///state.db", "sqlite:///state.db"),
        ("sqlite:////var/lib/a%20b.db", "sqlite:////var/lib/a b.db"),
        ("redis://localhost", "redis://localhost:6379/"),
        ("redis://user:p%40ss@[::1]:7000/2?prefix=prod:", "redis://[::1]:7000/2"),
        ("rediss://:secret@redis.example:6380/0?ssl_ca_certs=/etc/ca.pem", "rediss://redis.example:6380/0"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock"),
        ("redis+sentinel://a,b:26380/main/1?sentinel_password=secret", "redis+sentinel://a:26379,b:26380/main/1"),
        ("rediss+cluster://:secret@a:7000,b:7001", "rediss+cluster://a:7000,b:7001/"),
    ],
)
def test_a_url_is_read_and_shown_without_its_secrets(text: str, shown: str) -> None:
    url = read_state_url(text)
    assert str(url) == shown
    assert "secret" not in repr(url)


def test_the_parts_of_a_url_are_decoded() -> None:
    url = read_state_url("redis://us%3Aer:p%40ss@host:7000/2?prefix=prod:")
    assert (url.username, url.password, url.hosts, url.path, url.prefix) == (
        "us:er", "p@ss", (("host", 7000),), "2", "prod:",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "not a URL of a store"),
        ("memory", "not a URL of a store"),
        ("postgres://:secret@x", "not a URL of a store"),
        ("redis:x", "not a URL of a store"),
        ("sqlite://state.db", "sqlite:///FILE"),
        ("sqlite:///", "sqlite:///FILE"),
        ("sqlite:///:memory:", "sqlite:///FILE"),
        ("redis://", "HOST:PORT"),
        ("redis://:secret@host:port", "HOST:PORT"),
        ("redis://:secret@a,b", "redis+sentinel://"),
        ("redis://:secret@a/first", "the database is a number"),
        ("redis+sentinel://:secret@a", "Sentinel is asked for a name"),
        ("redis+cluster://:secret@a/1", "no numbered databases"),
        ("redis://:secret@a?ssl_cert_reqs=none", "has no option 'ssl_cert_reqs'"),
        ("rediss://:secret@a?ssl_check_hostname=false", "has no option 'ssl_check_hostname'"),
        ("redis://:secret@a?prefix={x}", "prefix of keys"),
        ("unix://host/run/redis.sock", "unix:///FOLDER/SOCKET"),
        ("unix:///run/redis.sock?db=x", "the database is a number"),
    ],
)
def test_a_url_that_is_none_is_told_without_its_secrets(text: str, problem: str, tmp_path: Path) -> None:
    path = written(tmp_path, f"{CONFIG}state: '{text}'\n", p=GRANT)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert problem in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_file_is_relative_to_the_configuration(tmp_path: Path) -> None:
    path = written(tmp_path, f"{CONFIG}state: sqlite:///data/state.db\n", p=GRANT)
    assert read_state_url(load(path).config.state).path == str(tmp_path / "data" / "state.db")


def test_passwords_come_from_the_environment_and_do_not_show_in_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_PASSWORD", "first")
    path = written(tmp_path, f"{CONFIG}state: redis://:${{env:REDIS_PASSWORD}}@host/0\n", p=GRANT)
    loaded = load(path)
    assert read_state_url(loaded.config.state).password == "first"
    plain = written(tmp_path, f"{CONFIG}state: redis://:second@host/0\n", p=GRANT)
    assert load(plain).version == loaded.version


@pytest.mark.parametrize(
    ("config", "package", "expected"),
    [
        ("state: redis://:secret@host/1", "redis", "toolgate.yaml:1:8: redis://host:6379/1 needs the package redis"),
        ("trace: {otlp: {endpoint: http://a, protocol: grpc}}", "grpc", "protocol: grpc needs the package grpcio"),
    ],
)
def test_a_package_that_is_not_installed_here_is_warned_of(tmp_path, monkeypatch, config, package, expected):
    path = written(tmp_path, f"{config}\n{CONFIG}")
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name == package else object())
    made = attempt(path)
    assert made.errors == []
    (warning,) = map(str, made.warnings)
    assert expected in warning
    assert "pip install 'toolgate[" in warning
    assert "secret" not in warning
    monkeypatch.setattr(packages, "find_spec", lambda name: None if name != package else object())
    assert attempt(path).warnings == []


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("state: sqlite:///var/state.db", "toolgate.yaml:1:8: the folder var of var/state.db does not exist"),
        ("trace: {file: log/trace.jsonl}", "toolgate.yaml:1:15: the folder log of log/trace.jsonl does not exist"),
        ("trace: {store: {path: var/traces.db}}", "toolgate.yaml:1:23: the folder var of var/traces.db does not exist"),
    ],
)
def test_a_folder_that_is_not_there_is_warned_of(tmp_path, config, expected):
    path = written(tmp_path, f"{config}\n{CONFIG}")
    (warning,) = told(path)
    assert warning.startswith(expected)
    (tmp_path / "var").mkdir()
    (tmp_path / "log").mkdir()
    assert told(path) == []


def test_whole_paths_are_not_looked_at_since_they_may_be_those_of_another_machine(tmp_path):
    away = tmp_path / "elsewhere"
    config = (
        f"state: sqlite:///{away}/state.db\ntrace: {{file: {away}/t.jsonl, store: {{path: {away}/t.db}}}}\n{CONFIG}"
    )
    assert told(written(tmp_path, config)) == []
