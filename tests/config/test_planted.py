"""Policies with one planted mistake each: it is found at load, at its place, and nothing else is.

The first lines of each file say what must be told: ``# LINE:COLUMN severity kind: message``.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.cli.check_reports import KINDS
from gateway.config.load import attempt

HERE = Path(__file__).parent / "planted"
PLANTED = sorted((HERE / "policies").glob("*.yaml"))


def expected(path: Path) -> list[str]:
    lines = path.read_text().split("\n")
    return [line.removeprefix("# ") for line in lines if line.startswith("# ")]


def told(path: Path) -> list[str]:
    made = attempt(HERE / "toolgate.yaml", path)
    found = [(one, "error") for one in made.errors] + [(one, "warning") for one in made.warnings]
    here = [(one.line, one.column, f"{severity} {one.kind}: {one.message}") for one, severity in found
            if one.file == str(path)]  # fmt: skip
    return [f"{line}:{column} {rest}".replace(f"{HERE}/", "") for line, column, rest in sorted(here)]


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_a_planted_mistake_is_found_where_it_stands(path: Path) -> None:
    assert expected(path)
    assert told(path) == expected(path)


@pytest.mark.parametrize("path", PLANTED, ids=lambda path: path.stem)
def test_a_planted_mistake_is_shown_with_its_line_and_a_caret(path: Path) -> None:
    made = attempt(HERE / "toolgate.yaml", path)
    for problem in (*made.errors, *made.warnings):
        if problem.file == str(path):
            line, caret = getattr(problem, "excerpt", "").split("\n")
            assert line.endswith(path.read_text().split("\n")[problem.line - 1].replace("\t", " "))
            assert caret.index("^") - caret.index("|") == problem.column + 1


def test_there_are_more_than_thirty_kinds_of_planted_mistakes() -> None:
    assert len(PLANTED) > 30


def test_what_was_planted_in_is_free_of_mistakes() -> None:
    made = attempt(HERE / "toolgate.yaml", HERE / "sound.yaml")
    assert (made.errors, made.warnings) == ([], [])


def test_every_kind_of_mistake_has_a_description() -> None:
    kinds = {line.partition(": ")[0].split(" ")[-1] for path in PLANTED for line in expected(path)}
    assert kinds - KINDS.keys() == set()
