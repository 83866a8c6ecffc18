"""``sql()``: what statements do, and to which tables. Imported only where the configuration asks for it (sqlglot)."""

from __future__ import annotations

import re
from typing import Any

from sqlglot import Dialect, exp
from sqlglot.errors import SqlglotError
from sqlglot.parser import logger

from gateway.policy.functions_text import FunctionError, bounded

# The parser warns of what it does not know, with the agent's text; here that is an error, told to the policy.
logger.disabled = True

QUERY_CAP = 8192
DIALECTS = (
    "bigquery",
    "clickhouse",
    "databricks",
    "duckdb",
    "mysql",
    "oracle",
    "postgres",
    "redshift",
    "snowflake",
    "spark",
    "sqlite",
    "trino",
    "tsql",
)
_DIFFERS = re.compile(r"/\*|[\\`\[#$]|--(?!\s|$)")
"""What ends or escapes quotes and comments in some dialects only."""
_EXECUTABLE = re.compile(r"/\*M?!")

_KINDS: tuple[tuple[str, tuple[type[exp.Expression], ...]], ...] = (
    ("insert", (exp.Insert,)),
    ("update", (exp.Update,)),
    ("delete", (exp.Delete,)),
    ("ddl", (exp.Create, exp.Drop, exp.Alter, exp.TruncateTable, exp.Comment)),
    (
        "other",
        (
            exp.Analyze,
            exp.Commit,
            exp.Copy,
            exp.Describe,
            exp.Grant,
            exp.Kill,
            exp.Merge,
            exp.Pragma,
            exp.Rollback,
            exp.Set,
            exp.Transaction,
            exp.Use,
        ),
    ),
)
_WITHIN = (
    ("delete", exp.Delete),
    ("update", exp.Update),
    ("insert", exp.Insert),
    ("other", exp.Merge),
    ("ddl", exp.Into),
)
"""What a query that begins with SELECT or WITH may do all the same, strongest first."""


def sql(query: str, dialect: str = "") -> list[dict[str, Any]]:
    """The statements of a text, in their order: ``kind`` (select, insert, update, delete, ddl, other) and ``tables``
    (sorted, in lower case, as they are qualified: ``public.users``; a function that gives a table as ``name()``).
    A query that writes within (``WITH x AS (DELETE ...)``, ``SELECT ... INTO``) has the kind of what it does.

    Names of common table expressions are no tables. What functions and views do behind their names is not known.

    Raises:
        FunctionError: it cannot be parsed, or holds what dialects read differently and no ``dialect`` is named.
    """
    reader = check_dialect(dialect)
    if not dialect and _DIFFERS.search(bounded(query, QUERY_CAP)):
        raise FunctionError(r"dialects differ in how they read comments, \, `, [, # and $; name it: sql(x, 'postgres')")
    if _EXECUTABLE.search(bounded(query, QUERY_CAP)):
        raise FunctionError("a comment that some servers execute")
    try:
        statements = reader.parse(query)
    except (SqlglotError, RecursionError):
        raise FunctionError("no SQL that can be parsed") from None
    read = [statement for statement in statements if statement is not None and not isinstance(statement, exp.Semicolon)]
    return [{"kind": _kind(statement), "tables": _tables(statement)} for statement in read]


def check_dialect(name: str) -> Dialect:
    """The dialect; raises FunctionError where there is none of the name. "" is what all have in common."""
    if name and name not in DIALECTS:
        raise FunctionError(f"there is no dialect {name[:32]!a}; write one of {', '.join(DIALECTS)}")
    return Dialect.get_or_raise(name)


def _kind(statement: Any) -> str:
    for kind, types in _KINDS:
        if isinstance(statement, types):
            return kind
    if not isinstance(statement, exp.Query | exp.Values):
        raise FunctionError("a statement of a kind that is not known")
    return next((kind for kind, type_ in _WITHIN if statement.find(type_) is not None), "select")


def _tables(statement: Any) -> list[str]:
    found = set()
    for table in statement.find_all(exp.Table):
        parts = [part.name for part in table.parts]
        if any("." in part for part in parts):
            raise FunctionError("a dot within a name")
        if not isinstance(table.this, exp.Identifier):
            called = table.this
            name = called.sql_name() if isinstance(called, exp.Func) and not called.name else called.name
            parts[-1] = f"{name}()"
        elif len(parts) == 1 and _common(table):
            continue
        found.add(".".join(parts).lower())
    return sorted(found)


def _common(table: exp.Table) -> bool:
    """Whether a name is that of a common table expression which is visible where it stands, and not a table."""
    if not isinstance(table.parent, exp.From | exp.Join):
        return False  # what is written to is a table
    below: Any = table
    through: Any = None  # the table expression that we came out of
    while (above := below.parent) is not None:
        if isinstance(below, exp.CTE):
            through = below
        clause = above.args.get("with_")
        if clause is not None:
            visible = clause.expressions
            if below is clause and through is not None:
                own = next(at for at, one in enumerate(visible) if one is through)
                visible = visible[: own + bool(clause.recursive)]
            if any(_same(one.args["alias"].this, table.this) for one in visible):
                return True
        below = above
    return False


def _same(one: Any, other: Any) -> bool:
    """Whether two names are the same in every dialect: some fold the case of those that are not quoted."""
    if bool(one.quoted) != bool(other.quoted):
        return False
    return bool(one.name == other.name if one.quoted else one.name.lower() == other.name.lower())
