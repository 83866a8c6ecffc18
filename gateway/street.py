"""What stands along the way of calls to one tool. ``streets.py`` builds them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct, structs

from gateway.coherence.shape import MemoryMap
from gateway.cost.pricer import Pricer
from gateway.decide.approvals import Asks
from gateway.decide.budgets import Budgets
from gateway.decide.conflicts import Conflicts
from gateway.decide.drift import Drift
from gateway.decide.guardrails import Guardrails
from gateway.decide.results import Results
from gateway.decide.shapes import Check, Quota
from gateway.flow.labels import FlowMap
from gateway.model import Call, Findings, Run, Tool
from gateway.ports import Lender, Runs
from gateway.understand.reader import Pulse, Reader


class Street(Struct, frozen=True):
    """What stands along the way of calls to one tool."""

    tool: Tool
    reader: Reader
    checks: tuple[Check, ...]
    quotas: tuple[Quota, ...]
    results: Results | None = None
    """None where no answer of the tool is ever read."""
    pricer: Pricer | None = None
    """None where nothing of the tool has a price."""
    reads_cost: bool = False
    """Some rule reads what the run has cost so far."""
    reads_time: bool = False
    """Some rule reads when the call arrived."""
    reads_labels: bool = False
    """Some rule reads what the run is marked with."""
    counts: bool = False
    """Some rule reads how many calls the run has made, how many of the last have failed, or since when."""
    compares: bool = False
    """Some guard compares calls, and their results, with earlier ones."""
    traces: bool = False
    """Calls are traced through the tool: it is told which call it serves, and calls that it makes are known by that."""
    tells: Callable[[Call, bytes | None], Call] | None = None
    """Tells the tool in the message itself too which call it serves; None where messages have no place for that."""
    budgets: Budgets | None = None
    """None where no budget can count calls of the tool."""
    lender: Lender | None = None
    """None where all credentials of the tool are fixed."""
    signs: bool = False
    """Its credential is made of the body too, which must be read ahead."""
    flows: FlowMap | None = None
    """Which labels the tool's operations have, where some tool has any, or some rule asks for origins."""
    hears: bool = False
    """What the tool answers is remembered with its labels."""
    guards: Guardrails | None = None
    """Which guardrails are asked about its calls and results; None where no rule of the tool reads any."""
    in_tasks: bool = False
    """Runs may be in tasks."""
    asks: Asks | None = None
    """None where nothing of the tool is ever asked about."""
    edit: Callable[[Call, Mapping[str, Any], bytes | None], Call] | None = None
    """Puts other arguments into a call; None where the protocol's reader cannot."""
    answers: Callable[[Call], bool] | None = None
    """Whether a person's own answer can take the place of the tool's; None: never."""
    pulse: Callable[[Call, bytes | None], Pulse | None] | None = None
    """What keeps the connection of a call that waits for a person alive; None where nothing can."""
    page: Callable[[Call, bytes | None, str], str] | None = None
    """The page of the approval with this id, where the agent's client opens pages; None where none is known."""
    memory: MemoryMap | None = None
    """Which calls touch which keys, where the tool is a memory that agents share."""
    conflicts: Conflicts | None = None
    """Judges what the calls of a memory find; also anew what a person has put into one."""
    drifts: bool = False
    """Some rule reads what of all that the run has seen has changed since."""
    drift: Drift | None = None
    """For which calls stores are asked again what has changed; None: for none."""
    admitting: tuple[Check, ...] | None = None
    """Of ``checks``, those that look at a call before the rules do; None: all but the last."""
    reads_budgets: bool = False
    """Some rule reads what is left of the budgets."""

    @property
    def reads_run(self) -> bool:
        """Whether some rule reads what the run has done so far."""
        return self.reads_cost or self.reads_labels or self.counts

    def so_far(self, run: Run, tree: tuple[str, str], runs: Runs, now: float) -> Run:
        """The run with what the rules read of what its tree has done. ``now``: by the pipeline's clock."""
        steps, errors, age = runs.tally(tree, now) if self.counts else (0, 0, 0.0)
        cost = runs.cost(tree) if self.reads_cost else 0.0
        labels = runs.labels(tree) if self.reads_labels else ()
        return structs.replace(run, cost_usd=cost, labels=labels, steps=steps, errors_in_row=errors, age=age)

    def admits(self, call: Call) -> bool:
        """Whether nothing that looks at a call before the rules do refuses it."""
        before = self.checks[:-1] if self.admitting is None else self.admitting
        return all(check.judge(call).refusal is None for check in before)

    @property
    def priced(self) -> bool:
        """Whether the price of a call depends on its result."""
        return self.pricer is not None and not self.pricer.references.isdisjoint(("result", "response.isError"))

    def price(self, call: Call, found: Findings) -> float | None:
        """What the tokens of a call cost, while its answer is still on its way."""
        if self.pricer is None or found.usage is None:
            return None
        return self.pricer.tokens(call, found.usage).usd


__all__ = ["Street"]
