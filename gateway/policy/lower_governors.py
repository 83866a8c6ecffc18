"""From the documents that govern resources to the form that a call is held against."""

from __future__ import annotations

import re
from math import ceil

from gateway.model import BudgetSettings, LoopSettings, PoolSettings, RetrySettings, RunSettings
from gateway.policy.complaints import Complaints
from gateway.policy.engine import CelEngine
from gateway.policy.globs import glob_regex
from gateway.policy.governors import (
    CompiledBudget,
    CompiledLoop,
    CompiledPool,
    CompiledRetry,
    CompiledRun,
    CompiledShare,
    Globs,
    Governor,
)
from gateway.policy.lower import parts_of
from gateway.policy.lower_approvals import approval_of
from gateway.policy.schema_approvals import Approval
from gateway.policy.schema_governors import CALENDAR, Budget, BudgetSpec, Loop, Pool, Retry, Run
from gateway.policy.schema_tasks import TaskBudget
from gateway.policy.units import duration

GOVERNORS = (Approval, Budget, Loop, Retry, Pool, Run)
AnyGovernor = Approval | Budget | Loop | Retry | Pool | Run

MICRO = 1_000_000
"""Micro-dollars in a US dollar."""

FORGOTTEN = 90 * 86400.0
"""Seconds without use after which a total is forgotten whose key agents can make up, so that these fill no store."""

_LASTING = re.compile(r"agent(\..*)?|tool\.name")
"""What no agent can make up of what keys read."""


def governor_of(index: int, model: AnyGovernor, engine: CelEngine, complaints: Complaints) -> Governor:
    """The document compiled; parts of a key that do not compile are complained of and left out."""
    if isinstance(model, Approval):
        return approval_of(index, model, engine, complaints)
    if isinstance(model, Budget):
        return _budget(index, model, engine, complaints)
    if isinstance(model, Loop):
        return _loop(model)
    if isinstance(model, Retry):
        return _retry(model)
    if isinstance(model, Pool):
        return _pool(model)
    spec = model.spec
    settings = RunSettings(spec.depth or 0, spec.fan_out or 0, spec.steps or 0, spec.duration or 0.0)
    return CompiledRun(model.metadata.name, settings)


def _budget(index: int, model: Budget, engine: CelEngine, complaints: Complaints) -> CompiledBudget:
    spec, name = model.spec, model.metadata.name
    parts, read = parts_of(index, name, spec.per, engine, complaints)
    window, seconds = (spec.window, 0.0) if spec.window in CALENDAR else ("rolling", float(duration(spec.window)))
    if window == "total" and ("run" in spec.per or not all(map(_LASTING.fullmatch, read))):
        seconds = FORGOTTEN
    hard, cut = spec.mode == "hard", spec.streams == "cut"
    settings = settings_of(spec, window, seconds, warn=spec.warn, hard=hard, cut=cut, max_wait=spec.max_wait)
    return CompiledBudget(name, _globs(spec.agents), parts, settings, read, spec.max_tokens)


def settings_of(
    spec: BudgetSpec | TaskBudget,
    window: str,
    seconds: float,
    *,
    warn: float = 0.8,
    hard: bool = True,
    cut: bool = False,
    max_wait: float = 5.0,
) -> tuple[BudgetSettings, ...]:
    """Settings for each unit that is bounded."""
    limits = {"usd": round(spec.usd * MICRO) if spec.usd else 0, "tokens": spec.tokens or 0, "calls": spec.calls or 0}
    return tuple(
        [
            BudgetSettings(limit, unit, window, seconds, ceil(limit * warn), hard, cut, max_wait)
            for unit, limit in limits.items()
            if limit
        ]
    )


def _loop(model: Loop) -> CompiledLoop:
    spec = model.spec
    settings = LoopSettings(
        spec.repeats,
        spec.errors,
        spec.cycles,
        spec.streak,
        spec.poll_repeats,
        spec.window,
        spec.memory,
        spec.refusals,
        spec.quarantine_for,
        spec.mode == "Enforce",
    )
    reads = frozenset({"args"}) if spec.ignore else frozenset[str]()
    return CompiledLoop(model.metadata.name, settings, _globs(spec.polls), spec.ignore, reads)


def _retry(model: Retry) -> CompiledRetry:
    spec = model.spec
    settings = RetrySettings(spec.tokens, spec.ratio, spec.teach, spec.remember, spec.within, spec.mode == "Enforce")
    return CompiledRetry(model.metadata.name, settings)


def _pool(model: Pool) -> CompiledPool:
    spec = model.spec
    settings = PoolSettings(
        spec.concurrency,
        spec.queue,
        spec.max_wait,
        spec.charge,
        spec.ageing,
        spec.adaptive,
        spec.minimum,
        spec.per_agent,
    )
    shares = tuple(CompiledShare(_globs(share.agents), share.weight, share.priority) for share in spec.shares)
    return CompiledPool(model.metadata.name, settings, shares)


def _globs(patterns: tuple[str, ...]) -> Globs:
    return tuple(glob_regex(pattern) for pattern in patterns)
