"""What every ledger keeps. A new store joins by one line in STORES."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from gateway.model import Answered, Claim, Findings, Hold, Outcome
from gateway.ports import Ledger
from gateway.stores.memory import MemoryLedger
from tests.builders import circuit, rate, slot

STORES = {"memory": MemoryLedger}

OK = Outcome(200, upstream=200)
GONE = Outcome(499, fault="agent")
UNREACHABLE = Outcome(502, fault="tool")
BROKEN_OFF = Outcome(200, upstream=200, fault="tool")
GONE_LATE = Outcome(499, upstream=200, fault="agent")


@pytest.fixture(params=STORES)
def ledger(request) -> Ledger:
    return STORES[request.param]()


def granted(holds) -> list[bool]:
    return [hold.granted for hold in holds]


def call_through(ledger: Ledger, now: float, status: int, *claims: Claim, first_byte: float = 0.0) -> bool:
    """One whole call that the tool answers with this status; whether it was let through."""
    holds = ledger.reserve(claims, now)
    if not all(granted(holds)):
        return False
    ledger.answered(holds, Answered(status, first_byte), now)
    ledger.settle(holds, Outcome(status, upstream=status), now)
    return True


# -- all or nothing ----------------------------------------------------------------------------------------------


def test_every_claim_gets_a_hold_in_order(ledger):
    claims = (rate(), slot(), circuit(), rate(key="other"))
    holds = ledger.reserve(claims, 10.0)
    assert [hold.claim for hold in holds] == list(claims)
    assert granted(holds) == [True] * 4


def test_no_claim_is_no_hold(ledger):
    assert ledger.reserve((), 10.0) == ()


@pytest.mark.parametrize("order", [1, -1])
def test_where_one_claim_fails_the_others_take_nothing(ledger, order):
    place, tokens = slot(1), rate(5, 0.001)
    held = ledger.reserve((place,), 10.0)
    for _ in range(20):
        refused = ledger.reserve((tokens, place)[::order], 10.0)
        assert not all(granted(refused))
    ledger.settle(held, OK, 10.0)
    assert sum(all(granted(ledger.reserve((tokens,), 10.0))) for _ in range(10)) == 5


def test_where_a_limit_fails_no_place_is_taken(ledger):
    tokens, place = rate(1, 0.001), slot(1)
    ledger.reserve((tokens,), 10.0)
    assert granted(ledger.reserve((place, tokens), 10.0)) == [True, False]
    assert granted(ledger.reserve((place,), 10.0)) == [True]


def test_where_another_claim_fails_the_probe_of_a_half_open_circuit_is_not_used_up(ledger):
    breaker, place = circuit(failures=1, open=5, probes=1), slot(1)
    call_through(ledger, 10.0, 500, breaker)
    held = ledger.reserve((place,), 20.0)
    assert granted(ledger.reserve((breaker, place), 20.0)) == [True, False]
    ledger.settle(held, OK, 20.0)
    assert granted(ledger.reserve((breaker, place), 20.0)) == [True, True]


@pytest.mark.parametrize("claims", [(rate(1, 0.001),), (slot(1),), (rate(1, 0.001), slot(1), circuit())])
def test_looking_says_what_reserving_would_and_takes_nothing(ledger, claims):
    for _ in range(3):
        assert granted(ledger.look(claims, 10.0)) == [True] * len(claims)
    assert granted(ledger.reserve(claims, 10.0)) == [True] * len(claims)
    looked, refused = ledger.look(claims, 10.0), ledger.reserve(claims, 10.0)
    assert looked == refused
    assert not all(granted(looked))


def test_looking_does_not_use_up_the_probe_of_a_half_open_circuit(ledger):
    breaker = circuit(failures=1, open=5, probes=1)
    call_through(ledger, 10.0, 500, breaker)
    assert granted(ledger.look((breaker,), 20.0) + ledger.look((breaker,), 20.0)) == [True, True]
    assert granted(ledger.reserve((breaker,), 20.0)) == [True]
    assert granted(ledger.look((breaker,), 20.0)) == [False]


CLAIMS = st.sampled_from([rate(3, 0.5), rate(1, 2, key="b"), slot(1), slot(2, "notes"), circuit(failures=2, open=5)])


@given(
    st.sampled_from(sorted(STORES)),
    st.lists(
        st.tuples(
            st.lists(CLAIMS, unique=True, max_size=4), st.floats(0, 3), st.booleans(), st.sampled_from([200, 500])
        ),
        max_size=30,
    ),
)
def test_a_refused_reserve_leaves_no_trace(store, steps):
    """Two ledgers live the same life, but for the reserves that were refused: one of them never hears of those."""
    first, second, now, under_way = STORES[store](), STORES[store](), 100.0, []
    for claims, gap, settles, status in steps:
        now += gap
        if settles and under_way:
            holds, twins = under_way.pop(0)
            for one, held in ((first, holds), (second, twins)):
                one.answered(held, Answered(status, 0.1), now)
                one.settle(held, Outcome(status, upstream=status), now)
        holds = first.reserve(claims, now)
        if all(granted(holds)):
            twins = second.reserve(claims, now)
            assert granted(twins) == granted(holds)
            under_way.append((holds, twins))


# -- rate limits -------------------------------------------------------------------------------------------------


def test_a_limit_tells_what_is_left_and_how_long_to_wait(ledger):
    claim = rate(2, 0.5)
    assert [(hold.left, hold.retry_after) for hold in ledger.reserve((claim,), 10.0)] == [(1, 0)]
    ledger.reserve((claim,), 10.0)
    (hold,) = ledger.reserve((claim,), 10.0)
    assert (hold.granted, hold.left, hold.retry_after) == (False, 0, pytest.approx(2))
    assert granted(ledger.reserve((claim,), 10.0 + hold.retry_after)) == [True]


def test_each_key_counts_for_itself(ledger):
    one, two = rate(1, 0.001), rate(1, 0.001, key="b")
    assert granted(ledger.reserve((one,), 10.0) + ledger.reserve((two,), 10.0)) == [True, True]
    assert granted(ledger.reserve((one,), 10.0) + ledger.reserve((two,), 10.0)) == [False, False]


def test_settling_does_not_give_tokens_back(ledger):
    claim = rate(1, 0.001)
    ledger.settle(ledger.reserve((claim,), 10.0), OK, 10.0)
    assert granted(ledger.reserve((claim,), 10.0)) == [False]


def test_many_keys_are_forgotten_once_they_are_full_again_and_no_other(ledger):
    """Keys come from agents: they must not fill the memory, and forgetting must not refill anybody's bucket."""
    slow = rate(1, 0.0001, key="slow")
    ledger.reserve((slow,), 0.0)
    for number in range(25_000):
        ledger.reserve((rate(1, 100, key=f"k{number}"),), number * 0.001)
    assert granted(ledger.reserve((slow,), 25.0)) == [False]
    if isinstance(ledger, MemoryLedger):
        assert len(ledger.buckets) <= 10_001


@given(
    st.sampled_from(sorted(STORES)), st.integers(1, 20), st.floats(0.01, 100), st.lists(st.floats(0, 5), max_size=60)
)
def test_no_window_holds_more_than_burst_and_refill(store, capacity, per_second, gaps):
    ledger, now, times = STORES[store](), 1000.0, []
    claim = rate(capacity, per_second)
    for gap in gaps:
        now += gap
        if granted(ledger.reserve((claim,), now)) == [True]:
            times.append(now)
    for first, began in enumerate(times):
        for last, ended in enumerate(times[first:], first):
            assert last - first + 1 <= capacity + (ended - began) * per_second + 1e-3


@given(
    st.sampled_from(sorted(STORES)), st.integers(1, 5), st.floats(0.01, 100), st.lists(st.floats(0, 0.5), max_size=40)
)
def test_retry_after_is_true(store, capacity, per_second, gaps):
    """Who waits as told gets through; who comes clearly before that does not."""
    ledger, now = STORES[store](), 1000.0
    claim = rate(capacity, per_second)
    for gap in gaps:
        now += gap
        (hold,) = ledger.reserve((claim,), now)
        if hold.granted:
            continue
        assert granted(ledger.reserve((claim,), now + hold.retry_after * 0.99 - 1e-5 / per_second)) == [False]
        now += hold.retry_after + 1e-9 * now
        assert granted(ledger.reserve((claim,), now)) == [True]


# -- places ------------------------------------------------------------------------------------------------------


def test_places_run_out_and_settling_gives_each_back_once(ledger):
    claim = slot(2)
    first, second = ledger.reserve((claim,), 1.0), ledger.reserve((claim,), 1.0)
    assert [hold.left for hold in first + second] == [1, 0]
    assert granted(ledger.reserve((claim,), 1.0)) == [False]
    ledger.settle(first, OK, 2.0)
    third = ledger.reserve((claim,), 2.0)
    assert granted(third) == [True]
    assert granted(ledger.reserve((claim,), 2.0)) == [False]
    for held in (second, third):
        ledger.settle(held, GONE, 3.0)
    assert granted(ledger.reserve((claim,), 3.0) + ledger.reserve((claim,), 3.0)) == [True, True]


@pytest.mark.parametrize("outcome", [OK, GONE, UNREACHABLE, BROKEN_OFF])
def test_whatever_came_of_the_call_its_place_is_free_again(ledger, outcome):
    for _ in range(3):
        holds = ledger.reserve((slot(1),), 1.0)
        assert granted(holds) == [True]
        ledger.settle(holds, outcome, 1.0)


@given(st.sampled_from(sorted(STORES)), st.integers(1, 4), st.lists(st.booleans(), max_size=60))
def test_never_more_inside_than_places_and_never_fewer_than_could_be(store, capacity, moves):
    ledger, inside = STORES[store](), []
    claim = slot(capacity)
    for enters in moves:
        if enters:
            holds = ledger.reserve((claim,), 1.0)
            assert granted(holds) == [len(inside) < capacity]
            if holds[0].granted:
                inside.append(holds)
        elif inside:
            ledger.settle(inside.pop(), OK, 1.0)


# -- circuits ----------------------------------------------------------------------------------------------------

FRAGILE = circuit(failures=3, open=10, rate=0)


@pytest.mark.parametrize("status", [200, 301, 400, 401, 404, 408, 409, 418, 422, 429, 499])
def test_what_is_not_the_tools_fault_never_opens_a_circuit(ledger, status):
    assert all(call_through(ledger, 1.0, status, FRAGILE) for _ in range(50))


@pytest.mark.parametrize("status", [500, 502, 503, 504, 599])
def test_failures_of_the_tool_in_a_row_open_it(ledger, status):
    assert [call_through(ledger, 1.0, status, FRAGILE) for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize("outcome", [UNREACHABLE, Outcome(504, fault="tool")])
def test_a_tool_that_never_answers_fails_too(ledger, outcome):
    for _ in range(3):
        ledger.settle(ledger.reserve((FRAGILE,), 1.0), outcome, 1.0)
    assert granted(ledger.reserve((FRAGILE,), 1.0)) == [False]


def test_an_answer_that_breaks_off_is_a_failure_of_the_tool(ledger):
    """The head was a 200 and counted as a success; the end must count all the same."""
    claim = circuit(failures=1, open=10, rate=0)
    holds = ledger.reserve((claim,), 1.0)
    ledger.answered(holds, Answered(200, 0.1), 1.0)
    ledger.settle(holds, BROKEN_OFF, 2.0)
    assert granted(ledger.reserve((claim,), 2.0)) == [False]


def test_a_tool_that_breaks_off_every_answer_is_failing(ledger):
    """Good heads do not make up for it, and each such call is one call, not two."""
    for claim in (circuit("a", failures=3, open=10, rate=0), circuit("b", failures=0, open=10, rate=1.0, minimum=3)):
        for second in range(3):
            holds = ledger.reserve((claim,), 1.0 + second)
            assert granted(holds) == [True]
            ledger.answered(holds, Answered(200, 0.1), 1.0 + second)
            ledger.settle(holds, BROKEN_OFF, 1.5 + second)
        assert granted(ledger.reserve((claim,), 4.0)) == [False]


def test_an_answer_that_ends_well_ends_a_row_of_failures(ledger):
    claim = circuit(failures=2, open=10, rate=0)
    for outcome in (BROKEN_OFF, Outcome(200, 200), BROKEN_OFF, GONE_LATE, BROKEN_OFF):
        holds = ledger.reserve((claim,), 1.0)
        ledger.answered(holds, Answered(200, 0.1), 1.0)
        ledger.settle(holds, outcome, 1.0)
    assert granted(ledger.reserve((claim,), 1.0)) == [True]


@pytest.mark.parametrize("outcome", [GONE, Outcome(400, fault="agent"), Outcome(500, fault="gateway")])
def test_a_call_that_the_agent_gave_up_says_nothing_of_the_tool(ledger, outcome):
    claim = circuit(failures=1, open=10, rate=0)
    for _ in range(5):
        holds = ledger.reserve((claim,), 1.0)
        assert granted(holds) == [True]
        ledger.settle(holds, outcome, 1.0)


def test_a_failed_call_counts_once_although_it_is_told_twice(ledger):
    """``answered`` tells of the 500 at its head, ``settle`` of the same call at its end."""
    claim = circuit(failures=2, open=10, rate=0)
    assert call_through(ledger, 1.0, 500, claim)
    assert granted(ledger.reserve((claim,), 1.0)) == [True]


def test_circuits_learn_at_the_head_of_an_answer_not_at_the_end_of_a_stream(ledger):
    claim = circuit(failures=1, open=10, rate=0)
    holds = ledger.reserve((claim,), 1.0)
    ledger.answered(holds, Answered(503, 0.1), 1.0)
    assert granted(ledger.reserve((claim,), 1.0)) == [False]


def test_an_open_circuit_says_when_to_ask_again_and_then_lets_probes_in(ledger):
    claim = circuit(failures=1, open=10, probes=2, rate=0)
    call_through(ledger, 1.0, 500, claim)
    (hold,) = ledger.reserve((claim,), 4.0)
    assert (hold.granted, hold.state, hold.retry_after) == (False, "open", pytest.approx(7))
    now = 4.0 + hold.retry_after
    probes = ledger.reserve((claim,), now), ledger.reserve((claim,), now)
    assert granted(probes[0] + probes[1]) == [True, True]
    (third,) = ledger.reserve((claim,), now)
    assert (third.granted, third.state) == (False, "half-open")
    assert third.retry_after > 0
    for probe in probes:
        ledger.answered(probe, Answered(200, 0.1), now)
        ledger.settle(probe, OK, now)
    assert all(call_through(ledger, now, 200, claim) for _ in range(5))


def test_an_abandoned_probe_does_not_jam_the_circuit(ledger):
    claim = circuit(failures=1, open=10, probes=1, rate=0)
    call_through(ledger, 1.0, 500, claim)
    for number in range(3):
        mine = structs.replace(claim, agent=f"a{number}")
        probe = ledger.reserve((mine,), 20.0)
        assert granted(probe) == [True]
        assert granted(ledger.reserve((claim,), 20.0)) == [False]
        ledger.settle(probe, GONE, 20.0)
        assert granted(ledger.reserve((mine,), 20.0)) == [False], "others have the next one"
    assert call_through(ledger, 20.0, 200, claim)
    assert all(call_through(ledger, 20.0, 200, claim) for _ in range(3))


def test_a_probe_that_was_not_made_after_all_is_given_back(ledger):
    claim = structs.replace(circuit(failures=1, open=10, probes=1, rate=0), agent="a")
    call_through(ledger, 1.0, 500, claim)
    ledger.release(ledger.reserve((claim,), 20.0), 20.0)
    assert granted(ledger.reserve((structs.replace(claim, agent="b"),), 20.0)) == [True]


def test_a_probe_that_is_slow_to_its_first_byte_opens_it_again(ledger):
    claim = circuit(failures=1, open=10, probes=1, rate=0, slow=2.0, slow_rate=0.5)
    call_through(ledger, 1.0, 500, claim)
    assert call_through(ledger, 20.0, 200, claim, first_byte=3.0)
    assert granted(ledger.reserve((claim,), 20.0)) == [False]


def test_a_probe_of_an_earlier_time_tells_nothing_of_this_one(ledger):
    """Two probes go in; one fails and the circuit opens. When the other ends at last, the circuit is half-open anew:
    it must neither make room for a third probe nor count as a success of today."""
    claim = circuit(failures=1, open=10, probes=2, rate=0)
    call_through(ledger, 1.0, 500, claim)
    lost = ledger.reserve((claim,), 20.0)
    assert call_through(ledger, 20.0, 500, claim)
    fresh = ledger.reserve((claim,), 40.0), ledger.reserve((claim,), 40.0)
    assert granted(fresh[0] + fresh[1]) == [True, True]
    ledger.settle(lost, GONE, 40.0)
    assert granted(ledger.reserve((claim,), 40.0)) == [False]


def test_a_reload_with_fewer_probes_does_not_jam_a_half_open_circuit(ledger):
    before, after = circuit(failures=1, open=10, probes=3), circuit(failures=1, open=10, probes=1)
    call_through(ledger, 1.0, 500, before)
    assert call_through(ledger, 20.0, 200, before)
    assert call_through(ledger, 20.0, 200, after)
    assert call_through(ledger, 20.0, 200, after)


def test_a_reload_with_a_longer_window_still_forgets_old_failures(ledger):
    settings = {"failures": 0, "rate": 0.5, "minimum": 4, "open": 1e6}
    short, long = circuit(window=10, **settings), circuit(window=100, **settings)
    for now in (1000.0, 1000.1, 1000.2):
        assert call_through(ledger, now, 500, short)
    for step in range(8):
        assert call_through(ledger, 1001.0 + step, 200, long)
    now = 5000.0
    assert all(call_through(ledger, now + step * 200, 500, long) for step in range(10)), "one failure in each window"


def test_forgetting_healthy_circuits_never_forgets_one_that_is_being_claimed(ledger):
    """Keys come from agents, so healthy circuits are forgotten when many have gathered; but not within a claim."""
    place = slot(1)
    sick = circuit("sick", failures=2, open=1e6)
    call_through(ledger, 1.0, 500, sick)
    for number in range(0, 25_000, 2):
        claims = (place, circuit(f"a{number}"), circuit(f"b{number}"))
        holds = ledger.reserve(claims, 2.0)
        assert granted(holds) == [True, True, True]
        ledger.settle(holds, OK, 2.0)
    assert call_through(ledger, 3.0, 500, sick)
    assert granted(ledger.reserve((sick,), 3.0)) == [False], "one that had a failure to remember is remembered"
    if isinstance(ledger, MemoryLedger):
        assert len(list(ledger.breakers())) < 12_000


def test_an_unknown_claim_is_an_error_and_takes_nothing(ledger):
    place = slot(1)
    with pytest.raises(TypeError):
        ledger.reserve((place, Claim("odd", ("odd",))), 1.0)
    assert granted(ledger.reserve((place,), 1.0)) == [True]


def test_the_memory_ledger_lists_its_circuits_for_the_metrics():
    ledger = MemoryLedger()
    call_through(ledger, 1.0, 500, circuit(failures=1))
    ledger.reserve((slot(3), circuit("notes")), 1.0)
    assert set(ledger.breakers()) == {("fragile", "github", "open"), ("fragile", "notes", "closed")}
    assert isinstance(ledger.reserve((), 1.0), tuple)


def test_a_hold_of_a_circuit_says_its_state():
    ledger = MemoryLedger()
    breaker = circuit(failures=1, open=5)
    assert ledger.reserve((breaker,), 1.0) == (Hold(breaker, True, 0.0, 0.0, "closed"),)


# -- answers that say of themselves that they failed ---------------------------------------------------------------

FAILED = Findings(is_error=True)


def told(
    ledger: Ledger, now: float, breaker: Claim, outcome: Outcome, *, first_byte: float = 0.0, head: bool = True
) -> bool:
    """One whole call that ends like this; whether it was let through. Not ``head``: no answer came at all."""
    holds = ledger.reserve((breaker,), now)
    if not all(granted(holds)):
        return False
    if head:
        ledger.answered(holds, Answered(outcome.upstream, first_byte), now)
    ledger.settle(holds, structs.replace(outcome, first_byte=first_byte), now)
    return True


def opens(ledger: Ledger, breaker: Claim, outcome: Outcome, **how) -> bool:
    """Whether one such call opens the circuit."""
    assert told(ledger, 10.0, breaker, outcome, **how)
    return not all(granted(ledger.look((breaker,), 10.0)))


@pytest.mark.parametrize("result_errors", [True, False])
@pytest.mark.parametrize("status", [200, 404])
def test_a_result_that_is_an_error_is_a_failure_only_by_choice(ledger, status, result_errors):
    breaker = circuit(failures=1, result_errors=result_errors)
    assert opens(ledger, breaker, Outcome(status, status, found=FAILED)) is result_errors


@pytest.mark.parametrize(
    ("outcome", "failure"),
    [
        (Outcome(200, 200), False),
        (Outcome(404, 404), False),
        (Outcome(500, 500), True),
        (Outcome(500, 500, found=FAILED), True),
        (Outcome(403, 200), False),
        (Outcome(403, 200, found=FAILED), True),
        (Outcome(200, 200, "tool", "broke off"), True),
        (Outcome(502, 200, "tool", "broke off while it was read"), True),
        (Outcome(502, 200, "gateway", "over the limit"), False),
        (Outcome(499, 200, "agent"), False),
        (Outcome(499, 200, "agent", found=FAILED), True),
        (Outcome(503, 200, "gateway", "stopped"), False),
    ],
)
def test_what_is_a_failure_where_results_count(ledger, outcome, failure):
    assert opens(ledger, circuit(failures=1, result_errors=True), outcome) is failure


@pytest.mark.parametrize(("fault", "failure"), [("tool", True), ("agent", False), ("gateway", False)])
def test_a_call_without_an_answer_counts_as_ever_where_results_count(ledger, fault, failure):
    outcome = Outcome(502, 0, fault)
    assert opens(ledger, circuit(failures=1, result_errors=True), outcome, head=False) is failure


def test_each_call_counts_once_where_results_count(ledger):
    """Neither a head and an end of one failure, nor a good head before a bad end, count twice."""
    breaker = circuit(failures=3, rate=0, result_errors=True)
    for outcome in (Outcome(500, 500), Outcome(200, 200, found=FAILED)):
        assert told(ledger, 10.0, breaker, outcome)
        assert all(granted(ledger.look((breaker,), 10.0)))
    assert told(ledger, 10.0, breaker, Outcome(200, 200))
    for _ in range(2):
        assert told(ledger, 10.0, breaker, Outcome(200, 200, found=FAILED))
    assert all(granted(ledger.look((breaker,), 10.0))), "a good call in between begins the count anew"
    assert opens(ledger, breaker, Outcome(200, 200, found=FAILED))


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Outcome(200, 200), "closed"),
        (Outcome(200, 200, found=FAILED), "open"),
        (Outcome(500, 500), "open"),
        (Outcome(200, 200, "tool", "broke off"), "open"),
        (Outcome(499, 200, "agent"), "half-open"),
    ],
)
def test_a_probe_is_judged_by_its_result_and_gives_its_place_back(ledger, outcome, state):
    breaker = circuit(failures=1, open=5, probes=1, result_errors=True)
    assert opens(ledger, breaker, Outcome(200, 200, found=FAILED))
    assert told(ledger, 20.0, breaker, outcome)
    (hold,) = ledger.look((structs.replace(breaker, agent="another"),), 20.0)
    assert hold.state == state
    assert hold.granted is (state != "open")


@pytest.mark.parametrize(("first_byte", "slow"), [(0.9, False), (1.0, True)])
def test_a_slow_head_counts_at_the_end_too(ledger, first_byte, slow):
    breaker = circuit(failures=0, rate=0, slow=1.0, slow_rate=0.5, minimum=1, result_errors=True)
    assert opens(ledger, breaker, Outcome(200, 200), first_byte=first_byte) is slow
