"""The evaluator of trajectories (benchmarks/loops.py): what it reads, and what the defaults come to on made-up runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.loops import Guard, Made, Recorded, made_up, main, recorded, summary
from gateway.model import LoopSettings, RetrySettings


@pytest.mark.parametrize("hints", [True, False])
def test_stuck_runs_are_stopped_and_honest_ones_let_be(hints: bool) -> None:
    guard = Guard(LoopSettings(), None)
    played = [guard.play(run) for run in made_up(1, 60, hints=hints)]
    honest = [run for run in played if run.run.success]
    stuck = [run for run in played if not run.run.success]
    assert all(run.refused for run in stuck)
    assert summary(honest)["touched %"] <= 0.5
    assert summary(played)["A max"] <= 3


def test_a_run_that_repeats_a_failing_call_makes_it_twice_and_with_retries_once() -> None:
    run = Recorded([Made("db", {"sql": "selct"}, "syntax error", error=True)] * 10)
    assert Guard(LoopSettings(), None).play(run).made == 2
    assert Guard(LoopSettings(), RetrySettings()).play(run).made == 1


def test_recorded_runs_are_read_as_documented(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [
        {"run": "a", "success": True, "calls": [{"tool": "t", "args": {"x": 1}, "result": {"y": 2}, "error": False}]},
        {"run": "b", "success": False, "calls": [{"tool": "t", "operation": "o", "args": [], "result": None}] * 9},
        {"run": "c", "calls": [{"tool": "t", "args": {}, "result": "r", "readOnly": True, "at": 5.5}]},
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    assert [run.run for run in recorded([path])] == ["a", "b", "c"]
    main([str(path), "--retries"])
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()[1:]}
    assert rows["successful"][0] == "1.000"
    assert rows["all"][3:5] == ["3.667", "1.667"], "11 calls, of which 3 are distinct, and 5 are made"


def test_settings_that_are_none_are_told() -> None:
    with pytest.raises(SystemExit, match="write NAME=NUMBER"):
        main(["--set", "repeat=3"])
