"""Documents of kind Task: what a run may do while it is about one task."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.policy.schema_parts import (
    ApiVersion,
    Duration,
    Expression,
    Glob,
    GlobList,
    InconsistentError,
    Metadata,
    Model,
    Name,
    listed,
)


class TaskAllowance(Model):
    """Calls that the task needs."""

    tools: GlobList = Field(description="Names of tools in the configuration.")
    operations: GlobList = Field(default=("*",), description="Their operations.")
    when: Expression | None = Field(
        default=None, description="Only where this is true of the call: a CEL expression, as in rules."
    )


class TaskBudget(Model):
    """What a run may spend in the task. At least one of usd, tokens and calls."""

    usd: float | None = Field(default=None, gt=0, le=1e9, description="US dollars.")
    tokens: int | None = Field(default=None, gt=0, le=1 << 50, description="Tokens that models read and write.")
    calls: int | None = Field(default=None, gt=0, le=1 << 50, description="Calls.")

    @model_validator(mode="after")
    def _spends_something(self) -> TaskBudget:
        if self.usd is None and self.tokens is None and self.calls is None:
            raise ValueError("the budget bounds nothing; give usd, tokens or calls")
        return self


class TaskSpec(Model):
    """A scope for runs. Grants and rules hold besides: a task only narrows."""

    agents: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(default=(), description="Ids of agents.")
    roles: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Globs of roles; it is for agents that have one of them too."
    )
    allow: Annotated[tuple[TaskAllowance, ...], BeforeValidator(listed)] = Field(
        min_length=1, max_length=256, description="What a run may call; what none of these allows is refused."
    )
    budget: TaskBudget | None = Field(default=None, description="What a run, with all that it led to, may spend.")
    duration: Duration | None = Field(
        default=None, gt=0, description="So long after its first call a run may do nothing more."
    )
    labels: Annotated[tuple[Name, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=16, description="What a run is marked with (run.labels)."
    )
    required: bool = Field(
        default=False, description="Its agents may call something only in a task: in this one, or another."
    )
    assigned: Literal["agent", "platform"] = Field(
        default="agent",
        description="Who puts a run in it: agents by a header, or only the platform, by a signature or the admin API.",
    )

    @model_validator(mode="after")
    def _names_someone(self) -> TaskSpec:
        if not self.agents and not self.roles:
            raise ValueError('a task is for nobody; give agents or roles (agents: ["*"] means everybody)')
        if len(set(self.labels)) < len(self.labels):
            raise InconsistentError("a label stands twice; remove one", "labels")
        return self


class Task(Model):
    """What a run may do while it is about one task."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Task"]
    metadata: Metadata
    spec: TaskSpec
