"""Which run led to which: what is believed, of whom, and for how long."""

from __future__ import annotations

import itertools
from base64 import urlsafe_b64decode, urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Agent, Call, Run
from gateway.model.trace_context import trace_context
from gateway.ports import Lineage
from gateway.stores.lineage import PLACES, SPAN_LIFETIME, SPANS, TracedRuns
from gateway.stores.lineage_token import LIFETIME, LONGEST, Place, place_of, token_of
from tests.builders import call, request

KEY = b"k" * 32
NOW = 1_700_000_000.0
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TEXTS = st.text(max_size=40)
PLACED = st.builds(Place, st.tuples(TEXTS, TEXTS), st.tuples(TEXTS, TEXTS), st.integers(0, 100), TEXTS)
ROOT = Place(("planner", "r1"), ("planner", "r1"), 0, "ab" * 8)


class World:
    """A lineage with a clock that stands, and spans that count."""

    def __init__(self) -> None:
        self.now = NOW
        self._spans = itertools.count(1)
        self.runs = TracedRuns(KEY, lambda: self.now, self._fresh)

    def _fresh(self, size: int) -> bytes:
        return next(self._spans).to_bytes(size, "big")

    def placed(self, agent: str, run: str = "", **headers: str) -> Run:
        """The place of a run of which a call comes with these fields."""
        asked = request(fields=[(name.replace("_", "-"), value) for name, value in headers.items()])
        return self.runs.place(asked.lookup, Agent(agent), Run(run))

    def calls(self, agent: str, run: str = "", **headers: str) -> tuple[Run, dict[str, str]]:
        """A call of an agent: its place, and what its tool is told."""
        asked = request(fields=[(name.replace("_", "-"), value) for name, value in headers.items()])
        made: Call = structs.replace(call(), agent=Agent(agent), request=asked)
        placed = self.runs.place(asked.lookup, made.agent, Run(run))
        onward = self.runs.onward(structs.replace(made, run=placed))
        return placed, {name.decode(): value.decode() for name, value in onward}


@given(PLACED)
def test_a_token_names_the_place_for_which_it_was_made(place):
    token = token_of(place, KEY, NOW)
    assert place_of(token, [KEY], NOW) == place
    assert all(chr(byte) in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_" for byte in token)


@given(PLACED, st.data())
def test_a_token_that_was_changed_in_any_bit_says_nothing(place, data):
    token = token_of(place, KEY, NOW)
    raw = bytearray(urlsafe_b64decode(token + b"=" * (-len(token) % 4)))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert place_of(urlsafe_b64encode(bytes(raw)).rstrip(b"="), [KEY], NOW) is None


@given(PLACED, st.data())
def test_a_token_that_was_cut_or_lengthened_says_nothing(place, data):
    token = token_of(place, KEY, NOW)
    assert place_of(token[: data.draw(st.integers(0, len(token) - 2))], [KEY], NOW) is None
    assert place_of(token + b"AAAA", [KEY], NOW) is None


@given(st.binary(max_size=200))
def test_bytes_of_any_kind_are_no_token(raw):
    assert place_of(raw, [KEY], NOW) is None
    assert place_of(urlsafe_b64encode(raw), [KEY], NOW) is None


def test_a_token_of_another_key_says_nothing_and_one_of_an_earlier_key_does():
    token = token_of(ROOT, b"x" * 32, NOW)
    assert place_of(token, [KEY], NOW) is None
    assert place_of(token, [KEY, b"x" * 32], NOW) == ROOT


@pytest.mark.parametrize(("later", "good"), [(0, True), (LIFETIME, True), (LIFETIME + 1, False), (-301, False)])
def test_a_token_is_good_for_a_day(later, good):
    assert (place_of(token_of(ROOT, KEY, NOW), [KEY], NOW + later) is not None) == good


def test_names_that_are_too_long_for_a_field_make_no_token():
    place = Place(("a" * LONGEST, "r"), ("a" * LONGEST, "r"), 0)
    assert token_of(place, KEY, NOW) == b""


def test_what_nothing_led_to_is_a_root():
    world = World()
    lineage: Lineage = world.runs
    run = Run("r1")
    assert lineage.place({}, Agent("planner"), run) is run


@pytest.mark.parametrize("kept", [("traceparent", "baggage"), ("traceparent",), ("baggage",)])
def test_what_a_tool_passes_on_leads_back_to_the_call(kept):
    world = World()
    _, told = world.calls("planner", "r1")
    passed = {name: told[name] for name in kept}
    first = world.placed("searcher", "s1", **passed)
    assert (first.root, first.led, first.depth) == (("planner", "r1"), ("planner", "r1"), 1)
    assert first.span == trace_context(told["traceparent"].encode()).span
    assert first.lineage == ("token" if "baggage" in kept else "span")
    _, told = world.calls("searcher", "s1", **passed)
    second = world.placed("reader", "", **{name: told[name] for name in kept})
    assert (second.root, second.led, second.depth) == (("planner", "r1"), ("searcher", "s1"), 2)


def test_what_a_tool_does_not_pass_on_begins_anew():
    world = World()
    world.calls("planner", "r1")
    assert world.placed("searcher", "s1") == Run("s1")


def test_a_forged_token_makes_a_root_and_is_told():
    placed = World().placed("searcher", "s1", baggage="toolgate.run=AAAA")
    assert placed == Run("s1", lineage="rejected")


def test_the_span_of_a_call_is_known_for_an_hour():
    world = World()
    _, told = world.calls("planner", "r1")
    world.now += SPAN_LIFETIME
    assert world.placed("searcher", "s1", traceparent=told["traceparent"]).depth == 1
    world.now += 1
    assert world.placed("searcher", "s1", traceparent=told["traceparent"]).depth == 0


def test_the_agents_trace_goes_on_with_a_span_of_its_own():
    _, told = World().calls("planner", "r1", traceparent=TRACEPARENT, tracestate="a=b", baggage="k=v")
    assert told["traceparent"] == "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000001-01"
    assert "tracestate" not in told, "what the agent sent of it passes as it is"
    assert told["baggage"].endswith(",k=v")


@pytest.mark.parametrize("sent", [{}, {"traceparent": "nonsense"}, {"traceparent": TRACEPARENT.upper()}])
def test_a_new_trace_begins_where_there_is_none(sent):
    _, told = World().calls("planner", "r1", tracestate="a=b", **sent)
    context = trace_context(told["traceparent"].encode())
    assert context is not None
    assert context.trace not in str(sent)
    assert told["tracestate"] == "", "the state of a trace that does not go on goes"


def test_each_call_has_a_span_of_its_own():
    world = World()
    assert len({world.calls("planner", "r1", traceparent=TRACEPARENT)[1]["traceparent"] for _ in range(100)}) == 100


def test_an_agent_may_say_which_of_its_own_runs_began_another():
    world = World()
    child = world.placed("planner", "child", x_parent_run_id="r1")
    assert (child.root, child.led, child.depth) == (("planner", "r1"), ("planner", "r1"), 1)
    grandchild = world.placed("planner", "grandchild", x_parent_run_id="child")
    assert (grandchild.root, grandchild.led, grandchild.depth) == (("planner", "r1"), ("planner", "child"), 2)
    assert world.placed("planner", "child").root == ("planner", "r1"), "it stays so where it is not said again"


def test_what_an_agent_says_concerns_no_run_of_another():
    world = World()
    world.placed("mallory", "child", x_parent_run_id="r1")
    assert world.placed("mallory", "child").root == ("mallory", "r1")
    assert world.placed("planner", "child") == Run("child")


def test_runs_that_are_said_to_lie_in_each_other_have_an_end():
    world = World()
    for _ in range(5):
        depths = [world.placed("planner", run, x_parent_run_id=parent).depth for run, parent in ("ab", "bc", "ca")]
        assert depths == [1, 1, 2]
    assert world.placed("planner", "self", x_parent_run_id="self").depth == 0


def test_a_run_begun_by_one_that_serves_a_call_lies_in_the_tree_of_that_call():
    world = World()
    _, told = world.calls("planner", "r1")
    world.placed("searcher", "s1", **told)
    assert world.placed("searcher", "s2", x_parent_run_id="s1").root == ("planner", "r1")
    deeper = world.placed("searcher", "s2", x_parent_run_id="s1", **told)
    assert (deeper.led, deeper.depth) == (("searcher", "s1"), 2), "the nearer of the two, in the same tree"


def test_what_a_tool_passes_on_counts_for_more_than_what_an_agent_says():
    world = World()
    _, told = world.calls("planner", "r1")
    placed = world.placed("searcher", "s2", x_parent_run_id="elsewhere", **told)
    assert (placed.root, placed.lineage) == (("planner", "r1"), "token")


def test_a_token_adds_calls_to_the_tree_it_names_and_to_no_other():
    """Whoever holds a token of one run cannot make it one of another: neither by the run header, nor by his name."""
    world = World()
    _, told = world.calls("planner", "r1")
    for agent, run in (("mallory", "r1"), ("mallory", "r2"), ("victim", "r1")):
        assert world.placed(agent, run, baggage=told["baggage"]).root == ("planner", "r1")
    assert world.placed("victim", "r1") == Run("r1")


def test_a_new_key_signs_and_tokens_of_the_old_one_still_count():
    world = World()
    _, old = world.calls("planner", "r1")
    world.runs.rekey(b"n" * 32)
    _, new = world.calls("planner", "r1")
    assert place_of(new["baggage"].partition("=")[2].encode(), [b"n" * 32], NOW) is not None
    assert [world.placed("s", "s1", baggage=each["baggage"]).depth for each in (old, new)] == [1, 1]


def test_whoever_makes_many_calls_and_names_many_runs_fills_no_memory():
    world = World()
    _, told = world.calls("planner", "r1")
    world.placed("planner", "child", x_parent_run_id="r1")
    for number in range(PLACES + 10):
        world.placed("greedy", f"r{number}", x_parent_run_id="r")
        world.placed("greedy", f"s{number}", baggage=told["baggage"])
    assert len(world.runs._declared) == len(world.runs._told) == PLACES
    assert world.placed("planner", "child").depth == 1, "what little another one said is not pushed out"
    spare = structs.replace(call(), agent=Agent("greedy"))
    for _ in range(SPANS):
        world.runs.onward(spare)
    assert len(world.runs._spans) == SPANS
    assert world.placed("searcher", "s1", traceparent=told["traceparent"]).depth == 1
