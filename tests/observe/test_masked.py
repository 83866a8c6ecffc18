"""Lines are masked as if each were looked through from end to end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import (
    NO_FACTS,
    Agent,
    Change,
    Glance,
    How,
    Outcome,
    Permit,
    Recalled,
    Run,
    Standing,
    Touch,
)
from gateway.observe.keeping import NOTHING, keeping
from gateway.observe.links import Link
from gateway.observe.masked import masked_line
from gateway.observe.redact import Redactor, own_of
from gateway.observe.trace import line_of
from tests.builders import call, request
from tests.observe.support import trace

HELD = 's3cr3t-Token/of "ours"+4711'
GITHUB = "ghp_" + "aB3dE5fG7hI9jK1lM3nO5pQ7rS9tU1vW3xY5"
SPAN = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
REDACTOR = Redactor()
REDACTOR.adopt([("bank", HELD)])
TEXTS = st.builds(
    "".join, st.lists(st.sampled_from([HELD, GITHUB, "", "a", "/", "%2F", "x" * 30, "own-key-12345"]), max_size=3)
)
PAIRS = st.just(()) | st.tuples(TEXTS, TEXTS)


@given(
    st.builds(Run, TEXTS, TEXTS, root=PAIRS, led=PAIRS, span=TEXTS, lineage=st.sampled_from(["", "token"])),
    st.builds(Agent, TEXTS, st.lists(TEXTS, max_size=2).map(tuple)),
    st.tuples(TEXTS, TEXTS, TEXTS),
    st.sampled_from([NOTHING, keeping(True, [], [], 1000)]),
    st.none() | st.builds(Link, st.just("c"), TEXTS, TEXTS, st.booleans()),
)
def test_it_is_as_if_the_whole_line_were_looked_through(run, agent, texts, settings, link):
    operation, host, path = texts
    asked = structs.replace(call(operation, host=host), onward=((b"traceparent", SPAN),))
    made = structs.replace(
        trace(Permit(asked), Outcome(200, 200)),
        run=run,
        agent=agent,
        operation=operation,
        facts=NO_FACTS,
        call=asked,
        request=request("GET", "/" + path, [("X-Api-Key", "own-key-12345")]),
    )
    whole = line_of(made, settings, link)
    masked = REDACTOR.line(whole, own_of(made))
    assert masked_line(made, settings, link, REDACTOR)[:2] == (masked, masked == whole)
    assert HELD.encode() not in masked


def test_a_credential_that_is_held_from_now_on_is_masked_in_what_had_passed():
    redactor = Redactor()
    made = structs.replace(trace(Permit(call("GET /abcdefghijkl"))), facts=NO_FACTS, operation="GET /abcdefghijkl")
    line, unmasked, _ = masked_line(made, NOTHING, None, redactor)
    assert unmasked
    assert b"abcdefghijkl" in line
    redactor.adopt([("bank", "abcdefghijkl")])
    assert b"abcdefghijkl" not in masked_line(made, NOTHING, None, redactor)[0]


@given(TEXTS, TEXTS, TEXTS, st.none() | st.tuples(TEXTS))
def test_what_agents_chose_of_memories_is_looked_through(key, by, version, drift):
    standing = Standing((Change("c1", How.WRITTEN, by),))
    asked = structs.replace(call(), glances=(Glance(Touch("notes", key), standing),), drift=drift)
    came = (Recalled(("notes", key), "read", version),)
    made = structs.replace(trace(Permit(asked), Outcome(200, 200)), facts=NO_FACTS, call=asked, recalled=came)
    whole = line_of(made)
    masked = REDACTOR.line(whole, own_of(made))
    assert masked_line(made, NOTHING, None, REDACTOR)[:2] == (masked, masked == whole)
    assert HELD.encode() not in masked
