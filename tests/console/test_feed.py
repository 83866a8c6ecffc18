"""The feed and its stream: nothing twice, nothing unnoticed, never too much."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.errors import Busy, Mistaken
from gateway.console.feed import MOST_WATCHING, Feed
from gateway.console.pieces import whole
from gateway.console.stream import Choice, choice_of, newest, outcome_of
from gateway.observe.trace import line_of
from tests.observe.store.test_reader import MIXED


@given(st.lists(st.lists(st.binary(min_size=1, max_size=9), max_size=7), max_size=12), st.integers(1, 9), st.data())
def test_who_asks_again_and_again_sees_each_record_once_or_hears_that_it_is_gone(batches, kept, data):
    feed, seen, gone, number, all_of_them = Feed(kept, 40), [], 0, 0, []
    for batch in batches:
        feed.put(batch)
        all_of_them += batch
        if data.draw(st.booleans()):
            lines, lost = feed.after(number)
            number, gone = feed.last, gone + lost
            seen += lines
    lines, lost = feed.after(number)
    seen, gone = seen + lines, gone + lost
    assert len(seen) + gone == len(all_of_them) == feed.last
    assert len(feed.after(0)[0]) <= kept
    assert seen == all_of_them if not gone else set(seen) <= set(all_of_them)


def test_what_is_kept_is_bounded_in_bytes():
    feed = Feed(1000, 100)
    feed.put([b"x" * 30] * 50)
    assert sum(map(len, feed.after(0)[0])) <= 100
    assert feed.after(0)[1] == 47


def test_only_so_many_watch_at_once():
    feed, watching = Feed(), []
    for _ in range(MOST_WATCHING):
        watching.append(feed.watching())
        watching[-1].__enter__()
    with pytest.raises(Busy), feed.watching():
        pass
    watching.pop().__exit__(None, None, None)
    with feed.watching() as event:
        feed.put([b"x"])
        assert event.is_set()


LINES = [line_of(trace) for trace in MIXED]


@pytest.mark.parametrize("tool", ["", "bank", "nope"])
@pytest.mark.parametrize("agent", ["", "ann"])
@pytest.mark.parametrize("decision", ["", "allow", "refuse", "failed"])
def test_a_choice_finds_what_fits(tool, agent, decision):
    found, more = newest(LINES, Choice(tool, agent, decision), 100)
    assert more == 0
    records = [orjson.loads(line) for line in LINES]
    assert [one["call"] for one in found] == [
        one["call"]
        for one in reversed(records)
        if (not tool or one["tool"] == tool)
        and (not agent or one["agent"] == agent)
        and (not decision or outcome_of(one) == decision)
    ]


def test_outcomes():
    assert [outcome_of(orjson.loads(line)) for line in LINES] == ["allow", "refuse", "allow", "failed", "left"]
    assert outcome_of(whole({"decision": "allow", "upstream_status": 200, "is_error": True})) == "failed"


def test_there_are_no_other_decisions():
    with pytest.raises(Mistaken):
        choice_of({"decision": "perhaps"})


def test_of_many_the_newest_are_shown_and_the_others_counted():
    found, more = newest(LINES, Choice(), 2)
    assert [one["call"] for one in found] == ["c4", "c3"]
    assert more == len(LINES) - 2
