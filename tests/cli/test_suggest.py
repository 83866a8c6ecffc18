"""``toolgate suggest grants``: what it prints, from logs and stores, and how it exits."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from click.testing import CliRunner, Result

from gateway.cli.root import toolgate
from gateway.config.load import load
from gateway.observe.store.rows import stored_record
from gateway.observe.store.thread import TraceStore
from tests.config.support import written
from tests.rehearse.test_replay_unknown import BASE

CONFIG = 'tools:\n  bank: {url: "http://bank"}\n  mail: {url: "http://mail"}\n'
GRANT = "apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: wide}\nspec: {agents: ['*'], tools: ['*']}\n"


def lines(*records: dict[str, Any]) -> list[bytes]:
    return [
        orjson.dumps({**BASE, "call": f"p-{at:06d}", "clock": 100.0 + at, **more}) for at, more in enumerate(records)
    ]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return written(tmp_path, CONFIG, grants=GRANT)


@pytest.fixture
def log(config: Path) -> Path:
    path = config.parent / "trace.jsonl"
    accounts = [{"method": "GET", "path": f"/bank/accounts/{number}"} for number in range(5)]
    path.write_bytes(b"\n".join(lines({}, {"run": "r1"}, {"agent": "clerk-2"}, *accounts)) + b"\n")
    return path


def suggest(config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(toolgate, ["suggest", "grants", "-c", str(config), *map(str, arguments)])


def specs(result: Result) -> list[dict[str, Any]]:
    return [document["spec"] for document in yaml.safe_load_all(result.stdout)]


def test_what_was_used_is_suggested_and_what_was_not_is_told(config: Path, log: Path) -> None:
    done = suggest(config, "--from", log, "--check")
    assert done.exit_code == 0, done.output
    assert specs(done) == [
        {"agents": ["clerk-1"], "tools": ["bank"], "operations": ["GET /accounts/*", "POST /transfers"]},
        {"agents": ["clerk-2"], "tools": ["bank"], "operations": ["POST /transfers"]},
    ]
    assert "# 5 calls, last 2026-01-05T12:00:00.000Z, 5 different; as template GET /accounts/{id}" in done.stdout
    assert "grant wide: tool mail: never used" in done.stderr
    assert "check: 8 calls, 0 refused" in done.stderr


def test_what_it_prints_is_a_policy_file_that_loads(config: Path, log: Path) -> None:
    done = suggest(config, "--from", log)
    (config.parent / "policies" / "grants.yaml").write_text(done.stdout)
    loaded = load(config)
    assert loaded.warnings == []
    assert [document.kind for document in loaded.documents] == ["Grant", "Grant"]


def test_only_the_agents_runs_and_times_that_are_asked_for_count(config: Path, log: Path) -> None:
    assert [spec["agents"] for spec in specs(suggest(config, "--from", log, "--agent", "*-2"))] == [["clerk-2"]]
    assert specs(suggest(config, "--from", log, "--run", "r1"))[0]["operations"] == ["POST /transfers"]
    none = suggest(config, "--from", log, "--since", "2026-01-06")
    assert none.exit_code == 1
    assert "no permitted call" in none.output


def test_a_task_is_made_of_the_same(config: Path, log: Path) -> None:
    done = suggest(config, "--from", log, "--task", "clerking", "--check")
    assert done.exit_code == 0, done.output
    (spec,) = specs(done)
    assert spec["agents"] == ["clerk-1", "clerk-2"]
    assert spec["budget"] == {"calls": 1}
    assert spec["allow"] == [{"tools": ["bank"], "operations": ["GET /accounts/*", "POST /transfers"]}]
    assert suggest(config, "--from", log, "--task", "not a name").exit_code == 2


def test_logs_and_stores_are_read_together_and_each_call_counts_once(config: Path, log: Path) -> None:
    packed, store = config.parent / "old.gz", config.parent / "traces.db"
    packed.write_bytes(gzip.compress(log.read_bytes()))
    kept = TraceStore(str(store), 1e12, 1 << 30)
    kept.put([stored_record(orjson.loads(line), line) for line in lines({}, {"agent": "clerk-9", "call": "q-1"})])
    assert kept.close(10) == 0
    done = suggest(config, "--from", log, "--from", packed, "--from", store, "--check")
    assert "from 9 permitted calls" in done.stdout
    assert ["clerk-2", "clerk-9"] in [spec["agents"] for spec in specs(done)]


def test_a_source_that_cannot_be_read_is_told(config: Path) -> None:
    done = suggest(config, "--from", config.parent / "nowhere.jsonl")
    assert done.exit_code == 1
    assert "cannot read" in done.output
