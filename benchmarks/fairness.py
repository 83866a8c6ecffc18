"""Fair queueing against first come, first served: the gateway's own scheduling, on a virtual clock.

    python -m benchmarks.fairness

Agents keep a number of calls going each; a call's next one comes when it has ended. Prints, for each scenario, Jain's
index of what the agents who always wait were given (1 is equal), the mean wait of a polite agent (one call at a time),
and the most that two agents who always wait ever differed by, in the cost of the dearest call.
"""

from __future__ import annotations

from heapq import heappop, heappush
from itertools import count
from random import Random
from statistics import mean
from typing import NamedTuple

from gateway.model import PoolSettings
from gateway.stores.fairness import FairQueue
from gateway.stores.tickets import State, Ticket

SECONDS = 600.0


class Who(NamedTuple):
    """An agent: calls at once, seconds that each takes (drawn evenly between the two), weight."""

    name: str
    calls: int
    takes: tuple[float, float]
    weight: float = 1.0


class Scenario(NamedTuple):
    name: str
    places: int
    agents: tuple[Who, ...]


SCENARIOS = (
    Scenario("one with 100 calls, four with 10, one polite", 8, (
        Who("greedy", 100, (0.2, 1.8)), *[Who(f"steady-{n}", 10, (0.2, 1.8)) for n in range(4)],
        Who("polite", 1, (0.2, 1.8)),
    )),
    Scenario("calls that take ten times as long, one polite", 8, (
        Who("long", 20, (2.0, 8.0)), Who("short", 20, (0.2, 0.8)), Who("polite", 1, (0.2, 0.8)),
    )),
    Scenario("fifty agents with 4, one polite", 16, (
        *[Who(f"steady-{n}", 4, (0.2, 1.8)) for n in range(50)], Who("polite", 1, (0.2, 1.8)),
    )),
    Scenario("weights 1, 2 and 4, one polite", 8, (
        Who("one", 30, (0.2, 1.8)), Who("two", 30, (0.2, 1.8), 2.0), Who("four", 30, (0.2, 1.8), 4.0),
        Who("polite", 1, (0.2, 1.8)),
    )),
)  # fmt: skip


class Played(NamedTuple):
    jain: float
    polite_wait: float
    gap: float
    busy: float


def play(scenario: Scenario, *, fair: bool, seed: int = 1, until: float = SECONDS) -> Played:
    """One scenario. Not ``fair``: all calls stand in one line, as if they were one agent's."""
    random = Random(seed)
    queue = FairQueue(scenario.places, 100_000, 5.0, share=PoolSettings(1).per_agent if fair else 1.0)
    due: list[tuple[float, int, Ticket, Who]] = []
    order, now = count(), 0.0
    used = {who.name: 0.0 for who in scenario.agents}
    waits: list[float] = []
    gap, busy = 0.0, 0.0
    backlogged = [who for who in scenario.agents if who.calls > 1]

    def start(ticket: Ticket, who: Who) -> None:
        takes = random.uniform(*who.takes)
        if who.calls == 1:
            waits.append(ticket.placed_at - ticket.arrived)
        heappush(due, (now + takes, next(order), ticket, who))

    def ask(who: Who) -> None:
        ticket = queue.enter(who.name if fair else "everybody", who.weight if fair else 1.0, 0, now)
        if ticket.state is State.PLACED:
            start(ticket, who)
        else:
            ticket.told = lambda told: start(told, who)

    for who in scenario.agents:
        for _ in range(who.calls):
            ask(who)
    while due and due[0][0] < until:
        now, _, ticket, who = heappop(due)
        took = now - ticket.placed_at
        used[who.name] += took
        busy += took
        queue.end(ticket, took, now)
        ask(who)
        shares = [used[each.name] / each.weight for each in backlogged]
        gap = max(gap, max(shares) - min(shares))
    shares = [used[each.name] / each.weight for each in backlogged]
    dearest = max(who.takes[1] for who in scenario.agents)
    return Played(jain(shares), mean(waits), gap / dearest, busy / until / scenario.places)


def jain(shares: list[float]) -> float:
    """Jain's fairness index: 1 where all are equal, 1/n where one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def main() -> None:
    """Play everything, and print a table."""
    print(f"{'':47} {'Jain index':>20} {'polite wait (s)':>18} {'greatest gap':>18} {'places busy':>14}")
    print(f"{'':47} {'in turn':>12} {'fair':>7} {'in turn':>10} {'fair':>7} {'in turn':>10} {'fair':>7} {'fair':>14}")
    for scenario in SCENARIOS:
        plain, fair = play(scenario, fair=False), play(scenario, fair=True)
        print(
            f"{scenario.name:47} {plain.jain:12.3f} {fair.jain:7.3f} {plain.polite_wait:10.2f} {fair.polite_wait:7.2f}"
            f" {plain.gap:10.1f} {fair.gap:7.1f} {fair.busy:14.1%}"
        )


if __name__ == "__main__":
    main()
