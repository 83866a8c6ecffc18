"""W3C Trace Context and Baggage: what is valid, and what is kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.trace_context import (
    LONGEST_BAGGAGE,
    MOST_MEMBERS,
    TraceContext,
    member,
    trace_context,
    with_member,
)

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
HEX = st.text("0123456789abcdef", min_size=16, max_size=16)


@pytest.mark.parametrize(
    ("value", "flags"),
    [
        (f"00-{TRACE}-{SPAN}-01", 1),
        (f"00-{TRACE}-{SPAN}-00", 0),
        (f"00-{TRACE}-{SPAN}-03", 3),
        (f"01-{TRACE}-{SPAN}-01", 1),
        (f"cc-{TRACE}-{SPAN}-03-what-comes-later", 1),
        (f"fe-{TRACE}-{SPAN}-00-", 0),
    ],
)
def test_what_is_valid_is_read(value: str, flags: int):
    assert trace_context(value.encode()) == TraceContext(TRACE, SPAN, flags)


@pytest.mark.parametrize(
    "value",
    [
        "",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f"00-{TRACE}-{SPAN}-01-extra",
        f"00-{TRACE}-{SPAN}-01.",
        f"01-{TRACE}-{SPAN}-01extra",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE[:-1]}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-0x",
        f" 00-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01\n",
        f"00-{TRACE}-{SPAN}-01, 00-{TRACE}-{SPAN}-01",
        f"0-{TRACE}-{SPAN}-01",
    ],
)
def test_what_is_not_valid_is_none(value: str):
    assert trace_context(value.encode()) is None


def test_nothing_is_none():
    assert trace_context(None) is None


@given(st.binary(max_size=70))
def test_bytes_of_any_kind_are_read_or_not(value: bytes):
    found = trace_context(value)
    assert found is None or trace_context(found.text()) is not None


@given(HEX, HEX, HEX.filter(lambda span: span != "0" * 16), st.integers(0, 255))
def test_flags_that_this_version_does_not_have_are_not_sent(one, two, span, flags):
    context = TraceContext("1" + one[1:] + two, span, flags)
    assert trace_context(context.text()) == TraceContext(context.trace, span, flags & 3)


def test_a_member_is_found_among_others():
    assert member(b"a=b, toolgate.run = xyz ;p=1,c=d", b"toolgate.run") == b"xyz"
    assert member(b"a=toolgate.run", b"toolgate.run") is None
    assert member(b"xtoolgate.run=1", b"toolgate.run") is None
    assert member(b"toolgate.run", b"toolgate.run") is None
    assert member(None, b"toolgate.run") is None


def test_other_members_stay_as_they_are_and_where_they_are():
    assert with_member(None, b"us", b"1") == b"us=1"
    assert with_member(b"a=b;p=%20 ,us=old, , c=d", b"us", b"1") == b"us=1,a=b;p=%20,c=d"


@given(st.lists(st.from_regex(rb"[a-z]{1,5}=[a-z0-9]{0,300}", fullmatch=True), max_size=100))
def test_a_list_keeps_to_the_limits(members):
    made = with_member(b",".join(members), b"us.run", b"token")
    assert len(made) <= LONGEST_BAGGAGE
    kept = made.split(b",")
    assert len(kept) <= MOST_MEMBERS
    assert kept[0] == b"us.run=token"
    assert kept[1:] == members[: len(kept) - 1]
    fits = len(kept) == MOST_MEMBERS or len(kept) > len(members)
    assert fits or len(made) + 1 + len(members[len(kept) - 1]) > LONGEST_BAGGAGE, "no more was left out than had to be"
