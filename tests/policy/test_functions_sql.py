"""``sql()``: kinds and tables of statements."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.policy.functions_sql import DIALECTS, sql
from gateway.policy.functions_text import FunctionError


@pytest.mark.parametrize(
    ("query", "kind", "tables"),
    [
        ("SELECT 1", "select", []),
        ("VALUES (1)", "select", []),
        ('SELECT * FROM Public."Users" u, d.b.T2', "select", ["d.b.t2", "public.users"]),
        ("(SELECT 1) UNION SELECT * FROM z", "select", ["z"]),
        ("SELECT (SELECT x FROM a) FROM b WHERE c IN (SELECT * FROM d)", "select", ["a", "b", "d"]),
        ("SELECT * FROM f(1)", "select", ["f()"]),
        ("SELECT * FROM t FOR UPDATE", "select", ["t"]),
        ("INSERT INTO t SELECT * FROM u", "insert", ["t", "u"]),
        ("UPDATE t SET a = 1 FROM u", "update", ["t", "u"]),
        ("DELETE FROM t WHERE a IN (SELECT b FROM u)", "delete", ["t", "u"]),
        ("DROP TABLE t", "ddl", ["t"]),
        ("TRUNCATE TABLE t", "ddl", ["t"]),
        ("ALTER TABLE t ADD c int", "ddl", ["t"]),
        ("CREATE VIEW v AS SELECT * FROM t", "ddl", ["t", "v"]),
        ("SELECT * INTO n FROM t", "ddl", ["n", "t"]),
        ("WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x", "delete", ["t"]),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING *) SELECT * FROM x", "insert", ["t"]),
        ("MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN DELETE", "other", ["a", "b"]),
        ("GRANT ALL ON t TO u", "other", ["t"]),
        ("BEGIN", "other", []),
        ("SET x = 1", "other", []),
    ],
)
def test_a_statement_has_a_kind_and_tables(query: str, kind: str, tables: list[str]) -> None:
    assert sql(query) == [{"kind": kind, "tables": tables}]


@pytest.mark.parametrize(
    ("query", "tables"),
    [
        ("WITH a AS (SELECT * FROM b) SELECT * FROM a JOIN A ON 1 = 1", ["b"]),
        ("WITH a AS (SELECT 1), b AS (SELECT * FROM a) SELECT * FROM b", []),
        ("WITH RECURSIVE a AS (SELECT 1 UNION SELECT * FROM a) SELECT * FROM a", []),
        ("WITH users AS (SELECT * FROM users) SELECT * FROM users", ["users"]),
        ("WITH b AS (SELECT * FROM a), a AS (SELECT 1) SELECT * FROM b", ["a"]),
        ("SELECT (SELECT 1 FROM x) FROM (WITH x AS (SELECT 2) SELECT * FROM x) y", ["x"]),
        ('WITH "Users" AS (SELECT 1) SELECT * FROM users', ["users"]),
        ("WITH a AS (SELECT 1) SELECT * FROM public.a", ["public.a"]),
        ("WITH a AS (SELECT 1) INSERT INTO a SELECT * FROM a", ["a"]),
        ("WITH a AS (SELECT 1) DELETE FROM a", ["a"]),
    ],
)
def test_only_a_common_table_expression_that_is_visible_hides_a_table(query: str, tables: list[str]) -> None:
    assert sql(query)[0]["tables"] == tables


def test_each_statement_is_told() -> None:
    assert [one["kind"] for one in sql("SELECT 1; ; DROP TABLE t;\n-- done\n")] == ["select", "ddl"]
    assert sql("") == sql(" ; ") == sql("-- nothing") == []


def test_a_dialect_decides_what_a_backslash_is() -> None:
    query = r"SELECT 'a\'; DROP TABLE t; --'"
    assert [one["kind"] for one in sql(query, "mysql")] == ["select"]
    assert [one["kind"] for one in sql(query, "postgres")] == ["select", "ddl"]
    assert sql("SELECT * FROM `A b` /* c */", "mysql") == [{"kind": "select", "tables": ["a b"]}]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1 /* c */",
        r"SELECT 'a\'",
        "SELECT * FROM `a`",
        "SELECT * FROM [a]",
        "SELECT 1 # c",
        "SELECT $$a$$",
        "SELECT 1--1",
    ],
)
def test_what_dialects_read_differently_needs_the_name_of_one(query: str) -> None:
    with pytest.raises(FunctionError, match="name it"):
        sql(query)


@pytest.mark.parametrize(
    ("query", "dialect"),
    [
        ("SELECT FROM WHERE", ""),
        ("ls -l", ""),
        ("EXPLAIN ANALYZE DELETE FROM t", ""),
        ("CALL f()", ""),
        ("EXEC f", "tsql"),
        ("DO $x$ DELETE FROM t $x$", "postgres"),
        ("SELECT 1 /*!50000 INTO OUTFILE 'x' */", "mysql"),
        ("SELECT 1 /*M! INTO OUTFILE 'x' */", "mysql"),
        ('SELECT * FROM "a.b"', ""),
        ("SELECT 'a", ""),
        ("(" * 5000, ""),
        ("SELECT " + "1+" * 5000, ""),
        ("SELECT 1", "klingon"),
        ("SELECT 1", "Postgres"),
    ],
)
def test_what_cannot_be_told_for_sure_is_an_error(query: str, dialect: str) -> None:
    with pytest.raises(FunctionError):
        sql(query, dialect)


WORDS = (
    "select * from where a b , ( ) ; delete insert into update set = 1 'x' with as union -- \n drop table values "
    '" and or join on / - . :x ? case when then end'
).split(" ")


@settings(deadline=None, max_examples=300)
@given(st.lists(st.sampled_from(WORDS), max_size=14), st.sampled_from(("", *DIALECTS)))
def test_any_text_gives_statements_or_an_error(words: list[str], dialect: str) -> None:
    try:
        told = sql(" ".join(words), dialect)
    except FunctionError:
        return
    assert all(one["kind"] in ("select", "insert", "update", "delete", "ddl", "other") for one in told)
    if "delete" not in words and "drop" not in words:
        assert all(one["kind"] != "delete" for one in told)
