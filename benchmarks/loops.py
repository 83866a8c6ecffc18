"""Loop guards on trajectories: how many stuck runs are stopped, how many honest ones are touched.

    python -m benchmarks.loops                      made-up trajectories, honest and stuck, by family
    python -m benchmarks.loops runs.jsonl ...       recorded ones
    python -m benchmarks.loops --set repeats=4 ...  with other settings

A recorded run is a line of JSON: ``{"run": "r1", "success": true, "calls": [{"tool": "mail", "operation": "read",
"args": {...}, "result": ..., "error": false, "readOnly": true, "at": 12.5}, ...]}``. ``operation``, ``readOnly`` and
``at`` (seconds; else 5 apart) may be missing. Each call is put to the keeper that serves live calls; a call that is
refused is not made, and neither is any after the run was quarantined. A run is *touched* where at least one of its
calls is refused. *Amplification* is calls made by distinct ones: tool, arguments and result.

With ``--retries`` guards of retries are asked too, as they are by default.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from gateway.model import Findings, LoopClaim, LoopSettings, Outcome, RetryClaim, RetrySettings
from gateway.policy.fingerprints import canonical, digest
from gateway.stores.ledger import KeptLedger
from gateway.stores.loops import Loops
from gateway.stores.retries import Retries
from gateway.understand.digests import LONGEST, complaint_in, of_complaint, of_result

PACE = 5.0
"""Seconds between calls of which nobody knows when they were made."""


class Made(Struct):
    """A call of a recorded run."""

    tool: str
    args: Any = None
    result: Any = None
    error: bool = False
    operation: str = ""
    readOnly: bool | None = None
    at: float | None = None


class Recorded(Struct):
    """A recorded run."""

    calls: list[Made]
    run: str = ""
    success: bool = False
    family: str = ""


class Played(Struct):
    """What became of a run: calls made, distinct ones among these and among all, refusals and the kind of the first."""

    run: Recorded
    made: int
    distinct: int
    unguarded: int
    refused: int = 0
    kind: str = ""

    @property
    def amplification(self) -> float:
        """Calls made for each distinct one."""
        return self.made / max(1, self.distinct)


class Guard:
    """The keepers, and claims as a gateway makes them of calls to an MCP server."""

    def __init__(self, loop: LoopSettings, retry: RetrySettings | None) -> None:
        self._loop, self._retry = loop, retry
        self._ledger = KeptLedger({LoopClaim: Loops(), RetryClaim: Retries()}, lambda: 0.0)
        self._runs = 0

    def play(self, run: Recorded) -> Played:
        """Put each call of the run to the guard."""
        self._runs += 1
        tree = ("agent", f"run-{self._runs}")
        # Times of one run are all that its own trail sees; runs follow one another.
        now = begun = self._runs * 100_000.0
        seen: set[str] = set()
        every: set[str] = set()
        played, quarantined = Played(run, 0, 0, 0), False
        for number, made in enumerate(run.calls):
            now = begun + (made.at if made.at is not None else number * PACE)
            what = digest(canonical([made.tool, made.operation, made.args]))
            whole = digest(what.encode(), canonical(made.result), b"%d" % made.error)
            every.add(whole)
            if quarantined:
                played.refused += 1
                continue
            holds = self._ledger.reserve(self._claims(made, what, tree), now)
            if not isinstance(holds, tuple):
                raise TypeError("these keepers answer at once")
            refused = next((hold for hold in holds if not hold.granted), None)
            if refused is not None:
                played.refused += 1
                played.kind = played.kind or refused.state
                quarantined = refused.escalate
                continue
            played.made += 1
            seen.add(whole)
            self._ledger.settle(holds, _outcome(made), now)
        played.distinct, played.unguarded = len(seen), len(every)
        return played

    def _claims(self, made: Made, intent: str, tree: tuple[str, str]) -> list[LoopClaim | RetryClaim]:
        changes = not made.readOnly
        claims: list[LoopClaim | RetryClaim] = [
            LoopClaim("loops", ("loops", *tree), intent, changes, False, self._loop, True)
        ]
        if self._retry is not None:
            key, operation = ("retries", tree[0], made.tool), made.operation or made.tool
            claims.append(RetryClaim("retries", key, tree, operation, intent, changes, self._retry, True))
        return claims


def _outcome(made: Made) -> Outcome:
    if not made.error:
        return Outcome(200, 200, sent=1, found=Findings(digest=of_result(made.result)))
    said = made.result[:LONGEST] if isinstance(made.result, str) else complaint_in(made.result)
    told = of_complaint(said) if said else of_result(made.result)
    return Outcome(200, 200, sent=1, found=Findings(is_error=True, digest=told, complaint=said))


# -- recorded ------------------------------------------------------------------------------------------------------


def recorded(paths: Iterable[Path]) -> Iterator[Recorded]:
    """The runs in these files, one a line."""
    decoder = msgspec.json.Decoder(Recorded)
    for path in paths:
        with path.open("rb") as lines:
            for line in lines:
                if line.strip():
                    yield decoder.decode(line)


# -- made up -------------------------------------------------------------------------------------------------------

Family = Callable[[random.Random], list[Made]]


def _read(name: str, version: int = 0) -> Made:
    return Made("files", {"path": name}, f"{name} v{version}", operation="read", readOnly=True)


def _edit(name: str, number: int) -> Made:
    return Made("files", {"path": name, "patch": number}, {"ok": True}, operation="edit")


def _editing(dice: random.Random) -> list[Made]:
    """Reads, edits and reads again, and lists the directory in between, which stays as it is."""
    calls, versions = [], dict.fromkeys("abcd", 0)
    for number in range(dice.randint(2, 10)):
        name = dice.choice("abcd")
        calls.append(_read(name, versions[name]))
        if dice.random() < 0.3:
            calls.append(Made("files", {"path": "."}, "a b c d", operation="list", readOnly=True))
        if dice.random() < 0.8:
            calls.append(_edit(name, number))
            versions[name] += 1
    return calls


def _testing(dice: random.Random) -> list[Made]:
    """Runs the tests after each change: they fail in the same way for a while."""
    calls = []
    for number in range(dice.randint(1, 8)):
        calls += [_edit("a", number), Made("shell", {"command": "make test"}, "1 failed: test_x", error=True)]
    return [*calls, _edit("a", 99), Made("shell", {"command": "make test"}, "all passed")]


def _waiting(dice: random.Random) -> list[Made]:
    """Looks whether a build is done, whose progress shows."""
    parts = dice.randint(1, 8)
    calls = [Made("ci", {"build": 7}, f"{part} of {parts}", operation="status", readOnly=True) for part in range(parts)]
    return [*calls, Made("ci", {"build": 7}, "done", operation="status", readOnly=True)]


def _sending(dice: random.Random) -> list[Made]:
    """Sends messages that are all answered alike, some of them the same to the same person."""
    people = [dice.choice(["ann", "ben", "cat"]) for _ in range(dice.randint(2, 8))]
    calls = []
    for number, name in enumerate(people):
        text = dice.choice(["ok", f"step {number} is done"])
        calls += [Made("mail", {"q": number}, f"mail {number}", operation="search")]
        calls += [Made("mail", {"to": name, "text": text}, "sent", operation="send")]
    return calls


def _recovering(dice: random.Random) -> list[Made]:
    """Corrects its arguments after an error, or tries once more."""
    calls = [_read(f"f{number}") for number in range(dice.randint(1, 5))]
    for number in range(dice.randint(1, 3)):
        bad = Made("db", {"sql": f"selct {number}"}, "syntax error at 1", error=True)
        calls += [bad] * dice.randint(1, 2) + [Made("db", {"sql": f"select {number}"}, [number])]
    return calls


def _exploring(dice: random.Random) -> list[Made]:
    """Looks at many things, some of them twice or three times."""
    names = [f"f{dice.randint(0, 14)}" for _ in range(dice.randint(3, 25))]
    return [_read(name) for name in names]


def _patient(dice: random.Random) -> list[Made]:
    """Tries again what stands behind the tool was not ready for, as it was told to."""
    calls = []
    for number in range(dice.randint(1, 4)):
        busy = Made("crm", {"q": number}, "upstream request timed out, try again later", error=True, readOnly=True)
        calls += [busy] * dice.randint(1, 2) + [Made("crm", {"q": number}, f"customer {number}", readOnly=True)]
    return calls


def _same(dice: random.Random) -> list[Made]:
    """Makes one call for ever."""
    return [_read(f"f{n}") for n in range(dice.randint(0, 5))] + [_read("x")] * dice.randint(5, 80)


def _failing(dice: random.Random) -> list[Made]:
    """Repeats what fails; each complaint has another id in it."""
    begun = [_read(f"f{n}") for n in range(dice.randint(0, 5))]
    return begun + [
        Made("db", {"sql": "selct"}, f"request {dice.getrandbits(40):x}: syntax error", error=True)
        for _ in range(dice.randint(4, 60))
    ]


def _hoping(dice: random.Random) -> list[Made]:
    """Tries for ever what is not going to be ready."""
    begun = [_read(f"f{n}") for n in range(dice.randint(0, 5))]
    busy = Made("crm", {"q": 1}, "HTTP 503: service unavailable", error=True, readOnly=True)
    return begun + [busy] * dice.randint(4, 60)


def _circling(dice: random.Random) -> list[Made]:
    """Makes the same two to five calls in turn."""
    length = dice.randint(2, 5)
    begun = [_read(f"f{n}") for n in range(dice.randint(0, 5))]
    return begun + [_read(f"x{n % length}") for n in range(length * dice.randint(5, 15))]


def _rewriting(dice: random.Random) -> list[Made]:
    """Makes the same edit, and reads it again."""
    return [_edit("a", 1), _read("a", 1)] * dice.randint(5, 20)


def _wandering(dice: random.Random) -> list[Made]:
    """Repeats a handful of calls in any order."""
    few = dice.randint(2, 6)
    return [_read(f"x{dice.randrange(few)}") for _ in range(dice.randint(10 * few, 80))]


HONEST: tuple[Family, ...] = (_editing, _testing, _waiting, _sending, _recovering, _exploring, _patient)
STUCK: tuple[Family, ...] = (_same, _failing, _circling, _rewriting, _wandering, _hoping)


def made_up(seed: int, each: int, *, hints: bool = True) -> Iterator[Recorded]:
    """Runs of every family, the same for a seed. Not ``hints``: no tool says that it only reads."""
    dice = random.Random(seed)
    for family in (*HONEST, *STUCK):
        for number in range(each):
            calls = family(dice)
            if not hints:
                calls = [msgspec.structs.replace(call, readOnly=None) for call in calls]
            name = family.__name__.strip("_")
            yield Recorded(calls, f"{name}-{number}", family in HONEST, name)


# -- report --------------------------------------------------------------------------------------------------------


def summary(played: list[Played]) -> dict[str, float]:
    """The numbers that matter, of some runs; shares in percent."""
    made, distinct = sum(run.made for run in played), sum(run.distinct for run in played)
    calls, every = sum(len(run.run.calls) for run in played), sum(run.unguarded for run in played)
    factors = sorted(run.amplification for run in played)
    return {
        "runs": len(played),
        "calls": calls,
        "touched %": 100 * sum(bool(run.refused) for run in played) / max(1, len(played)),
        "A unguarded": calls / max(1, every),
        "A": made / max(1, distinct),
        "A p99": factors[int(0.99 * (len(factors) - 1))] if factors else 0.0,
        "A max": factors[-1] if factors else 0.0,
    }


def report(played: list[Played]) -> str:
    """A table: all runs, successful and other ones, families, and what was found first."""
    groups = {"all": played}
    groups["successful"] = [run for run in played if run.run.success]
    groups["others"] = [run for run in played if not run.run.success]
    for run in played:
        if run.run.family:
            groups.setdefault(f"  {run.run.family}", []).append(run)
        if run.kind:
            groups.setdefault(f"  first: {run.kind}", []).append(run)
    names = list(summary([]))
    lines = [f"{'':24}" + "".join(f"{name:>13}" for name in names)]
    for group, runs in groups.items():
        lines.append(f"{group:24}" + "".join(f"{value:13,.3f}" for value in summary(runs).values()))
    return "\n".join(lines)


def _settings(changes: list[str]) -> LoopSettings:
    values: dict[str, Any] = {}
    for change in changes:
        name, _, value = change.partition("=")
        if name not in LoopSettings.__struct_fields__ or not value:
            raise SystemExit(f"{change!r}: write NAME=NUMBER, with one of {', '.join(LoopSettings.__struct_fields__)}")
        values[name] = msgspec.convert(value, float if name in ("memory", "quarantine") else int, strict=False)
    return msgspec.structs.replace(LoopSettings(), **values)


def main(arguments: list[str]) -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loops", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path, help="recorded runs, one JSON object a line")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=NUMBER", help="another setting of the loop")
    parser.add_argument("--retries", action="store_true", help="ask guards of retries too")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=300, help="made-up runs of each family")
    given = parser.parse_args(arguments)
    loop, retry = _settings(given.set), RetrySettings() if given.retries else None
    if given.files:
        print(report([*map(Guard(loop, retry).play, recorded(given.files))]))
        return
    for hints in (True, False):
        print(f"\nTools that only read {'say so' if hints else 'do not say so'}:\n")
        print(report([*map(Guard(loop, retry).play, made_up(given.seed, given.runs, hints=hints))]))


if __name__ == "__main__":
    main(sys.argv[1:])
