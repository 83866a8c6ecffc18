"""A table that agents share: bounded, and nobody's flood pushes out what little another keeps."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gateway.stores.shares import Shares

PUTS = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 30)), max_size=200)


@given(PUTS, st.integers(1, 12))
def test_it_is_bounded_and_what_it_keeps_is_what_was_put_last(puts, capacity):
    table = Shares(capacity)
    put = {}
    for number, (agent, name) in enumerate(puts):
        table.put(agent, (agent, name), number)
        put[agent, name] = number
        assert table.get((agent, name)) == number, "what was just put is there"
    assert len(table) == min(capacity, len(put))
    assert all(put[key] == value for key, value in table)


@given(PUTS, st.integers(4, 12))
def test_an_agent_within_its_share_loses_nothing(puts, capacity):
    table = Shares(capacity)
    table.put("modest", "mine", 0)
    for number, (agent, name) in enumerate(puts):
        table.put(agent, (agent, name), number)
    agents = {agent for agent, _ in puts} | {"modest"}
    if len(agents) <= capacity // 2:
        assert table.get("mine") == 0


def test_the_least_recently_used_goes_first():
    table = Shares(2)
    table.put("a", 1, "one")
    table.put("a", 2, "two")
    assert table.use(1) == "one"
    table.put("a", 3, "three")
    assert [table.get(key) for key in (1, 2, 3)] == ["one", None, "three"]
    assert table.oldest() == (1, "one")
    assert table.pop(1) == "one"
    assert table.pop(1) is None


def test_more_agents_than_places_leave_the_newest():
    table = Shares(3)
    for agent in "abcdef":
        table.put(agent, agent, agent)
    assert len(table) == 3
    assert table.get("f") == "f"


@given(PUTS, st.integers(1, 12), st.data())
def test_who_has_most_loses_the_oldest_of_it(puts, capacity, data):
    """Against a model that counts all of them each time."""
    table, model = Shares(capacity), {}
    for agent, name in puts:
        key = (agent, name)
        model.pop(key, None)
        model[key] = agent
        table.put(agent, key, name)
        if len(model) > capacity:
            (gone,) = [each for each in model if table.get(each) is None]
            sizes = [list(model.values()).count(each) for each in "abcd"]
            assert model[gone] == agent or list(model.values()).count(model[gone]) == max(sizes)
            assert gone == next(each for each in model if model[each] == model[gone])
            del model[gone]
        elif data.draw(st.booleans()):
            table.pop(key)
            del model[key]
    assert [key for key, _ in table] == list(model)
