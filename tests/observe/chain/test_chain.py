"""The audit's records: sealed in a chain, canonical, and committed to the trace."""

from __future__ import annotations

import orjson
import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Agent, Outcome, Permit
from gateway.observe.chain.check import Checker
from gateway.observe.chain.entries import KEYS, commitment, entry_of, entry_of_record
from gateway.observe.chain.records import GENESIS, Link, canonical, checkpoint, head, read_head, seal, signed
from gateway.observe.trace import record_of
from tests.builders import call
from tests.observe.support import refusal, trace

from .support import KEY

VALUES = st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(max_size=30)
RECORDS = st.dictionaries(st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=9), VALUES, max_size=8)


@given(RECORDS)
def test_canonical_is_rfc_8785(record):
    assert canonical(record) == rfc8785.dumps(record)


@given(st.lists(RECORDS, max_size=8))
def test_what_is_sealed_is_found_whole(records):
    link, checker = Link(), Checker()
    for number, record in enumerate(records, 1):
        line, link = seal(record, link)
        assert checker.line(f"x:{number}", line[:-1]) == {**record, "seq": number, "prev": checker_prev(line)}
    assert not checker.flaws
    assert checker.at == link


def checker_prev(line: bytes) -> str:
    return orjson.loads(line)["record"]["prev"]


def test_a_checkpoint_is_known_by_its_key():
    made = checkpoint("t", Link(4, "ab"), KEY)
    whole = {**made, "seq": 5, "prev": "ab"}
    assert signed(whole, KEY)
    assert not signed(whole, b"other" * 8)
    for change in ({"seq": 6}, {"prev": "ac"}, {"ts": "u"}, {"closing": True}, {"mac": None}):
        assert not signed({**whole, **change}, KEY)
    assert "mac" not in checkpoint("t", Link(4, "ab"), None)


def test_the_head_is_known_by_its_key():
    told = head(Link(5, "ab"), KEY)
    assert read_head(told, KEY) == Link(5, "ab")
    assert read_head(head(Link(), None), None) == Link(0, GENESIS)
    for wrong in (told.replace(b"5", b"6", 1), told.replace(b"ab", b"ac", 1), b"{}\n", b"", told + b" "):
        with pytest.raises(ValueError):
            read_head(wrong, KEY)


@pytest.mark.parametrize(
    "made",
    [
        trace(Permit(call(), "payers")),
        trace(refusal()),
        trace(None, Outcome(499, fault="agent")),
        structs.replace(trace(refusal()), agent=None, tool="", operation="", policy=""),
        structs.replace(trace(refusal()), agent=Agent("x" * 5000), operation="y" * 5000),
    ],
)
def test_an_entry_is_a_part_of_the_calls_record(made):
    record = orjson.loads(orjson.dumps(record_of(made)))
    assert entry_of(made) == entry_of_record(record) == {key: record[key] for key in KEYS}


def test_a_commitment_depends_on_salt_and_record_and_tells_neither():
    assert commitment(b"s" * 16, b"line\n") == commitment(b"s" * 16, b"line")
    assert commitment(b"s" * 16, b"line") != commitment(b"t" * 16, b"line")
    assert commitment(b"s" * 16, b"line") != commitment(b"s" * 16, b"lime")
