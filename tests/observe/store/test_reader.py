"""Questions to the store, and the answers that the records give."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Agent, Findings, Mode, Outcome, Permit, Proposal, Reason, Refusal, Run, Spoke, Verdict
from gateway.observe.store import writing
from gateway.observe.store.file import StoreError, open_for_reading, open_for_writing, temporary
from gateway.observe.store.found import ANY, Filter
from gateway.observe.store.reader import TraceReader
from gateway.observe.store.where import Where
from gateway.observe.store.writing import insert
from gateway.policy.engines import load_engine
from tests.builders import call
from tests.observe.support import trace

from .support import START, kept, made, reader_of
from .test_rows import DECISIONS, FOUND
from .test_rows import WORDS as WORDS_OF_STRANGERS

SPOKE = Spoke("payments", "large", Verdict.DENY, Mode.ENFORCE, "transfers over 500 are made by hand")
DENIED = Refusal(
    Reason.POLICY_DENIED, 403, "transfers over 500 are made by hand", rule="payments/large", spoke=(SPOKE,)
)
ALLOWED = Permit(call())
A, B = Agent("ann"), Agent("bob")


@pytest.fixture
def reads(tmp_path):
    """Make a reader of a store with these traces."""
    readers = []

    def make(*traces):
        readers.append(reader_of(tmp_path / f"{len(readers)}.db", traces))
        return readers[-1]

    yield make
    for reader in readers:
        reader.close()


def named(rows):
    return [row.call for row in rows]


MIXED = (
    made(0, ALLOWED, agent=A, tool="bank", run=Run("r1")),
    made(1, DENIED, Outcome(403), agent=A, tool="bank", run=Run("r1")),
    made(2, ALLOWED, agent=B, tool="notes", run=Run("r2"), operation="GET /notes"),
    made(3, ALLOWED, Outcome(502, fault="tool", error="connection reset"), agent=B, tool="notes", run=Run("r1")),
    structs.replace(made(4, ALLOWED, Outcome(499), agent=None, tool="", run=Run()), decision=None),
)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (ANY, ["c4", "c3", "c2", "c1", "c0"]),
        (Filter(agent="ann"), ["c1", "c0"]),
        (Filter(tool="notes", run="r1"), ["c3"]),
        (Filter(decision="refuse"), ["c1"]),
        (Filter(reason="policy_denied", rule="large"), ["c1"]),
        (Filter(policy="payments"), ["c1"]),
        (Filter(policy="other"), []),
        (Filter(since=START + 1, until=START + 2.5), ["c2", "c1"]),
        (Filter(text="hand over transfers"), ["c1"]),
        (Filter(text="GET"), ["c2"]),
        (Filter(text="res*"), ["c3"]),
        (Filter(text="res"), []),
        (Filter(text='" OR (* NEAR'), []),
        (Filter(text="connection", agent="ann"), []),
    ],
)
def test_calls_are_found_by_what_they_are(reads, wanted, found):
    assert named(reads(*MIXED).calls(wanted)) == found


def test_pages_follow_one_another_without_gap_or_repetition(reads):
    reader = reads(*(made(number // 3) for number in range(20)))
    seen, before = [], None
    while rows := reader.calls(limit=3, before=before):
        seen += [row.id for row in rows]
        before = rows[-1]
    assert sorted(seen) == list(range(1, 21))
    assert len(seen) == 20


def test_a_condition_is_looked_for_beyond_the_first_page(reads, monkeypatch):
    monkeypatch.setattr("gateway.observe.store.reader._PAGE", 4)
    reader = reads(*(made(number, outcome=Outcome(200, 200, received=number)) for number in range(30)))
    where = Where("bytes_in == 2 || bytes_in == 25", load_engine())
    assert named(reader.calls(Filter(where=where), limit=9)) == ["c25", "c2"]
    assert named(reader.calls(Filter(where=where), limit=1)) == ["c25"]


def test_calls_that_end_later_are_told_once_and_in_the_order_of_their_ends(reads):
    reader = reads(made(5), made(3), made(9, DENIED))
    rows, at = reader.after(0)
    assert (named(rows), at) == (["c5", "c3", "c9"], 3)
    assert reader.after(3) == ([], 3)
    rows, at = reader.after(0, Filter(decision="refuse"), limit=2)
    assert (rows, at) == ([], 2)
    assert named(reader.after(at, Filter(decision="refuse"))[0]) == ["c9"]


def test_one_call_is_found_by_its_id(reads):
    reader = reads(*MIXED)
    found = reader.call("c1")
    assert found is not None
    assert (found.rule, found.record["detail"]) == ("payments/large", DENIED.detail)
    assert reader.call("c99") is None


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.builds(
            lambda decision, outcome, run, agent, operation, wall: structs.replace(
                trace(decision, outcome), run=run, agent=agent, operation=operation, wall=wall
            ),
            DECISIONS,
            st.builds(Outcome, st.integers(100, 599), st.integers(0, 599), error=WORDS_OF_STRANGERS, found=FOUND),
            st.builds(Run, WORDS_OF_STRANGERS),
            st.none() | st.builds(Agent, WORDS_OF_STRANGERS),
            WORDS_OF_STRANGERS,
            st.floats(0, 4e9),
        ),
        max_size=70,
    )
)
def test_what_is_stored_comes_back_as_it_was(traces):
    records = kept(*traces)
    connection = temporary()
    insert(connection, records)
    reader = TraceReader(connection)
    rows, _ = reader.after(0, limit=100)
    reader.close()
    assert [row.line.encode() for row in rows] == [one.line for one in records]
    told = [structs.astuple(row) for row in rows]
    assert [(round(at * 1e3), *rest[:-1]) for _, at, *rest in told] == [one.values for one in records]


WORDS = ["money", "hand", "delete", "user", "Zürich"]


@settings(deadline=None, max_examples=40)
@given(
    texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=4), max_size=8),
    asked=st.lists(st.sampled_from(WORDS), min_size=1, max_size=3),
    worded=st.booleans(),
)
def test_words_are_found_whether_or_not_they_are_indexed_yet(texts, asked, worded):
    connection = temporary()
    half = len(texts) // 2
    traces = [
        made(number, Refusal(Reason.POLICY_DENIED, 403, " ".join(text)), operation="")
        for number, text in enumerate(texts)
    ]
    insert(connection, kept(*traces[:half]))
    if worded:
        writing.word(connection)
    reader = TraceReader(connection)
    insert(connection, kept(*traces[half:]))
    found = set(named(reader.calls(Filter(text=" ".join(asked)))))
    if worded:
        writing.word(connection)
    assert set(named(reader.calls(Filter(text=" ".join(asked))))) == found
    reader.close()
    assert found == {f"c{number}" for number, text in enumerate(texts) if set(asked) <= set(text)}


def test_arguments_messages_and_reasons_are_searched(reads):
    from gateway.observe.keeping import keeping
    from gateway.observe.store.rows import stored
    from gateway.observe.trace import line_of

    spoke = structs.replace(SPOKE, message="ask Petra first")
    one = made(0, structs.replace(DENIED, spoke=(spoke,)))
    asked = structs.replace(call(args={"note": {"body": "quarterly report"}}))
    two = made(1, Permit(asked))
    connection = temporary()
    insert(connection, kept(one))
    insert(connection, [stored(two, line_of(two, keeping(True, [], [], 1000)))])
    reader = TraceReader(connection)
    assert named(reader.calls(Filter(text="petra"))) == ["c0"]
    assert named(reader.calls(Filter(text="quarterly report"))) == ["c1"]
    assert named(reader.calls(Filter(text="policy_denied"))) == ["c0"]
    reader.close()


def test_runs_are_summed_over_their_trees_the_last_active_first(reads, monkeypatch):
    inner = Run("inner", root=("ann", "r1"), led=("ann", "r1"), depth=1, lineage="token")
    reader = reads(
        made(0, ALLOWED, Outcome(200, 200, cost_usd=0.25), agent=A, tool="bank", run=Run("r1")),
        made(1, ALLOWED, agent=B, run=Run("r1"), tool="notes"),
        made(2, DENIED, Outcome(403), agent=B, tool="mail", run=inner),
        made(3, ALLOWED, Outcome(200, 500, cost_usd=0.5), agent=B, tool="mail", run=inner),
        made(4, ALLOWED, run=Run()),
    )
    anns, bobs = reader.runs(START + 10)
    assert (anns.agent, anns.run, anns.calls, anns.refused, anns.failed) == ("ann", "r1", 3, 1, 1)
    assert (anns.cost_usd, anns.agents, anns.tools, anns.state) == (0.75, 2, ("mail", "bank"), "active")
    assert (anns.first, anns.last) == (START, START + 4)
    assert (bobs.agent, bobs.calls, bobs.tools) == ("bob", 1, ("notes",))
    assert [one.agent for one in reader.runs(START + 10, Filter(agent="bob", tool="notes"))] == ["bob"]
    monkeypatch.setattr("gateway.observe.store.runs._NEWEST", 2)
    assert [one.agent for one in reader.runs(START + 10, limit=1)] == ["ann"]
    assert [one.agent for one in reader.runs(START + 10, limit=2)] == ["ann", "bob"]
    assert reader.runs(START + 1000)[0].state == "finished"


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (Reason.QUARANTINED, "quarantined"),
        (Reason.LOOP_DETECTED, "looping"),
        (Reason.RATE_LIMITED, "throttled"),
        (Reason.APPROVAL_REQUIRED, "waiting for a human"),
        (Reason.BUDGET_EXHAUSTED, "out of budget"),
        (Reason.POLICY_DENIED, "finished"),
    ],
)
def test_a_runs_state_is_what_stopped_its_last_call(reads, reason, state):
    reader = reads(made(0, ALLOWED), made(1, Refusal(reason, 403, "")))
    assert [one.state for one in reader.runs(START + 1000)] == [state]


def test_a_story_nests_calls_below_those_that_led_to_them(reads):
    span = "b7ad6b7169203331"
    outer = structs.replace(
        call(), onward=((b"traceparent", f"00-0af7651916cd43dd8448eb211c80319c-{span}-01".encode()),)
    )
    inner = Run("sub", root=("ann", "r1"), led=("ann", "r1"), depth=1, span=span, lineage="span")
    reader = reads(
        made(1, ALLOWED, agent=B, run=inner),
        made(0, Permit(outer), agent=A, run=Run("r1", labels=("tainted",)), call=outer),
        made(2, ALLOWED, agent=A, run=Run("r1")),
    )
    (story,) = reader.run("r1", START)
    assert [(step.row.call, named(child.row for child in step.children)) for step in story.steps] == [
        ("c0", ["c1"]),
        ("c2", []),
    ]
    assert story.labels == ("tainted",)
    assert [one.summary.run for one in reader.run("sub", START)] == ["r1"]
    assert reader.run("other", START) == []


def test_runs_of_one_name_are_told_apart_by_their_agents(reads):
    reader = reads(made(0, agent=A, run=Run("r")), made(1, agent=B, run=Run("r")))
    assert [one.summary.agent for one in reader.run("r", START)] == ["bob", "ann"]
    assert [one.summary.agent for one in reader.run("r", START, "ann")] == ["ann"]


def test_what_a_model_proposed_is_joined_with_the_calls_that_were_made(reads):
    proposed = (
        Proposal("mcp__files__read_file"),
        Proposal("notes", refused="p/r"),
        Proposal("read_file"),
        Proposal("x"),
    )
    turn = made(0, ALLOWED, Outcome(200, 200, found=Findings(proposed=proposed)), operation="POST /chat", tool="llm")
    reader = reads(
        turn,
        made(1, ALLOWED, tool="files", operation="read_file"),
        made(2, ALLOWED, tool="notes", operation="GET /notes"),
        made(3, DENIED, tool="files", operation="read_file"),
    )
    (story,) = reader.run("r1", START)
    first, one, two, three = story.steps
    assert [(p.name, p.made, p.refused) for p in first.proposals] == [
        ("mcp__files__read_file", "c1", ""),
        ("notes", "", "p/r"),
        ("read_file", "c3", ""),
        ("x", "", ""),
    ]
    assert [(step.proposed_by, step.loosely) for step in (one, two, three)] == [("c0", True), ("", False), ("c0", True)]


def test_tools_are_told_of_with_errors_latencies_and_stretches_of_time(reads):
    reader = reads(
        *(made(number, ALLOWED, tool="bank", began=0.0, ended=(number + 1) / 1e3) for number in range(100)),
        made(100, DENIED, Outcome(403), tool="bank"),
        made(101, ALLOWED, Outcome(502, fault="tool", cost_usd=2.0), tool="bank", began=0.0, ended=9.0),
        made(50, ALLOWED, tool="notes", began=0.0, ended=0.5),
    )
    bank, notes = reader.tools(START, START + 200, 2)
    assert (bank.tool, bank.calls, bank.refused, bank.failed, bank.cost_usd) == ("bank", 102, 1, 1, 2.0)
    assert (bank.p50_ms, bank.p95_ms) == (51.0, 96.0)
    first, second = bank.buckets
    assert (first.at, first.calls, first.refused, first.p50_ms, first.p95_ms) == (START, 100, 0, 50.0, 95.0)
    assert (second.at, second.calls, second.refused, second.failed, second.p95_ms) == (START + 100, 2, 1, 1, 9000.0)
    assert [(one.calls, one.p50_ms) for one in notes.buckets] == [(1, 500.0), (0, None)]
    assert reader.tools(START + 500, START + 600) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 5000), min_size=1, max_size=60))
def test_quantiles_are_those_of_the_nearest_rank(times):
    connection = temporary()
    insert(connection, kept(*(made(0, ALLOWED, began=0.0, ended=one / 1e3) for one in times)))
    reader = TraceReader(connection)
    (found,) = reader.tools(START, START + 1)
    reader.close()
    ordered = sorted(times)
    assert found.p50_ms == ordered[-(-len(times) * 50 // 100) - 1]
    assert found.p95_ms == ordered[-(-len(times) * 95 // 100) - 1]


def test_agents_are_told_of_the_dearest_first(reads):
    reader = reads(
        *MIXED, made(5, ALLOWED, Outcome(200, 200, cost_usd=0.5), agent=B), made(6, ALLOWED, agent=Agent("zoe"))
    )
    bob, ann, zoe = reader.agents(START, START + 100)
    assert (bob.agent, bob.calls, bob.failed, bob.cost_usd, bob.runs) == ("bob", 3, 1, 0.5, 2)
    assert (ann.agent, ann.calls, ann.refused, ann.last) == ("ann", 2, 1, START + 1)
    assert zoe.agent == "zoe"


def test_rules_are_told_of_by_verdict_and_mode(reads):
    audit = structs.replace(SPOKE, mode=Mode.AUDIT)
    late = Outcome(200, 200, found=Findings(spoke=(audit,)))
    reader = reads(made(0, DENIED), made(1, DENIED), made(2, ALLOWED, late))
    told = [(one.policy, one.rule, one.verdict, one.mode, one.hits) for one in reader.rules(START, START + 10)]
    assert told == [("payments", "large", "deny", "Audit", 1), ("payments", "large", "deny", "Enforce", 2)]


def test_an_empty_store_has_nothing_to_say(reads):
    reader = reads()
    assert reader.extent().calls == reader.last() == 0
    assert reader.calls() == reader.runs(0.0) == reader.rules(0, 1) == reader.agents(0, 1) == []


def test_texts_that_are_not_unicode_are_stored_with_a_mark(reads):
    reader = reads(made(0, DENIED, agent=Agent("a\ud800"), run=Run("r\udfff"), operation="x"))
    (row,) = reader.calls()
    assert (row.agent, row.run, row.record["agent"]) == ("a?", "r?", "a?")


def test_a_reader_cannot_write(tmp_path):
    reader_of(tmp_path / "t.db", [made()]).close()
    connection = open_for_reading(tmp_path / "t.db")
    with pytest.raises(Exception, match="readonly"):
        writing.forget(connection, 1 << 60)
    connection.close()


def test_a_store_in_a_folder_that_may_not_be_written_is_read(tmp_path, monkeypatch):
    reader_of(tmp_path / "t.db", [made()]).close()
    for left in tmp_path.glob("t.db-*"):
        left.unlink()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    reader = TraceReader(open_for_reading(tmp_path / "t.db"))
    assert reader.extent().calls == 1
    assert not list(tmp_path.glob("t.db-*"))
    reader.close()


@pytest.mark.parametrize("content", [None, b"", b"nothing of ours" * 500])
def test_what_cannot_be_read_is_told(tmp_path, content):
    path = tmp_path / "t.db"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(StoreError, match=str(path)):
        open_for_reading(path)


def test_a_store_is_not_readable_for_everybody(tmp_path):
    connection = open_for_writing(str(tmp_path / "t.db"))
    insert(connection, kept(made()))
    files = list(tmp_path.iterdir())
    assert len(files) == 3
    assert all(file.stat().st_mode & 0o007 == 0 for file in files)
    connection.close()


def test_a_timeline_counts_calls_by_stretch(reads):
    reader = reads(*MIXED)
    line = reader.timeline(START, START + 5, 5)
    assert [one.at for one in line] == [START + number for number in range(5)]
    assert [(one.calls, one.refused, one.failed) for one in line] == [
        (1, 0, 0),
        (1, 1, 0),
        (1, 0, 0),
        (1, 0, 1),
        (1, 0, 0),
    ]
    of_one = reader.timeline(START, START + 5, 1, Filter(agent="ann"))
    assert (of_one[0].calls, of_one[0].refused) == (2, 1)


def test_refusals_are_counted_by_reason_and_rule(reads):
    (only,) = reads(*MIXED).refusals(Filter(since=START))
    assert (only.reason, only.rule, only.hits, only.last) == ("policy_denied", "payments/large", 1, START + 1)
    assert reads(*MIXED).refusals(Filter(agent="bob")) == []
