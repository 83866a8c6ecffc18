"""What budgets, loops, retries, pools and bounds of runs have to do with one call."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from msgspec import structs

from gateway.cli.explanation_rules import Lacking
from gateway.decide.budgets_text import amount_text
from gateway.errors import Refused
from gateway.model import BudgetSettings, Call, LoopSettings, PoolSettings, RetrySettings, RunSettings
from gateway.policy.book import PolicyBook
from gateway.policy.governors import CompiledBudget, CompiledLoop, CompiledPool, CompiledRetry, CompiledRun

_SINGLE: dict[str, type[Any]] = {"loop": CompiledLoop, "retry": CompiledRetry, "run": CompiledRun, "pool": CompiledPool}


def explained_governors(book: PolicyBook, call: Call, lacking: Lacking) -> list[dict[str, Any]]:
    """Each governor that counts the call: ``kind``, ``name``, ``settings``; of a budget also the ``key`` that the call
    counts by, or null and why in ``error`` (it fails) or ``lacking`` (the record does not have what it reads)."""
    at = (call.tool.name, call.operation)
    budgets = [one for one in book.governors(CompiledBudget, *at, implied=call.implied) if one.names(call.agent)]
    return [
        *[told for budget in budgets for told in _budget(budget, call, lacking)],
        *[
            {"kind": kind, "name": one.name, "settings": structs.asdict(one.settings)}
            for kind, governor in _SINGLE.items()
            for one in book.governors(governor, *at, implied=call.implied)
        ],
    ]


def _budget(budget: CompiledBudget, call: Call, lacking: Lacking) -> Iterator[dict[str, Any]]:
    missing = next((why for name in sorted(budget.references) if (why := lacking(name))), None)
    key, error = None, None
    try:
        key = None if missing else list(budget.key(call)[1:])
    except Refused as refused:
        error = refused.detail
    told = {"kind": "budget", "name": budget.name, "key": key, "error": error, "lacking": missing}
    for settings in budget.settings:
        yield {**told, "settings": structs.asdict(settings)}


def governor_text(governor: dict[str, Any]) -> str:
    """A governor in one line, as people read it."""
    settings = governor["settings"]
    text: str = _TEXTS[governor["kind"]](settings)
    if governor["kind"] == "budget":
        why = governor["lacking"] or (governor["error"] and f"refuses: {governor['error']}")
        text += f"; {why or 'key ' + (' '.join(governor['key']) or '(one for all)')}"
    if not (settings.get("enforced", True) and settings.get("hard", True)):
        text += "; refuses nothing"
    return f"{governor['name']}: {text}"


def _budget_text(settings: dict[str, Any]) -> str:
    spent = BudgetSettings(**settings)
    over = {"rolling": f"in {spent.seconds:g} s", "total": "in all"}.get(spent.window, f"in a {spent.window}")
    return f"{amount_text(spent.limit, spent.unit)} {over}"


def _loop_text(settings: dict[str, Any]) -> str:
    loop = LoopSettings(**settings)
    return f"the same result {loop.repeats} times, the same error {loop.errors} times, {loop.cycles} rounds"


def _retry_text(settings: dict[str, Any]) -> str:
    retry = RetrySettings(**settings)
    return f"{retry.tokens / 2:g} retries, then {retry.ratio:g} for each success; failures kept {retry.remember:g} s"


def _run_text(settings: dict[str, Any]) -> str:
    run = RunSettings(**settings)
    bounds = {"steps": run.steps, "depth": run.depth, "fan-out": run.fan_out, "seconds": run.duration}
    return ", ".join(f"{name} {most:g}" for name, most in bounds.items() if most)


def _pool_text(settings: dict[str, Any]) -> str:
    pool = PoolSettings(**settings)
    places = f"{pool.least} to {pool.concurrency}" if pool.adaptive else f"{pool.concurrency}"
    return f"{places} calls at once, {pool.per_agent:.0%} of them one agent's, {pool.queue} wait up to {pool.wait:g} s"


_TEXTS = {"budget": _budget_text, "loop": _loop_text, "retry": _retry_text, "run": _run_text, "pool": _pool_text}
