"""What a minute of a person's time is worth, by the order in which they look: the gateway's own order of the inbox,
beside first come first served and the gravest first, on queues of which the truth is known.

    python -m benchmarks.attention [--write-docs]

Calls come twice as fast as one person can look. Rules differ in how often their calls are bad, and in how long a look
takes; agents differ too. The gateway learns both from the verdicts, as it does live; what is at stake it knows where
the policy says so (``impact``). A look averts the loss that there would be without it: where calls pass when nobody
decides, what a bad one does (its impact); where they are refused, what a good one that is refused costs (a fifth of its
impact).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from statistics import mean, stdev
from typing import NamedTuple

from gateway.approvals.priority import REFUSED, priority
from gateway.approvals.samples import Sample
from gateway.approvals.tallies import Tallies
from gateway.model import Approval, Held, Terms

PAGE = Path(__file__).parent.parent / "docs" / "approvals.md"
BEGIN, END = "<!-- attention:begin -->", "<!-- attention:end -->"

HOURS = 8.0
EXPIRES = 3600.0
LOAD = 2.0
"""Seconds of looks that come in a second."""
SEEDS = range(1, 21)


class Kind(NamedTuple):
    """A rule: how often its calls are bad, by agent, and the seconds of a look."""

    name: str
    bad: Sequence[float]
    seconds: float


class Asked(NamedTuple):
    """A call that waits, and the truth about it."""

    approval: Approval
    impact: float
    bad: bool
    seconds: float


Value = Callable[[Approval, float, Tallies], float]

ORDERS: dict[str, Value] = {
    "first come, first served": lambda one, _now, _known: -one.opened,
    "gravest first": lambda one, _now, _known: one.terms.impact,
    "value of a look": lambda one, now, known: priority(one, now, known.known(one)),
}


def world(random: Random, timeout: str, *, told: bool) -> list[Asked]:
    """The calls of a shift, in the order in which they come. ``told``: the policy says what is at stake."""
    kinds = [
        Kind(
            f"policy/rule-{number}",
            [min(0.95, max(0.002, random.betavariate(0.5, 4.0))) for _ in range(4)],
            random.uniform(8, 60),
        )
        for number in range(12)
    ]
    rate = LOAD / mean(kind.seconds for kind in kinds)
    now, calls = 0.0, []
    while now < HOURS * 3600:
        now += random.expovariate(rate)
        kind, agent = random.choice(kinds), random.randrange(4)
        impact = random.lognormvariate(3.0, 1.5)
        seconds = random.lognormvariate(0.0, 0.5) * kind.seconds
        approval = _approval(len(calls), kind, agent, now, impact if told else 1.0, timeout)
        calls.append(Asked(approval, impact, random.random() < kind.bad[agent], seconds))
    return calls


def _approval(number: int, kind: Kind, agent: int, now: float, impact: float, timeout: str) -> Approval:
    who, terms = f"agent-{agent}", Terms(impact=impact, timeout=timeout, expires=EXPIRES)
    held = (Held(kind.name, ""),)
    return Approval(
        str(number), str(number), who, (), "run", (who, "run"), "tool", kind.name, "v1", held, terms, now, now + EXPIRES
    )


def loss(call: Asked, timeout: str) -> float:
    """What it costs that nobody looks at this call."""
    impact = call.impact
    if timeout == "allow":
        return impact if call.bad else 0.0
    return 0.0 if call.bad else REFUSED * impact


class Shift(NamedTuple):
    """What came of a shift: loss averted for each minute of looking, and of all that could have been averted."""

    by_minute: float
    share: float
    looks: int


def played(calls: Sequence[Asked], value: Value, timeout: str) -> Shift:
    """One person who looks at whatever is first, all the time."""
    known, waiting, now, at = Tallies(), [], 0.0, 0
    averted = looked = 0.0
    looks = 0
    while True:
        while at < len(calls) and calls[at].approval.opened <= now:
            waiting.append(calls[at])
            at += 1
        waiting = [call for call in waiting if call.approval.expires > now]
        if not waiting:
            if at == len(calls):
                break
            now = calls[at].approval.opened
            continue
        chosen = max(waiting, key=lambda call: value(call.approval, now, known))
        waiting.remove(chosen)
        now += chosen.seconds
        looked += chosen.seconds
        looks += 1
        averted += loss(chosen, timeout)
        known.add(_sample(chosen, now))
    return Shift(averted / (looked / 60), averted / sum(loss(call, timeout) for call in calls), looks)


def _sample(call: Asked, now: float) -> Sample:
    one, verb = call.approval, "deny" if call.bad else "approve"
    waited = now - one.opened
    return Sample(
        one.id,
        now,
        one.rules,
        "v1",
        one.tool,
        one.operation,
        one.agent,
        "",
        verb,
        ("ann",),
        (("ann", verb),),
        waited,
        call.seconds,
    )


def table(seeds: Sequence[int] = SEEDS) -> str:
    """One line for each order and what the policy tells; mean over the seeds, and the standard error."""
    head = (
        "What is at stake", "looked at first", "calls pass without a look: loss averted a minute", "of all",
        "calls are refused without one: loss averted a minute", "of all",
    )  # fmt: skip
    lines = [f"| {' | '.join(head)} |", "|---|---|---:|---:|---:|---:|"]
    for told in (True, False):
        for name, value in ORDERS.items():
            cells = [cell for timeout in ("allow", "deny") for cell in _cells(value, timeout, seeds, told=told)]
            lines.append(f"| {'`impact` says' if told else 'not known'} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cells(value: Value, timeout: str, seeds: Sequence[int], *, told: bool) -> list[str]:
    shifts = [played(world(Random(seed), timeout, told=told), value, timeout) for seed in seeds]
    rates = [shift.by_minute for shift in shifts]
    error = stdev(rates) / len(rates) ** 0.5 if len(rates) > 1 else 0.0
    return [f"{mean(rates):.1f} ± {error:.1f}", f"{mean(shift.share for shift in shifts):.0%}"]


def write(page: Path, text: str) -> None:
    """Put the text into the page, between its two marks.

    Raises:
        ValueError: the page has no such marks.
    """
    whole = page.read_text()
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{page} has no {BEGIN} ... {END}")
    page.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


def main() -> None:
    """Play, and print; into the page too where that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write-docs", action="store_true", help="put the table into docs/approvals.md")
    options = parser.parse_args()
    text = table()
    print(text)
    if options.write_docs:
        write(PAGE, text)


if __name__ == "__main__":
    main()
