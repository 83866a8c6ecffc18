"""The text that is searched: where the gateway hands it over, it is what would be found in the record."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import NO_FACTS, Findings, Outcome, Permit
from gateway.observe.keeping import NOTHING
from gateway.observe.masked import masked_line
from gateway.observe.redact import Redactor
from gateway.observe.store import writing
from gateway.observe.store.file import temporary
from gateway.observe.store.rows import Stored, stored
from gateway.observe.store.writing import insert
from tests.builders import call, request

from .support import made

REDACTOR = Redactor()
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="?#\0"), max_size=20)
FINDINGS = st.builds(Findings, st.booleans(), notes=st.lists(WORDS, max_size=1).map(tuple))


def usual(operation="POST /orders", path="/orders/4711", outcome=Outcome(200, 200)):
    """A call about which there may be nothing to say, and what is stored of it."""
    one = structs.replace(
        made(0, Permit(call(operation)), outcome),
        facts=NO_FACTS,
        operation=operation,
        request=request("POST", path),
    )
    line, _, plain = masked_line(one, NOTHING, None, REDACTOR)
    return stored(one, line, usual=plain)


def tokens(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """The words in the index, and in how many records."""
    connection.execute("CREATE VIRTUAL TABLE temp.vocabulary USING fts5vocab (main, words, row)")
    return connection.execute("SELECT term, cnt FROM temp.vocabulary ORDER BY term").fetchall()


def indexed(one: Stored) -> list[tuple[str, int]]:
    with closing(temporary()) as connection:
        insert(connection, [one])
        writing.word(connection)
        return tokens(connection)


@given(WORDS, WORDS, st.builds(Outcome, st.just(200), st.just(200), error=WORDS, found=FINDINGS))
def test_the_words_that_come_with_a_call_are_those_of_its_record(operation, path, outcome):
    one = usual(operation, "/" + path, outcome)
    assert indexed(one) == indexed(Stored(one.line, one.values, one.said))


def test_a_usual_call_brings_its_words_and_others_do_not():
    assert usual().text == "POST /orders /orders/4711"
    assert usual(outcome=Outcome(502, fault="tool", error="connection reset")).text is None
