"""The documents that govern resources: budgets, loops, retries, pools and bounds of runs."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.policy.redaction import check_field
from gateway.policy.schema_parts import (
    ApiVersion,
    Duration,
    Expression,
    Fraction,
    Glob,
    GlobList,
    InconsistentError,
    Match,
    Metadata,
    Model,
    listed,
)
from gateway.policy.units import duration

Per = Annotated[
    tuple[Expression, ...],
    BeforeValidator(listed),
    Field(
        max_length=8,
        description="What has its own budget: agent, run, tool, operation, or a CEL expression that gives a string, an"
        " int or a bool. [] is one budget for all.",
    ),
]
CALENDAR = ("hour", "day", "month", "total")


def _window(value: object) -> object:
    """A word of the calendar, or a duration that rolls: read in compile, checked here."""
    if isinstance(value, str) and value in CALENDAR:
        return value
    seconds = duration(value)
    if seconds < 60:
        raise ValueError("window must be hour, day, month or total, or a duration of a minute or more, such as 24h")
    return f"{seconds:g}s"


class BudgetSpec(Model):
    """How much may be spent in a window. At least one of usd, tokens and calls."""

    match: Match = Match()
    agents: GlobList = Field(default=("*",), description="Ids of agents that it is for.")
    per: Per
    window: Annotated[str, BeforeValidator(_window)] = Field(
        description="hour, day or month of the calendar (UTC), total, or a duration that rolls, such as 24h.",
        json_schema_extra={"examples": ["day", "month", "24h", "total"]},
    )
    usd: float | None = Field(default=None, gt=0, le=1e9, description="US dollars.")
    tokens: int | None = Field(default=None, gt=0, le=1 << 50, description="Tokens that models read and write.")
    calls: int | None = Field(default=None, gt=0, le=1 << 50, description="Calls.")
    warn: Fraction = Field(default=0.8, description="The share from which on agents are warned; 0 turns it off.")
    mode: Literal["hard", "soft"] = Field(
        default="hard", description="hard refuses calls where it is spent; soft only warns and records."
    )
    streams: Literal["finish", "cut"] = Field(
        default="finish",
        description="An answer that comes to cost more than was reserved for it: let it finish, or cut it.",
    )
    max_wait: Duration = Field(
        default=5.0, description="A call waits so long where only what calls under way have reserved is in its way."
    )
    max_tokens: int = Field(
        default=4096,
        ge=1,
        le=1 << 30,
        description="The bound of a model's answer, in tokens, that is set where a request has none.",
    )

    @model_validator(mode="after")
    def _spends_something(self) -> BudgetSpec:
        if self.usd is None and self.tokens is None and self.calls is None:
            raise ValueError("the budget bounds nothing; give usd, tokens or calls")
        if self.streams == "cut" and self.usd is None and self.tokens is None:
            raise InconsistentError("answers are cut by usd or tokens, and the budget bounds only calls", "streams")
        return self


def _ignored(value: object) -> object:
    """A path of arguments, as rules name those that they mask."""
    if isinstance(value, str) and value.partition(".")[0] != "args":
        raise ValueError(f"{value!r} names no argument; write args.NAME")
    return check_field(value)


Ignored = Annotated[str, BeforeValidator(_ignored)]


class LoopSpec(Model):
    """When a run goes round in circles. 0 turns a trigger off."""

    match: Match = Match()
    mode: Literal["Enforce", "Audit"] = Field(
        default="Enforce", description="Audit records what would be refused, and refuses nothing."
    )
    repeats: int = Field(
        default=3,
        ge=0,
        le=1000,
        description="So many of the same call with the same result, and nothing new in between; the next is refused.",
    )
    errors: int = Field(
        default=2,
        ge=0,
        le=1000,
        description="So many of the same call with the same error, by the caller's own fault; the next is refused.",
    )
    cycles: int = Field(
        default=3, ge=0, le=100, description="So many rounds of the same two to five calls with the same results."
    )
    streak: int = Field(default=0, ge=0, le=1000, description="So many errors in a row, whatever the calls.")
    polls: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Operations that are asked again and again until their answer changes."
    )
    poll_repeats: int = Field(default=20, ge=0, le=100_000, description="What repeats is for these; 0 is no bound.")
    ignore: Annotated[tuple[Ignored, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=32, description="Arguments that do not make a call another one, such as args.request_id."
    )
    window: int = Field(default=20, ge=2, le=1000, description="Different calls of a run that are remembered.")
    memory: Duration = Field(default=1800.0, gt=0, description="After so long a call is forgotten.")
    refusals: int = Field(
        default=3, ge=0, le=1000, description="After so many refusals the run is quarantined; 0 is never."
    )
    quarantine_for: Duration = Field(default=3600.0, description="How long; 0 is until somebody lifts it.")

    @model_validator(mode="after")
    def _looks_for_something(self) -> LoopSpec:
        if not (self.repeats or self.errors or self.cycles or self.streak or (self.polls and self.poll_repeats)):
            raise ValueError("the document bounds nothing; give repeats, errors, cycles or streak")
        return self


class RetrySpec(Model):
    """How often what failed may be tried again, for each agent and tool."""

    match: Match = Match()
    mode: Literal["Enforce", "Audit"] = Field(
        default="Enforce", description="Audit records what would be refused, and refuses nothing."
    )
    tokens: float = Field(
        default=10.0, gt=0, le=1e6, description="Size of the bucket: retries go through while more than half is left."
    )
    ratio: float = Field(default=0.1, ge=0, le=1, description="What a call that succeeds puts back.")
    within: Duration = Field(
        default=10.0, gt=0, description="So long after a failure another call of the same operation is a retry."
    )
    teach: int = Field(
        default=2,
        ge=0,
        le=100,
        description="So often a repeated call that failed by its own fault is answered from memory, with the tool's"
        " complaint; then comes a short refusal. 0: such calls are let through.",
    )
    remember: Duration = Field(default=30.0, gt=0, description="How long such a failure is remembered.")


class Share(Model):
    """What some agents get of a pool."""

    agents: GlobList = Field(description="Ids of agents.")
    weight: float = Field(default=1.0, ge=0.01, le=1000, description="How much more than an agent of weight 1.")
    priority: int = Field(default=0, ge=-10, le=10, description="Higher is served first; waiting makes up.")


class PoolSpec(Model):
    """Places in a tool, shared fairly between agents that wait for them."""

    match: Match = Match()
    concurrency: int = Field(ge=1, le=100_000, description="Calls in flight at once, for each tool that matches.")
    queue: int = Field(default=100, ge=0, le=10_000, description="Calls that wait at most.")
    max_wait: Duration = Field(default=10.0, description="The longest that each waits.")
    charge: Literal["calls", "seconds", "tokens"] = Field(
        default="seconds", description="What agents' shares are counted by."
    )
    shares: Annotated[tuple[Share, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=64, description="Weights and priorities; the first that names the agent counts."
    )
    ageing: Duration = Field(default=5.0, gt=0, description="Waiting that makes up for one level of priority.")
    adaptive: bool = Field(
        default=False, description="Let the number of places follow the tool's latency, up to concurrency."
    )
    minimum: int = Field(default=1, ge=1, le=100_000, description="Places that adaptive leaves in any case.")
    per_agent: Fraction = Field(
        default=0.8, ge=0.01, description="The share of the places that one agent has at most; 100% lets it have all."
    )

    @model_validator(mode="after")
    def _leaves_some(self) -> PoolSpec:
        if self.minimum > self.concurrency:
            raise InconsistentError(f"must be at most concurrency, which is {self.concurrency}", "minimum")
        return self


class RunSpec(Model):
    """Bounds of a run with all the runs that it leads to. At least one."""

    match: Match = Match()
    depth: int | None = Field(default=None, ge=0, le=100, description="Calls within calls: agent, tool, agent, ...")
    fan_out: int | None = Field(default=None, ge=1, le=100_000, description="Runs that one run leads to directly.")
    steps: int | None = Field(default=None, ge=1, le=10_000_000, description="Calls of the run and all below it.")
    duration: Duration | None = Field(default=None, gt=0, description="Time since the first call.")

    @model_validator(mode="after")
    def _bounds_something(self) -> RunSpec:
        if self.depth is None and self.fan_out is None and self.steps is None and self.duration is None:
            raise ValueError("the document bounds nothing; give depth, fan_out, steps or duration")
        if self.depth == 0:
            raise InconsistentError("a depth of 0 lets nothing of a sub-run through; give 1 or more", "depth")
        return self


class Budget(Model):
    """How much may be spent."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Budget"]
    metadata: Metadata
    spec: BudgetSpec


class Loop(Model):
    """When a run goes round in circles."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Loop"]
    metadata: Metadata
    spec: LoopSpec = LoopSpec()


class Retry(Model):
    """How often what failed may be tried again."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Retry"]
    metadata: Metadata
    spec: RetrySpec = RetrySpec()


class Pool(Model):
    """Places in a tool, shared fairly."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Pool"]
    metadata: Metadata
    spec: PoolSpec


class Run(Model):
    """Bounds of a run."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Run"]
    metadata: Metadata
    spec: RunSpec
