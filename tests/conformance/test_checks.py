"""The comparison sees what a proxy breaks and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from . import bad_proxy
from .checks import ABSENT, Explained, Results, compare, count, load
from .report import Report


def check(**details: Any) -> dict[str, Any]:
    return {"id": "a", "name": "A", "status": "SUCCESS", "timestamp": "2026-01-01T00:00:00Z", "details": details}


def results(*checks: dict[str, Any]) -> Results:
    return {"scenario": list(checks)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"session": "7b1dd4b0c5a74b0e8f2d8f2f3f1f0a11"}, {"session": "0b1dd4b0-c5a7-4b0e-8f2d-8f2f3f1f0a12"}),
        ({"url": "http://localhost:1234/mcp"}, {"url": "http://127.0.0.1:80/everything/mcp"}),
        ({"headers": {"Date": "now", "server": "a"}}, {"headers": {"connection": "close"}}),
        ({"at": "2026-11-24T17:58:19.551Z", "id": 1795543271351}, {"at": "2026-11-24T18:00:00Z", "id": 1795543276735}),
    ],
)
def test_what_changes_from_run_to_run_is_no_difference(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert compare(results(check(**one)), results(check(**other))) == []


def test_every_member_that_differs_is_named() -> None:
    one = check(body={"id": 1, "items": [1, {"x": "y"}], "kept": None}, status=200)
    other = check(body={"id": "1", "items": [1, {"x": "z"}]}, status=400)
    places = [(found.place, found.direct, found.through) for found in compare(results(one), results(other))]
    assert places == [
        ("details.body.id", 1, "1"),
        ("details.body.items.1.x", "y", "z"),
        ("details.body.kept", None, ABSENT),
        ("details.status", 200, 400),
    ]


def test_check_that_was_not_made_or_failed_is_a_difference() -> None:
    failed = check() | {"status": "FAILURE", "errorMessage": "no"}
    assert [found.place for found in compare(results(check()), results(failed))] == ["status", "errorMessage"]
    assert [found.check for found in compare(results(check(), check()), results(check()))] == ["a#2"]
    assert [found.through for found in compare(results(check()), {})] == [ABSENT]


def test_order_of_checks_of_one_id_is_chance() -> None:
    assert compare(results(check(n=1), check(n=2)), results(check(n=2), check(n=1))) == []


def test_explained_difference_does_not_fail_a_run_and_others_do() -> None:
    report = Report([Explained("scen.*", "a", r"details\.status", "known")])
    assert report.add("x", results(check(status=421)), results(check(status=403))) == []
    assert report.good
    assert len(report.add("x", results(check(status=421, body=1)), results(check(status=403, body=2)))) == 1
    assert not report.good


def test_run_without_checks_fails() -> None:
    report = Report([])
    report.add("x", {}, {})
    assert not report.good


@pytest.mark.parametrize(
    ("harmless", "differs", "good"), [(True, False, True), (True, True, False), (False, True, True)]
)
def test_control_must_be_seen_for_what_it_is(harmless: bool, differs: bool, good: bool) -> None:
    report = Report([])
    report.control("x", results(check(n=1)), results(check(n=2 if differs else 1)), harmless=harmless)
    assert report.good is good


def test_bad_proxy_that_is_not_seen_fails_the_run() -> None:
    report = Report([])
    report.control("x", results(check()), results(check()), harmless=False)
    assert not report.good


def test_checks_are_read_from_the_folders_that_the_suite_writes(tmp_path: Path) -> None:
    folder = tmp_path / "server-tools-call-error-2026-11-24T17-58-19-376Z"
    folder.mkdir()
    (folder / "checks.json").write_text(json.dumps([check(), check() | {"status": "FAILURE"}]))
    found = load(tmp_path)
    assert list(found) == ["tools-call-error"]
    assert count(found) == (1, 1)


def test_bad_proxy_drops_meta_alone() -> None:
    body = b'{"id": 1, "params": {"_meta": {"a": 1}, "name": "x"}}'
    assert bad_proxy.content(body, "pass") == body
    assert json.loads(bad_proxy.content(body, "no-meta")) == {"id": 1, "params": {"name": "x"}}
