"""Writes of memories are judged by what the call found there."""

from __future__ import annotations

import pytest
from msgspec import structs

from gateway.decide.conflicts import Conflicts
from gateway.model import Change, Glance, How, Reason, Seen, Standing, Touch, Verdict
from tests.builders import call as a_call

NOW = 1_700_000_000.0
TOUCH = Touch("notes", "plan", writes=True)
READ = Change("c1", How.FOUND, at=NOW - 60, text="milk\nbread\neggs\n")
THEIRS = Change("c2", How.WRITTEN, "agent-b", "run-2", NOW - 12, text="milk\nbread\ntwelve eggs\n")
STALE = Glance(TOUCH, Standing((READ, THEIRS)), Seen("c1", NOW - 50))


def judged(glance, way="refuse", *, shows=True, unread="refuse"):
    call = structs.replace(a_call("PUT /plan"), glances=(glance,), at=NOW)
    return Conflicts({"notes": way}, {"notes": unread}, shows=shows).judge(call)


def test_a_stale_write_is_refused_with_who_changed_what_and_when():
    refusal = judged(STALE).refusal
    assert (refusal.reason, refusal.status, refusal.rule) == (Reason.MEMORY_STALE, 412, "memory/notes")
    assert refusal.detail == "notes/plan has been changed by agent-b 12 s ago, after this run read it"
    assert refusal.advice.startswith("read it again")
    assert not refusal.retryable
    (change,) = refusal.changes
    assert change == {
        "memory": "notes",
        "key": "plan",
        "how": "written",
        "changed_by": "agent-b",
        "run": "run-2",
        "changed_at": "2023-11-14T22:13:08.000+00:00",
        "seconds_ago": 12.0,
        "difference": "@@ line 3 @@\n milk\n bread\n-eggs\n+twelve eggs",
    }


def test_what_others_wrote_is_not_shown_where_rules_look_through_answers():
    refusal = judged(STALE, shows=False).refusal
    assert refusal.changes[0]["difference"] is None
    assert refusal.changes[0]["changed_by"] == "agent-b"


def test_a_run_that_saw_only_that_it_is_there_is_not_shown_what_stands():
    glance = structs.replace(STALE, seen=Seen("c1", NOW - 50, whole=False))
    assert judged(glance).refusal.changes[0]["difference"] is None


@pytest.mark.parametrize(
    ("newest", "said"),
    [
        (Change("c2", How.FOUND, at=NOW - 3), "changed past the gateway since this run read it (found 3 s ago)"),
        (Change("c2", How.DELETED, "agent-b", "r", NOW - 3), "deleted by agent-b 3 s ago"),
        (Change("c2", How.UNKNOWN, "agent-b", "r", NOW - 3), "nobody knows whether that has been carried out"),
    ],
)
def test_the_refusal_says_how_it_came_to_stand_otherwise(newest, said):
    assert said in judged(structs.replace(STALE, standing=Standing((READ, newest)))).refusal.detail


def test_what_is_not_known_any_more_counts_as_changed():
    refusal = judged(structs.replace(STALE, standing=None)).refusal
    assert refusal.status == 412
    assert "not known any more" in refusal.detail
    assert refusal.changes[0]["how"] == "forgotten"


def test_an_unread_write_is_refused_unless_the_memory_allows_it():
    glance = structs.replace(STALE, seen=None)
    refusal = judged(glance).refusal
    assert (refusal.reason, refusal.status) == (Reason.MEMORY_UNREAD, 428)
    assert judged(glance, unread="allow").refusal is None


def test_a_current_write_and_a_read_pass_in_silence():
    current = structs.replace(STALE, seen=Seen("c2", NOW - 1))
    reading = structs.replace(STALE, touch=Touch("notes", "plan"))
    for glance in (current, reading):
        judgement = judged(glance)
        assert (judgement.refusal, judgement.questions, judgement.spoke) == (None, (), ())


def test_people_are_asked_with_the_difference():
    judgement = judged(STALE, "ask")
    assert judgement.refusal is None
    (question,) = judgement.questions
    assert question.rule == "memory/notes"
    assert "changed by agent-b" in question.text
    assert dict(question.read)["memory", ("difference",)].endswith("+twelve eggs")
    assert judgement.spoke[0].verdict is Verdict.APPROVE


def test_a_warning_lets_it_pass():
    judgement = judged(STALE, "warn")
    assert (judgement.refusal, judgement.questions) == (None, ())
    assert judgement.spoke[0].verdict is Verdict.WARN
    assert "has overwritten that" in judgement.spoke[0].message


def test_the_strictest_memory_of_a_call_decides():
    other = structs.replace(STALE, touch=Touch("strict", "plan", writes=True))
    call = structs.replace(a_call("PUT /plan"), glances=(STALE, other), at=NOW)
    refusal = Conflicts({"notes": "warn", "strict": "refuse"}, {}).judge(call).refusal
    assert refusal.rule == "memory/strict"
    assert [change["memory"] for change in refusal.changes] == ["notes", "strict"]


def test_a_clean_merge_writes_both_changes_and_is_told():
    conflicts = Conflicts({"notes": "merge"}, {})
    assert conflicts.merges(STALE)
    glance, text = conflicts.merge(STALE, "oat milk\nbread\neggs\n")
    assert text == "oat milk\nbread\ntwelve eggs\n"
    assert (glance.merged, glance.stale) == ("agent-b", False)
    judgement = judged(glance, "merge")
    assert judgement.refusal is None
    assert "merged with a change of agent-b" in judgement.spoke[0].message


def test_a_clash_is_refused_with_the_lines_that_clash():
    glance, text = Conflicts({"notes": "merge"}, {}).merge(STALE, "milk\nbread\nno eggs\n")
    assert text is None
    refusal = judged(glance, "merge").refusal
    assert refusal.status == 412
    assert refusal.detail.endswith("the two could not be merged")
    assert refusal.changes[0]["clash"].splitlines()[1:] == ["-twelve eggs", "+no eggs"]


@pytest.mark.parametrize("gone", ["base", "theirs", "ours", "deleted"])
def test_without_all_three_texts_nothing_is_merged(gone):
    newest = structs.replace(THEIRS, text=None) if gone == "theirs" else THEIRS
    newest = Change("c2", How.DELETED, "agent-b") if gone == "deleted" else newest
    changes = (newest,) if gone == "base" else (READ, newest)
    glance, text = Conflicts({"notes": "merge"}, {}).merge(
        structs.replace(STALE, standing=Standing(changes)), None if gone == "ours" else "x"
    )
    assert text is None
    assert glance.stale
    assert judged(glance, "merge").refusal.status == 412


def test_keys_that_no_text_can_hold_are_told_all_the_same():
    glance = structs.replace(STALE, touch=Touch("notes", "\ud800" + "x" * 500, writes=True))
    refusal = judged(glance).refusal
    assert refusal.detail.startswith("notes/?xxx")
    assert len(refusal.changes[0]["key"]) <= 200
