"""What calls find in memories, where files or records say it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.cli.explanation import explanation_of
from gateway.config.described import Described
from gateway.config.load import load
from gateway.rehearse.stage import Stage
from tests.rehearse.support import rule, told
from tests.rehearse.test_replay_unknown import policy, verdict

STALE = {
    "memory": "notes", "key": "plan", "does": "write", "found": "stale", "seen_s": 30.0, "changed_by": "bob",
    "came_of": None, "version": None,
}  # fmt: skip

AGAIN = {**STALE, "does": "revalidate", "found": None, "seen_s": None, "changed_by": None, "came_of": "unverified"}


@pytest.mark.parametrize(
    ("said", "when"),
    [
        ("memory: {stale: true, changed_by: bob}", 'memory.stale && memory.changed_by == "bob" && memory.read'),
        (
            "memory: {key: plan, name: wiki, age: 2m}",
            'memory.key == "plan" && memory.name == "wiki" && memory.age == 120.0',
        ),
        ("memory: {read: false}", "!memory.read && memory.writes && !memory.stale"),
        ("memory: {old: true, writes: false}", "memory.old && !memory.writes && memory.name == tool.name"),
        ("drift: [notes/plan, wiki/home]", 'run.drift == ["notes/plan", "wiki/home"]'),
        ("unverified: [notes/plan]", 'run.unverified == ["notes/plan"]'),
        ("run: r", 'memory.name == "" && run.drift == []'),
    ],
)
def test_a_case_says_what_its_call_finds(tmp_path: Path, said: str, when: str) -> None:
    case = f"- {{name: x, call: {{{said}}}, expect: {{decision: refuse, rule: p/r}}}}"
    assert told(tmp_path, rule(when.replace("'", "''")), case) == []


def test_what_is_said_of_one_call_is_found_by_no_other(tmp_path: Path) -> None:
    case = """
    - name: x
      steps:
        - {call: {memory: {stale: true}, drift: [a/b]}, expect: refuse}
        - {expect: allow}
    """
    assert told(tmp_path, rule("memory.stale || size(run.drift) > 0"), case) == []


@pytest.mark.parametrize(
    ("when", "record", "expected"),
    [
        ("memory.stale", {"memory": [STALE]}, "deny"),
        ('memory.changed_by == "bob" && memory.age == 30.0', {"memory": [STALE]}, "deny"),
        ("memory.stale", {"memory": [{**STALE, "found": "merged"}]}, "same"),
        ("memory.stale", {"memory": [{**STALE, "found": "current"}]}, "same"),
        ("memory.writes && !memory.read", {"memory": [{**STALE, "found": "unread"}]}, "deny"),
        ("memory.writes && !memory.read", {"memory": [{**STALE, "found": "new"}]}, "deny"),
        ("memory.stale", {"memory": []}, "same"),
        ("memory.stale", {}, "not in the record"),
        ("size(run.drift) > 0", {"drift": ["notes/plan"]}, "deny"),
        ("size(run.drift) > 0", {"drift": []}, "same"),
        ("size(run.drift) > 0", {"drift": None}, "not in the record"),
        ("size(run.unverified) > 0", {"drift": [], "memory": [AGAIN]}, "deny"),
        ("size(run.unverified) > 0", {"drift": [], "memory": [{**AGAIN, "came_of": "verified"}]}, "same"),
        ("size(run.unverified) > 0", {"drift": None}, "not in the record"),
    ],
)
def test_a_replay_finds_what_was_recorded_and_guesses_nothing(
    tmp_path: Path, when: str, record: dict[str, Any], expected: str
) -> None:
    assert verdict(tmp_path, policy(when), record).startswith(expected)


def test_an_explanation_tells_what_the_call_finds(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "toolgate.yaml").write_text("tools: {notes: {url: 'http://a'}}\n")
    loaded = load(tmp_path / "toolgate.yaml")
    said = {"agent": "a", "tool": "notes", "memory": {"key": "plan", "stale": True}, "drift": ["notes/plan"]}
    call = Stage(loaded, 1_700_000_000.0).call_of(Described.model_validate(said))
    shown = explanation_of(call, loaded)["call"]
    assert shown["memory"] == [{"memory": "notes", "key": "plan", "writes": True, "found": "stale"}]
    assert shown["drift"] == ["notes/plan"]
