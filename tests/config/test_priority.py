"""``approvals.priority`` is looked at when the configuration is read."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.config.load import attempt

CONFIG = """\
tools: {bank: {url: "http://127.0.0.1:1"}}
approvals:
  priority: FORMULA
"""
GRANT = 'apiVersion: toolgate/v1\nkind: Grant\nmetadata: {name: all}\nspec: {agents: ["*"], tools: ["*"]}\n'


@pytest.mark.parametrize(
    ("formula", "column", "says"),
    [("impact * weight", 22, "weight"), ("impact > 1.0", 13, "must give a number"), ("args.amount", 13, "args")],
)
def test_a_formula_that_cannot_be_used_is_told_with_its_place(
    tmp_path: Path, formula: str, column: int, says: str
) -> None:
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "all.yaml").write_text(GRANT)
    file = tmp_path / "toolgate.yaml"
    file.write_text(CONFIG.replace("FORMULA", formula))
    (problem,) = attempt(file).errors
    assert (problem.line, problem.column) == (3, column)
    assert says in problem.message
    file.write_text(CONFIG.replace("FORMULA", "impact * waiting"))
    assert attempt(file).errors == []
