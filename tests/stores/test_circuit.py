"""The circuit breaker as a state machine, against a model that remembers everything."""

from __future__ import annotations

from hypothesis import settings as profile
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.model import CircuitSettings
from gateway.stores.circuit import CLOSED, HALF_OPEN, LEASE, MOST_BARRED, OPEN, PATIENCE, Circuit

SLICES = 10

SETTINGS = st.builds(
    CircuitSettings,
    failures=st.integers(0, 4),
    rate=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
    window=st.just(10.0),
    minimum=st.integers(1, 6),
    open=st.just(5.0),
    probes=st.integers(1, 3),
    slow=st.just(1.0),
    slow_rate=st.sampled_from([0.0, 0.5, 1.0]),
)


class Model:
    """The same rules, written for the reader: a list of all results, and a set of the probes inside."""

    def __init__(self, settings: CircuitSettings) -> None:
        self.settings = settings
        self.state, self.opened, self.wait = CLOSED, 0.0, settings.open
        self.failed_probes, self.half_open = 0, 0.0
        self.results: list[tuple[int, bool, bool]] = []  # slice of the window, failed, slow
        self.probes: dict[int, tuple[str, float]] = {}
        self.abandoned: dict[str, float] = {}
        self.passed = 0

    def admits(self, now: float, agent: str) -> bool:
        if self.state == OPEN and now - self.opened >= self.wait:
            self.state, self.probes, self.passed, self.half_open = HALF_OPEN, {}, 0, now
        if self.state == HALF_OPEN and self.probes and now - self.half_open > LEASE:
            self.probes, self.passed, self.half_open = {}, 0, now  # they have never ended
        if self.state == HALF_OPEN:
            late = [whose for whose, since in self.probes.values() if now - since >= PATIENCE]
            if agent in late or now < self.abandoned.get(agent, now):
                return False
            return len(self.probes) - len(late) + self.passed < self.settings.probes
        return self.state == CLOSED

    def left(self, call: int, agent: str, ok: bool | None, slow: bool, now: float) -> None:
        if self.state == HALF_OPEN and call in self.probes:
            newest = max((since, each) for each, (whose, since) in self.probes.items() if whose == agent)[1]
            self.probes[newest] = self.probes[call]  # none of the others passes for newer than it is
            del self.probes[call]
            if ok is None:
                self.abandoned[agent] = now + PATIENCE
                return
            if not ok or slow:
                self.failed_probes += 1
                self.trip(now)
                return
            self.passed += 1
            if self.passed == self.settings.probes:
                self.state, self.results, self.failed_probes = CLOSED, [], 0
        elif self.state == CLOSED and ok is not None:
            self.results.append((int(now * SLICES / self.settings.window), not ok, slow))
            if (not ok or slow) and self.too_many(now, just_failed=not ok):
                self.trip(now)

    def trip(self, now: float) -> None:
        self.state, self.opened = OPEN, now
        self.wait = self.settings.open
        for _ in range(min(3, self.failed_probes)):
            self.wait = max(self.settings.open, min(2 * self.wait, 30.0))

    def too_many(self, now: float, *, just_failed: bool) -> bool:
        row = 0
        for _, failed, _ in reversed(self.results):
            if not failed:
                break
            row += 1
        if just_failed and self.settings.failures and row >= self.settings.failures:
            return True
        this = int(now * SLICES / self.settings.window)
        recent = [(failed, slow) for at, failed, slow in self.results if at > this - SLICES]
        if len(recent) < self.settings.minimum:
            return False
        failed, slow = sum(failed for failed, _ in recent), sum(slow for _, slow in recent)
        return bool(
            (self.settings.rate and failed >= self.settings.rate * len(recent))
            or (self.settings.slow_rate and slow >= self.settings.slow_rate * len(recent))
        )


class CircuitLife(RuleBasedStateMachine):
    """Calls come, go in where they may, and end well, badly, slowly or not at all, while time passes."""

    @initialize(settings=SETTINGS, start=st.floats(0, 1e5))
    def begin(self, settings: CircuitSettings, start: float) -> None:
        self.circuit, self.model = Circuit(settings), Model(settings)
        self.now = start
        self.calls: dict[int, tuple[int, str]] = {}  # call -> what `enter` gave, and its agent
        self.number = 0

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 2.5, 5.0, 11.0, 40.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(agent=st.sampled_from("abc"))
    def a_call_comes(self, agent: str) -> None:
        admitted, wait = self.circuit.admits(self.now, agent)
        assert admitted == self.model.admits(self.now, agent)
        assert self.circuit.admits(self.now, agent)[0] == admitted, "asking takes nothing"
        assert (wait > 0) != admitted
        if admitted:
            self.number += 1
            probe = self.circuit.enter(agent)
            assert bool(probe) == (self.model.state == HALF_OPEN)
            if probe:
                self.model.probes[self.number] = agent, self.now
            self.calls[self.number] = probe, agent

    def ends(self, call: int, ok: bool | None, slow: bool) -> None:
        probe, agent = self.calls.pop(call)
        self.circuit.leave(probe, ok, slow, self.now, agent)
        self.model.left(call, agent, ok, slow, self.now)

    @precondition(lambda self: self.calls)
    @rule(pick=st.integers(0, 100), ok=st.sampled_from([True, False, False, None]), slow=st.booleans())
    def a_call_ends(self, pick: int, ok: bool | None, slow: bool) -> None:
        self.ends(sorted(self.calls)[pick % len(self.calls)], ok, slow and ok is not None)

    @rule(count=st.integers(1, 6), ok=st.booleans(), slow=st.booleans())
    def calls_come_and_end_at_once(self, count: int, ok: bool, slow: bool) -> None:
        for _ in range(count):
            before = set(self.calls)
            self.a_call_comes("a")
            for call in set(self.calls) - before:
                self.ends(call, ok, slow)

    @precondition(lambda self: self.model.state == OPEN)
    @rule()
    def what_an_open_circuit_says_of_the_wait_is_true(self) -> None:
        admitted, wait = self.circuit.admits(self.now)
        assert self.model.admits(self.now, "") == admitted
        if not admitted:
            assert 0 < wait <= self.model.wait <= max(30.0, self.circuit.settings.open)
            assert not self.model.admits(self.now + wait * 0.999, "")
            self.now += wait * (1 + 1e-9) + 1e-6
            assert self.circuit.admits(self.now)[0]
            assert self.model.admits(self.now, "")

    @precondition(lambda self: self.model.state == HALF_OPEN)
    @rule()
    def everybody_leaves_and_it_is_not_jammed(self) -> None:
        for call in sorted(self.calls):
            self.ends(call, None, False)
        assert self.circuit.admits(self.now, "who has abandoned none")[0]

    @precondition(lambda self: self.model.state == HALF_OPEN)
    @rule()
    def after_a_while_whoever_has_no_probe_may_have_one(self) -> None:
        self.now += PATIENCE
        assert self.circuit.admits(self.now, "somebody else")[0]
        assert self.model.admits(self.now, "somebody else")

    @invariant()
    def it_is_in_the_models_state(self) -> None:
        if hasattr(self, "circuit"):
            assert self.circuit.state == self.model.state

    @invariant()
    def no_more_probes_at_a_time_than_allowed(self) -> None:
        if hasattr(self, "circuit") and self.circuit.state == HALF_OPEN:
            assert self.circuit.inside == len(self.model.probes)
            new = [since for _, since in self.model.probes.values() if self.now - since < PATIENCE]
            assert len(new) <= self.circuit.settings.probes


CircuitLife.TestCase.settings = profile(max_examples=200, stateful_step_count=40)
TestCircuitLife = CircuitLife.TestCase


def closed(**settings: float) -> Circuit:
    return Circuit(CircuitSettings(**settings))  # type: ignore[arg-type]


def ended(circuit: Circuit, *oks: bool, now: float = 100.0, slow: bool = False) -> str:
    for ok in oks:
        circuit.leave(0, ok, slow, now)
    return circuit.state


def test_one_success_breaks_a_row_of_failures():
    circuit = closed(failures=3, rate=0)
    assert ended(circuit, False, False, True, False, False) == CLOSED
    assert ended(circuit, False) == OPEN


def test_the_rate_counts_from_the_minimum_on():
    circuit = closed(failures=0, rate=0.5, minimum=4)
    assert ended(circuit, False, True, False) == CLOSED
    assert ended(circuit, False) == OPEN


def test_failures_leave_the_window_with_time():
    circuit = closed(failures=0, rate=0.5, minimum=4, window=10)
    assert ended(circuit, False, False, False, now=100.0) == CLOSED
    assert ended(circuit, True, True, False, now=110.0) == CLOSED
    assert ended(circuit, False, now=110.0) == OPEN


def test_slow_calls_alone_open_it_where_a_slow_rate_is_set():
    assert ended(closed(slow_rate=0.5, minimum=4), True, True, True, True, slow=True) == OPEN
    assert ended(closed(slow_rate=0.0, minimum=4), *[True] * 50, slow=True) == CLOSED


def test_a_trigger_of_zero_is_off():
    assert ended(closed(failures=0, rate=0.0), *[False] * 100) == CLOSED


def tripped(circuit: Circuit, now: float) -> float:
    """Fail until it opens; the seconds that it says it will be open."""
    while circuit.admits(now)[0]:
        circuit.leave(circuit.enter(), False, False, now)
    return circuit.admits(now)[1]


def test_each_failed_probe_doubles_the_wait_up_to_half_a_minute_and_a_good_one_ends_that():
    circuit, now, waits = closed(failures=1, open=4.0), 100.0, []
    for _ in range(6):
        waits.append(tripped(circuit, now))
        now += waits[-1]
    assert waits == [4.0, 8.0, 16.0, 30.0, 30.0, 30.0]
    assert circuit.admits(now)[0]
    circuit.leave(circuit.enter(), True, False, now)
    assert tripped(circuit, now) == 4.0


def test_a_short_wait_is_doubled_three_times_at_most():
    circuit, now, waits = closed(failures=1, open=2.0), 100.0, []
    for _ in range(5):
        waits.append(tripped(circuit, now))
        now += waits[-1]
    assert waits == [2.0, 4.0, 8.0, 16.0, 16.0]


def test_a_wait_that_is_set_longer_than_that_is_not_doubled():
    circuit, now = closed(failures=1, open=60.0), 100.0
    assert tripped(circuit, now) == 60.0
    assert tripped(circuit, now + 60.0) == 60.0


def test_circuits_that_open_together_do_not_probe_together():
    circuits = [Circuit(CircuitSettings(failures=1, open=10.0), f"bank {number}", 0.2) for number in range(50)]
    waits = {tripped(circuit, 100.0) for circuit in circuits}
    assert len(waits) == 50
    assert 10.0 <= min(waits) < 10.5
    assert 11.5 < max(waits) <= 12.0


def test_of_a_shared_circuit_only_the_replica_that_may_probes():
    circuit = Circuit(CircuitSettings(failures=1, open=10.0), shared=True)
    assert not circuit.wants(100.0)
    tripped(circuit, 100.0)
    assert not circuit.wants(109.9), "too early"
    assert circuit.wants(110.0)
    assert not circuit.wants(110.5), "it has asked"
    assert circuit.wants(111.0), "it may ask again"
    assert circuit.admits(111.0) == (False, 1.0)
    circuit.allow()
    assert circuit.admits(111.0)[0]
    assert circuit.state == HALF_OPEN
    circuit.leave(circuit.enter(), False, False, 112.0)
    assert circuit.admits(131.9)[1] > 0
    assert circuit.admits(132.0) == (False, 1.0), "leave to probe is for one time only"


def test_what_another_replica_says_is_taken_over():
    circuit = Circuit(CircuitSettings(failures=1, open=10.0), shared=True)
    circuit.opened(100.0, 40.0, 2)
    assert circuit.admits(101.0) == (False, 39.0)
    circuit.allow()
    assert circuit.admits(140.0)[0]
    circuit.leave(circuit.enter(), False, False, 141.0)
    assert circuit.admits(141.0)[1] == 30.0
    circuit.closed()
    assert circuit.admits(142.0) == (True, 0.0)
    assert tripped(circuit, 143.0) == 10.0


def half_open(**settings: float) -> Circuit:
    """At 101.0 it may be probed."""
    circuit = closed(failures=1, open=1.0, **settings)
    circuit.leave(0, False, False, 100.0)
    assert circuit.admits(101.0, "slow")[0]
    return circuit


def test_a_probe_that_says_nothing_is_in_the_way_of_its_own_agent_only():
    """An agent that uploads slowly has the probe for as long as it likes; others find out meanwhile."""
    circuit = half_open()
    slow = circuit.enter("slow")
    assert not circuit.admits(101.0 + PATIENCE - 0.1, "other")[0]
    assert not circuit.admits(101.0 + PATIENCE, "slow")[0]
    assert circuit.admits(101.0 + PATIENCE, "other")[0]
    circuit.leave(circuit.enter("other"), True, False, 107.0, "other")
    assert circuit.state == CLOSED
    circuit.leave(slow, None, False, 108.0, "slow")
    assert circuit.state == CLOSED


def test_who_abandons_probes_one_after_the_other_does_not_keep_the_others_out():
    circuit = half_open()
    circuit.leave(circuit.enter("slow"), None, False, 102.0, "slow")
    admitted, wait = circuit.admits(102.0, "slow")
    assert (admitted, wait) == (False, PATIENCE)
    assert circuit.admits(102.0, "other")[0]
    assert circuit.admits(102.0 + PATIENCE, "slow")[0], "where nobody else asks, it may try again"


def test_agents_with_many_names_that_abandon_probes_do_not_fill_the_memory():
    circuit = half_open()
    for number in range(3 * MOST_BARRED):
        assert circuit.admits(101.0, f"a{number}")[0]
        circuit.leave(circuit.enter(f"a{number}"), None, False, 101.0, f"a{number}")
    assert len(circuit._barred) == MOST_BARRED
