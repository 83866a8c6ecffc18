"""Documents of kind Approval: on which terms calls wait for people."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from gateway.policy.schema_parts import (
    ApiVersion,
    Duration,
    Expression,
    Fraction,
    GlobList,
    InconsistentError,
    Match,
    Metadata,
    Model,
    Name,
    listed,
)

Channels = Annotated[tuple[Name, ...], BeforeValidator(listed)]


class EscalationSpec(Model):
    """Who is asked too where nobody has decided for a while."""

    after: Duration = Field(gt=0, description="Time of waiting after which these may decide too.")
    who: Expression | None = Field(
        default=None, description="A CEL expression as who: those for whom it is true may decide from then on."
    )
    notify: Channels = Field(default=(), description="Channels that are told then.")


class AttentionSpec(Model):
    """How much of people's attention these approvals may take."""

    per_hour: int | None = Field(default=None, ge=1, description="Approvals that are put before people in an hour.")
    per_approver: int | None = Field(
        default=None, ge=1, description="The same for each person: beyond it, they are not told, and see it last."
    )
    beyond: Literal["deny", "sample"] = Field(
        default="deny", description="Beyond per_hour: refuse calls, or still ask about a share of them."
    )
    sample: Fraction = Field(default=0.1, description="With beyond: sample, the share that still goes to people.")

    @model_validator(mode="after")
    def _bounds_something(self) -> AttentionSpec:
        if self.per_hour is None and self.per_approver is None:
            raise ValueError("attention bounds nothing; give per_hour or per_approver")
        if "sample" in self.model_fields_set and self.beyond != "sample":
            raise InconsistentError("sample has no effect with beyond: deny; write beyond: sample", "sample")
        return self


class ApprovalSpec(Model):
    """On which terms calls that match wait for a person."""

    match: Match = Match()
    agents: GlobList = Field(default=("*",), description="Ids of agents that it is for.")
    rules: GlobList = Field(default=("*",), description="Rules that ask, as POLICY/RULE; pins is a changed MCP tool.")
    hold: Duration | None = Field(
        default=None,
        le=3600,
        description="The agent's connection is held for so long; then it is told to ask again. By default 45s.",
    )
    expires: Duration | None = Field(
        default=None, gt=0, description="After so long without a decision timeout applies. By default 1h."
    )
    valid: Duration | None = Field(
        default=None,
        gt=0,
        description="What was approved must be called within so long, and what was denied is remembered for so long."
        " By default 10m.",
    )
    approvers: int | None = Field(
        default=None, ge=1, le=10, description="So many different people must approve. By default 1."
    )
    who: Expression | None = Field(
        default=None,
        description="A CEL expression over approver.id, approver.roles, agent.id and agent.roles: who may decide. By"
        " default everybody with the role approver.",
    )
    timeout: Literal["deny", "allow"] | None = Field(
        default=None, description="What follows where nobody decides in time. By default deny."
    )
    impact: Expression | None = Field(
        default=None,
        description="A CEL expression over the call that gives a number: what is at stake, in a unit of your own.",
    )
    notify: Channels = Field(default=(), description="Channels that are told (approvals.channels).")
    escalate: Annotated[tuple[EscalationSpec, ...], BeforeValidator(listed)] = Field(
        default=(), max_length=8, description="Who is asked too where nobody has decided for a while."
    )
    attention: AttentionSpec | None = Field(
        default=None, description="How much of people's attention these approvals may take."
    )
    canary: Fraction = Field(
        default=0.0, description="Share of approvals beside which a question with a known answer is put."
    )

    @model_validator(mode="after")
    def _in_order(self) -> ApprovalSpec:
        if self.hold and self.expires and self.hold > self.expires:
            raise InconsistentError("hold is longer than expires; the connection is held until then at most", "hold")
        afters = [step.after for step in self.escalate]
        if afters != sorted(afters):
            raise InconsistentError("steps must stand in the order of after", "escalate")
        return self


class Approval(Model):
    """On which terms calls wait for a person."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Approval"]
    metadata: Metadata
    spec: ApprovalSpec = ApprovalSpec()
