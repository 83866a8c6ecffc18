"""Who has the next place: shares, order, ageing, the line's bound, and that nothing is ever lost."""

from __future__ import annotations

from collections import Counter
from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.stores import fairness
from gateway.stores.fairness import FairQueue
from gateway.stores.tickets import State, Ticket


def entered(queue: FairQueue, agent: str, now: float = 0.0, weight: float = 1.0, priority: int = 0) -> Ticket:
    return queue.enter(agent, weight, priority, now)


@pytest.mark.parametrize(
    ("places", "share", "most"),
    [(1, 0.8, 1), (2, 0.8, 1), (3, 0.8, 2), (5, 0.8, 4), (8, 0.8, 7), (20, 0.8, 16), (8, 0.01, 1), (8, 1.0, 8)],
)
def test_one_agent_has_its_part_of_the_places_and_another_the_rest(places, share, most):
    queue = FairQueue(places, 100, 5.0, share=share)
    stuck = [entered(queue, "stuck") for _ in range(places)]
    assert [ticket.state for ticket in stuck].count(State.PLACED) == most
    other = [entered(queue, "other") for _ in range(places)]
    assert [ticket.state for ticket in other].count(State.PLACED) == min(most, places - most)


def test_who_comes_while_another_is_passed_over_starts_where_that_one_stands():
    """B, with little to its name, waits for more than its part; C must not be behind it, nor before it."""
    queue = FairQueue(2, 100, 5.0, share=0.5)
    rich, _, waiting = entered(queue, "a"), entered(queue, "b"), entered(queue, "b")
    for _ in range(50):
        queue.end(rich, 1.0, 0.0)
        rich = entered(queue, "a")
    assert (rich.state, waiting.state) == (State.PLACED, State.WAITING)
    counters = {line.agent: line.counter for line in [entered(queue, "c").line, *queue.lines()]}
    assert counters["b"] <= counters["c"] < counters["b"] + 1
    assert counters["a"] > counters["b"] + 40


class Backlog:
    """Agents who always have ``depth`` calls waiting, in a pool whose calls end one at a time."""

    def __init__(self, places: int, weights: dict[str, float], depth: int = 3) -> None:
        self.queue = FairQueue(places, 1000, 5.0)
        self.weights, self.depth, self.now = weights, depth, 0.0
        self.under_way: list[Ticket] = []
        self.used = dict.fromkeys(weights, 0.0)
        self.order: list[str] = []
        for agent in weights:
            self.top_up(agent)
        for agent in weights:
            self.top_up(agent)

    def top_up(self, agent: str) -> None:
        waiting = sum(len(line.waiting) for line in self.queue.lines() if line.agent == agent)
        for _ in range(self.depth - waiting):
            ticket = entered(self.queue, agent, self.now, self.weights[agent])
            ticket.told = self.placed
            if ticket.state is State.PLACED:
                self.placed(ticket)

    def placed(self, ticket: Ticket) -> None:
        assert ticket.state is State.PLACED
        self.under_way.append(ticket)
        self.order.append(ticket.line.agent)

    def end(self, which: int, used: float) -> None:
        ticket = self.under_way.pop(which % len(self.under_way))
        self.now += 0.01
        self.queue.end(ticket, used, self.now)
        self.used[ticket.line.agent] += used
        self.top_up(ticket.line.agent)
        for agent in self.weights:
            self.top_up(agent)


MOST = 10.0
"""The dearest call."""
weights = st.lists(st.sampled_from([0.5, 1.0, 2.0, 4.0]), min_size=2, max_size=5)
ends = st.lists(st.tuples(st.integers(0, 7), st.floats(0.5, MOST)), min_size=20, max_size=200)


@given(places=st.integers(1, 4), weights=weights, ends=ends, start=st.integers(0, 100))
@settings(max_examples=80, deadline=None)
def test_agents_who_wait_all_the_time_get_service_by_weight(places, weights, ends, start):
    """The bound of VTC's theorem: over any stretch in which two agents have calls waiting, what they get differs by at
    most twice what can be under way at once at the highest cost."""
    backlog = Backlog(places, {f"a{number}": weight for number, weight in enumerate(weights)})
    before = dict(backlog.used)
    for number, (which, used) in enumerate(ends):
        if number == start:
            before = dict(backlog.used)
        backlog.end(which, used)
    shares = [(backlog.used[agent] - before[agent]) / weight for agent, weight in backlog.weights.items()]
    assert max(shares) - min(shares) <= 2 * (places + 1) * MOST / min(weights)


@given(costs=st.lists(st.floats(0.5, MOST), min_size=50, max_size=200))
@settings(max_examples=50, deadline=None)
def test_with_one_place_the_gap_is_at_most_twice_the_dearest_call(costs):
    backlog = Backlog(1, {"a": 1.0, "b": 1.0, "c": 1.0})
    for used in costs:
        backlog.end(0, used)
        assert max(backlog.used.values()) - min(backlog.used.values()) <= 2 * MOST


def test_equal_agents_take_turns_and_a_weight_is_a_multiple():
    backlog = Backlog(1, {"a": 1.0, "b": 1.0})
    for _ in range(40):
        backlog.end(0, 1.0)
    assert backlog.order.count("a") - backlog.order.count("b") in (-1, 0, 1)
    backlog = Backlog(2, {"light": 1.0, "heavy": 3.0})
    for _ in range(400):
        backlog.end(0, 1.0)
    assert backlog.used["heavy"] / backlog.used["light"] == pytest.approx(3.0, rel=0.05)


def test_an_agent_with_dear_calls_gets_fewer_of_them():
    queue, served = FairQueue(1, 100, 5.0), []
    cost = {"dear": 9.0, "cheap": 1.0}
    holding = entered(queue, "dear")
    for agent in [*["dear"] * 40, *["cheap"] * 40]:
        entered(queue, agent).told = served.append
    for _ in range(40):
        queue.end(holding, cost[holding.line.agent], 0.0)
        holding = served[-1]
    agents = [ticket.line.agent for ticket in served]
    assert agents.count("dear") <= 6


@pytest.mark.parametrize("places", [1, 3, 10])
def test_a_polite_agent_goes_before_the_hundred_calls_of_a_greedy_one(places):
    """It has one call at a time; each waits for the next place that becomes free, and no longer."""
    queue, under_way = FairQueue(places, 200, 5.0), []
    for _ in range(100):
        ticket = entered(queue, "greedy")
        ticket.told = under_way.append
        if ticket.state is State.PLACED:
            under_way.append(ticket)
    for _ in range(20):
        polite = entered(queue, "polite")
        polite.told = under_way.append
        passed = 0
        while polite.state is State.WAITING:
            queue.end(under_way.pop(0), 1.0, 0.0)
            again = entered(queue, "greedy")
            again.told = under_way.append
            passed += 1
        assert passed <= 2
        under_way.remove(polite)
        queue.end(polite, 1.0, 0.0)


def test_who_comes_back_has_saved_nothing_up():
    """B used nothing while A used much; from then on they take turns."""
    queue, served = FairQueue(1, 100, 5.0), []
    holding = entered(queue, "a")
    for _ in range(30):
        entered(queue, "a").told = served.append
    for _ in range(20):
        queue.end(holding, 1.0, 0.0)
        holding = served[-1]
    for _ in range(20):
        entered(queue, "b").told = served.append
    del served[:]
    for _ in range(10):
        queue.end(holding, 1.0, 0.0)
        holding = served[-1]
    agents = [ticket.line.agent for ticket in served]
    assert agents.count("b") in (5, 6)


def test_a_call_is_charged_what_is_usual_before_anybody_knows_what_it_costs():
    """Else one agent would have every place before the first of its calls has ended."""
    queue = FairQueue(8, 100, 5.0)
    first = [entered(queue, "greedy") for _ in range(60)][:8]
    for _ in range(10):
        entered(queue, "polite")
    for ticket in first:
        queue.end(ticket, 1.0, 1.0)
    placed = {line.agent: line.placed for line in queue.lines()}
    assert placed == {"greedy": 4, "polite": 4}


def test_new_agents_without_end_keep_nobody_waiting_for_ever():
    queue, newcomer = FairQueue(1, 10, 5.0), count()
    holding = entered(queue, "old")
    served: list[Ticket] = []
    again = entered(queue, "old")
    for _ in range(60):
        for _ in range(2):
            entered(queue, f"new-{next(newcomer)}").told = served.append
        queue.end(holding, 1.0, 0.0)
        if again.state is State.PLACED:
            break
        holding = served[-1]
    assert again.state is State.PLACED
    assert len(served) <= 2 * (queue.places + queue.queue)


# -- priorities --------------------------------------------------------------------------------------------------


def test_a_higher_priority_goes_first():
    queue, served = FairQueue(1, 100, 5.0), []
    holding = entered(queue, "a")
    for agent, priority in [("low", -1), ("mid", 0), ("high", 3)]:
        entered(queue, agent, 0.0, 1.0, priority).told = served.append
    for _ in range(3):
        queue.end(holding, 1.0, 1.0)
        holding = served[-1]
    assert [ticket.line.agent for ticket in served] == ["high", "mid", "low"]


@given(
    places=st.integers(1, 3),
    gaps=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    high=st.integers(1, 4),
    steps=st.lists(st.floats(0.01, 2.0), min_size=300, max_size=300),
)
@settings(max_examples=40, deadline=None)
def test_nobody_starves_below_a_priority_that_never_ends(places, gaps, high, steps):
    """Once its waiting has made up for its level, an agent is served within as many places as there are agents."""
    queue, under_way, now = FairQueue(places, 1000, 1.0), [], 0.0
    low: dict[str, Ticket] = {}
    overdue: dict[str, int] = {}

    def more(agent: str, priority: int) -> Ticket:
        ticket = entered(queue, agent, now, 1.0, priority)
        ticket.told = under_way.append
        if ticket.state is State.PLACED:
            under_way.append(ticket)
        return ticket

    for _ in range(3):
        for number in range(high):
            more(f"high-{number}", 10)
    for number, gap in enumerate(gaps):
        low[f"low-{number}"] = more(f"low-{number}", 10 - gap)
        overdue[f"low-{number}"] = 0
    for step in steps:
        now += step
        queue.end(under_way.pop(0), 1.0, now)
        for number in range(high):
            more(f"high-{number}", 10)
        for number, gap in enumerate(gaps):
            name = f"low-{number}"
            if low[name].state is State.WAITING and now - low[name].arrived >= gap:
                overdue[name] += 1
                assert overdue[name] <= 2 * (len(gaps) + high) + places
        if all(ticket.state is not State.WAITING for ticket in low.values()):
            return


def test_waiting_makes_up_for_priority_and_not_for_service():
    """Among equals who has waited longer is not first: a greedy agent's calls always have waited longer."""
    queue, served = FairQueue(1, 100, 1.0), []
    holding = entered(queue, "greedy")
    for _ in range(5):
        entered(queue, "greedy").told = served.append
    polite = entered(queue, "polite", 50.0)
    polite.told = served.append
    queue.end(holding, 1.0, 60.0)
    assert polite.state is State.PLACED


def test_nobody_ages_beyond_the_highest_priority_that_waits():
    """Where levels are the same, what was used decides: who has used much does not go first for having waited long."""
    queue, served = FairQueue(1, 100, 1.0), []
    holding = entered(queue, "heavy", 0.0)
    for _ in range(2):
        entered(queue, "high", 0.0, 1.0, 1).told = served.append
    entered(queue, "heavy", 0.0).told = served.append
    queue.end(holding, 50.0, 0.0)
    queue.end(served[-1], 1.0, 90.0)
    assert [ticket.line.agent for ticket in served] == ["high", "high"]


def test_when_something_else_is_counted_everybody_begins_anew():
    """What was charged in the old count must not be given back in the new one: that would be a great credit."""
    queue = FairQueue(2, 100, 5.0, 1000.0)
    old = entered(queue, "a")
    entered(queue, "b")
    queue.recount(1.0)
    queue.end(old, 0.5, 1.0)
    assert {line.agent: line.counter for line in queue.lines()} == {"a": 0.0, "b": 0.0}


def test_those_who_wait_while_the_count_changes_still_get_their_places():
    queue, served = FairQueue(1, 100, 5.0), []
    holding = entered(queue, "a")
    for agent in ("b", "c"):
        entered(queue, agent).told = served.append
    queue.recount(1000.0)
    for _ in range(2):
        queue.end(holding, 1.0, 1.0)
        holding = served[-1]
    assert [ticket.line.agent for ticket in served] == ["b", "c"]


# -- the line's bound --------------------------------------------------------------------------------------------


def test_a_full_line_makes_room_for_who_has_fewer_calls_in_it():
    queue, told = FairQueue(1, 4, 5.0), []
    entered(queue, "greedy")
    waiting = [entered(queue, "greedy") for _ in range(4)]
    for ticket in waiting:
        ticket.told = told.append
    assert entered(queue, "greedy").state is State.FULL
    assert entered(queue, "polite").state is State.WAITING
    assert told == [waiting[-1]], "the newest goes"
    assert waiting[-1].state is State.DISPLACED
    assert entered(queue, "polite").state is State.WAITING
    assert entered(queue, "polite").state is State.FULL, "nobody has more than its share now"
    assert entered(queue, "third").state is State.WAITING
    assert queue.length == 4


def test_a_full_line_is_shared_by_weight():
    queue = FairQueue(1, 6, 5.0)
    entered(queue, "light")
    for _ in range(6):
        entered(queue, "light")
    for _ in range(6):
        entered(queue, "heavy", weight=2.0)
    assert {line.agent: len(line.waiting) for line in queue.lines()} == {"light": 2, "heavy": 4}


def test_an_agent_whose_weight_is_lowered_makes_room():
    queue = FairQueue(1, 4, 5.0)
    for _ in range(5):
        entered(queue, "heavy", weight=4.0)
    assert entered(queue, "light", weight=0.5).state is State.FULL, "two for its weight, where heavy has one"
    assert entered(queue, "heavy", weight=1.0).state is State.FULL
    assert entered(queue, "light", weight=0.5).state is State.WAITING


def test_without_a_line_who_finds_no_place_is_turned_away():
    queue = FairQueue(1, 0, 5.0)
    entered(queue, "a")
    assert entered(queue, "b").state is State.FULL


# -- memory ------------------------------------------------------------------------------------------------------


def test_agents_with_many_names_fill_no_memory(monkeypatch):
    monkeypatch.setattr(fairness, "REMEMBERED", 10)
    queue = FairQueue(2, 5, 5.0)
    entered(queue, "stays")
    for number in range(500):
        queue.end(entered(queue, f"a{number}"), 5.0, 0.0)
        assert len(list(queue.lines())) <= 41


def test_an_empty_pool_remembers_nobody():
    queue = FairQueue(2, 5, 5.0)
    tickets = [entered(queue, agent) for agent in ("a", "b")]
    for ticket in tickets:
        queue.end(ticket, 1.0, 0.0)
    assert queue.idle
    assert not list(queue.lines())


def test_a_place_that_was_not_used_is_not_free_of_charge():
    """Else an agent whose calls are all refused further on would always be next."""
    queue, served = FairQueue(1, 100, 5.0), []
    holding = entered(queue, "refused")
    for agent in [*["refused"] * 40, "polite", "polite"]:
        entered(queue, agent).told = served.append
    for _ in range(30):
        if holding.line.agent == "refused":
            queue.leave(holding, 0.0)
        else:
            queue.end(holding, 1.0, 0.0)
        holding = served[-1]
    assert [ticket.line.agent for ticket in served].count("polite") == 2


# -- any order of events -----------------------------------------------------------------------------------------


class Interleavings(RuleBasedStateMachine):
    """Arrivals, ends, departures and changes of the pool in any order, with time going on."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.queue = FairQueue(2, 4, 1.0)
        self.tickets: list[Ticket] = []
        self.told: list[Ticket] = []
        self.most = self.queue.queue

    def of(self, state: State) -> list[Ticket]:
        return [ticket for ticket in self.tickets if ticket.state is state]

    def hear(self, ticket: Ticket) -> None:
        assert ticket not in self.told, "told once"
        self.told.append(ticket)
        if ticket.state is State.PLACED:
            assert self.queue.taken <= self.queue.places
            assert ticket.line.placed <= self.queue.most
            rest = [other for other in ticket.line.waiting if other.arrived < ticket.arrived]
            assert not rest, "first come, first served within an agent"

    @rule(agent=st.sampled_from("abcd"), weight=st.sampled_from([0.5, 1.0, 3.0]), priority=st.integers(-1, 1))
    def arrive(self, agent: str, weight: float, priority: int) -> None:
        self.now += 0.001
        queue = self.queue
        waiting = {line.agent: (len(line.waiting), line.weight) for line in queue.lines()}
        own = waiting.pop(agent, (0, 0.0))[0]
        longest = max((length / heavy for length, heavy in waiting.values()), default=0.0)
        placed = sum(line.placed for line in queue.lines() if line.agent == agent)
        if queue.taken < queue.places and placed < queue.most:
            expected = State.PLACED
        elif queue.length < queue.queue or longest > (own + 1) / weight:
            expected = State.WAITING
        else:
            expected = State.FULL
        ticket = queue.enter(agent, weight, priority, self.now)
        ticket.told = self.hear
        assert ticket.state is expected
        self.tickets.append(ticket)

    @precondition(lambda self: self.of(State.PLACED))
    @rule(data=st.data(), used=st.floats(0.001, 100))
    def end(self, data: Any, used: float) -> None:
        ticket = data.draw(st.sampled_from(self.of(State.PLACED)))
        self.queue.end(ticket, used, self.now)
        self.queue.end(ticket, used, self.now)  # a second time is without effect

    @precondition(lambda self: self.of(State.PLACED) + self.of(State.WAITING))
    @rule(data=st.data())
    def leave(self, data: Any) -> None:
        ticket = data.draw(st.sampled_from(self.of(State.PLACED) + self.of(State.WAITING)))
        self.queue.leave(ticket, self.now)
        self.queue.leave(ticket, self.now)

    @rule(seconds=st.floats(0.0, 5.0))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(places=st.integers(1, 5), queue=st.integers(0, 6), share=st.sampled_from([0.2, 0.8, 1.0]))
    def change(self, places: int, queue: int, share: float) -> None:
        self.queue.queue = queue
        self.queue.bound(places, share)
        self.most = max(queue, self.queue.length)
        self.queue.fill(self.now)

    @rule()
    def recount(self) -> None:
        self.queue.recount(7.0)

    @invariant()
    def counts_are_true(self) -> None:
        queue = self.queue
        assert queue.taken == len(self.of(State.PLACED))
        assert queue.length == len(self.of(State.WAITING)) <= self.most
        ready = [line for line in queue.lines() if line.waiting and line.placed < queue.most]
        assert not ready or queue.taken >= queue.places, "no place is empty while a call waits that may have it"
        assert sum(line.placed for line in queue.lines()) == queue.taken
        assert sum(len(line.waiting) for line in queue.lines()) == queue.length
        assert queue.idle == (not queue.taken and not queue.length)
        if queue.idle:
            assert not list(queue.lines())
        assert queue._priorities == Counter(line.priority for line in ready)
        if ready:
            assert queue._lowest().counter == min(line.counter for line in ready)


Interleavings.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestInterleavings = Interleavings.TestCase
