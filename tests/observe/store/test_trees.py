"""Runs at the roots of trees are numbered, and calls are found by these numbers."""

from __future__ import annotations

from contextlib import closing

import pytest
from msgspec import structs

from gateway.model import Run
from gateway.observe.store import writing
from gateway.observe.store.file import StoreError, open_for_reading, open_for_writing, temporary
from gateway.observe.store.found import Filter
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.rows import COLUMNS
from gateway.observe.store.selection import of_run
from gateway.observe.store.writing import insert

from .support import START, kept, made

TO_VERSION_1 = """
DROP INDEX calls_by_tree;
ALTER TABLE calls DROP COLUMN tree;
DROP TABLE trees;
ALTER TABLE records DROP COLUMN text;
CREATE INDEX calls_by_tree ON calls (tree_run);
PRAGMA user_version = 1;
"""


def of(run: str, reader: TraceReader) -> list[str]:
    return [row.call for row in reader.calls(Filter(run=run))]


def named(connection) -> list[str]:
    return [run for (run,) in connection.execute("SELECT run FROM trees ORDER BY tree")]


def test_a_number_stays_as_long_as_there_is_a_call_of_the_tree():
    with closing(temporary()) as connection:
        runs = ["old", "both", "old", "both", "new"]
        insert(connection, kept(*(made(number, run=Run(run)) for number, run in enumerate(runs))))
        assert named(connection) == ["old", "both", "new"]
        assert writing.forget(connection, int((START + 3) * 1000)) == 3
        assert named(connection) == ["both", "new"]
        reader = TraceReader(connection)
        assert (of("old", reader), of("both", reader), of("new", reader)) == ([], ["c3"], ["c4"])
        assert writing.forget(connection, 1 << 60) == 2
        assert named(connection) == []
        insert(connection, kept(made(5, run=Run("old")), made(6, run=Run())))
        assert of("old", reader) == ["c5"]


def test_more_runs_than_fit_a_statement_and_runs_that_are_no_text_are_all_numbered():
    with closing(temporary()) as connection:
        runs = [f"run-{number}" for number in range(200)] + ["\udcff"]
        insert(connection, kept(*(made(number, run=Run(run)) for number, run in enumerate(runs))))
        strange = kept(made(201))[0]
        values = list(strange.values)
        values[COLUMNS.index("tree_run")] = 5
        insert(connection, [structs.replace(strange, values=tuple(values))])
        reader = TraceReader(connection)
        assert [of(run, reader) for run in ("run-0", "run-199", "?")] == [["c0"], ["c199"], ["c200"]]


def test_calls_of_a_run_are_looked_up_not_looked_for():
    with closing(temporary()) as connection:
        condition, values = of_run("r")
        plan = connection.execute(f"EXPLAIN QUERY PLAN SELECT id FROM calls WHERE {condition}", values).fetchall()
        told = " ".join(step[3] for step in plan)
        assert "calls_by_tree" in told
        assert "calls_by_inner_run" in told
        assert "SCAN" not in told


def test_a_store_of_the_version_before_is_made_one_of_this_version(tmp_path):
    path = tmp_path / "traces.db"
    inner = Run("inner", root=("treasurer", "r1"), lineage="token")
    with closing(open_for_writing(str(path))) as old:
        insert(old, kept(made(0), made(1, run=Run("r2")), made(2, run=inner), made(3, run=Run())))
        old.executescript(TO_VERSION_1)
    with pytest.raises(StoreError, match=r"of version 1; a gateway that starts with it makes it version 2"):
        open_for_reading(path)
    with closing(open_for_writing(str(path))) as connection:
        insert(connection, kept(made(4)))
    with closing(TraceReader(open_for_reading(path))) as reader:
        assert (of("r1", reader), of("r2", reader), of("inner", reader)) == (["c4", "c2", "c0"], ["c1"], ["c2"])
        assert [story.summary.calls for story in reader.run("r1", START)] == [3]
        assert len(reader.calls(Filter(text="transfers"))) == 5
