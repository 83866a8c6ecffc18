"""The policy documents as pydantic models: what a user may write, and the JSON Schema that editors complete from.

Models only say what a document looks like. What it means (names that exist, expressions that compile) is compile.py's.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, model_validator

from gateway.policy.redaction import TOOL_RESULTS, check_changed
from gateway.policy.schema_approvals import Approval
from gateway.policy.schema_governors import Budget, Loop, Pool, Retry, Run
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
    ModeName,
    Name,
    Rate,
    listed,
)
from gateway.policy.schema_tasks import Task


class Variable(Model):
    """A named expression, written into the rules that use it as variables.NAME."""

    name: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=64, description="Used as variables.NAME.")
    expression: Expression


MaskedField = Annotated[
    str,
    BeforeValidator(check_changed),
    Field(
        max_length=512,
        description="A path, such as args.password or result.items.*.ssn; or llm.tool_results.",
        json_schema_extra={"pattern": r"""^(llm\.tool_results|(args|result)(\.([^\s.*\[\]"'`]+|\*))+)$"""},
    ),
]
Note = Annotated[str, Field(min_length=1, max_length=256)]


class Rule(Model):
    """One condition and what follows when it is true."""

    name: Name = Field(description="Unique in its policy; shown in traces and refusals as POLICY/RULE.")
    when: Expression = Field(description="A CEL expression that is true or false, at most 4096 characters.")
    then: Literal["deny", "approve", "redact", "truncate", "strip", "wrap", "label", "warn"] = Field(
        description="deny refuses the call, approve asks a human first, redact masks fields in what is passed on,"
        " truncate cuts them, strip takes out what people do not see, wrap marks texts as untrusted data, label marks"
        " the run, warn only records and tells the agent."
    )
    label: Name | None = Field(default=None, description="With then: label: what the run is marked with (run.labels).")
    fields: Annotated[tuple[MaskedField, ...], BeforeValidator(listed)] = Field(
        default=(),
        max_length=64,
        description="With then: redact, truncate, strip or wrap: what is changed, by paths: args.* or llm.tool_results"
        " in phase request, result.* in phase response; without it truncate and strip change all that there is.",
    )
    only: Annotated[tuple[Literal["secrets", "pii"], ...], BeforeValidator(listed)] = Field(
        default=(), description="With then: redact: mask only what these detectors find in the texts, not all of them."
    )
    max_chars: int | None = Field(
        default=None, ge=1, description="With then: truncate: the characters that are left of each text."
    )
    max_items: int | None = Field(
        default=None, ge=1, description="With then: truncate: the entries that are left of each list."
    )
    annotations: dict[Name, Note] = Field(
        default={}, max_length=16, description="Notes that go into the trace and a metric, such as severity: high."
    )
    quarantine: Literal["run", "agent", "tool"] | None = Field(
        default=None, description="With then: deny: what makes no more calls from then on."
    )
    quarantine_for: Duration = Field(
        default=0.0, description="How long it is quarantined; by default until somebody lifts it."
    )
    message: str = Field(default="", max_length=1024, description="What the agent is told.")
    messageExpression: Expression | None = Field(  # noqa: N815 - the key as users write it
        default=None, description="A CEL expression that gives the message; message is used where it fails."
    )
    mode: ModeName | None = Field(default=None, description="Overrides the policy's mode for this rule.")
    phase: Literal["request", "list", "response", "proposal"] = Field(
        default="request",
        description="request: before the call runs. list: when the tool is listed to the agent. response: when the"
        " result is here, before the agent gets it. proposal: for each tool call that a model proposes in its answer.",
    )

    @model_validator(mode="after")
    def _consequence(self) -> Rule:
        if self.then not in _VERDICTS[self.phase]:
            *first, last = _VERDICTS[self.phase]
            raise InconsistentError(
                f"then: {self.then} has no meaning in phase {self.phase}; write {', '.join(first)} or {last}", "then"
            )
        if (self.label is not None) != (self.then == "label"):
            if self.then == "label":
                message = "then: label marks the run with a word; name it, such as label: saw-secrets"
                raise InconsistentError(message, "then")
            message = f"label has no effect with then: {self.then}; remove it or write then: label"
            raise InconsistentError(message, "label")
        self._changes()
        if self.quarantine is not None and self.then != "deny":
            message = f"quarantine has no effect with then: {self.then}; remove it or write then: deny"
            raise InconsistentError(message, "quarantine")
        if self.quarantine is not None and self.phase == "list":
            message = "in phase list quarantine has no effect: nothing is called; remove it, or give it to another rule"
            raise InconsistentError(message, "quarantine")
        if self.quarantine_for and self.quarantine is None:
            raise InconsistentError("quarantine_for says how long, but not what; give quarantine too", "quarantine_for")
        for number, field in enumerate(self.fields):
            told = field == TOOL_RESULTS and self.phase == "request"
            if not told and not field.startswith(f"{ROOTS[self.phase]}."):
                message = f"in phase {self.phase} only {ROOTS[self.phase]} can be masked, not {field}"
                raise InconsistentError(message, "fields", number)
        return self

    def _changes(self) -> None:
        """What belongs to verdicts that change values is there with them, and with them only."""
        if self.fields and self.then not in CHANGING:
            message = f"fields have no effect with then: {self.then}; remove them or write then: redact"
            raise InconsistentError(message, "fields")
        if self.only and self.then != "redact":
            message = f"only has no effect with then: {self.then}; remove it or write then: redact"
            raise InconsistentError(message, "only")
        if not self.fields and not self.only and self.then in ("redact", "wrap"):
            verb = "masks" if self.then == "redact" else "marks"
            example = f"fields: [{ROOTS[self.phase]}.{'password' if self.then == 'redact' else 'text'}]"
            message = f"then: {self.then} {verb} what fields names; give some, such as {example}"
            raise InconsistentError(message, "then")
        for name, bound in (("max_chars", self.max_chars), ("max_items", self.max_items)):
            if bound is not None and self.then != "truncate":
                message = f"{name} has no effect with then: {self.then}; remove it or write then: truncate"
                raise InconsistentError(message, name)
        if self.then == "truncate" and self.max_chars is None and self.max_items is None:
            raise InconsistentError("then: truncate cuts texts or lists; give max_chars or max_items", "then")


CHANGING = ("redact", "truncate", "strip", "wrap")
"""What changes values in what is passed on."""
_VERDICTS = {
    "request": ("deny", "approve", *CHANGING, "label", "warn"),
    "list": ("deny", "warn"),
    "response": ("deny", "approve", *CHANGING, "label", "warn"),
    "proposal": ("deny", "label", "warn"),
}
"""What can follow from a rule, by its phase."""
ROOTS = {"request": "args", "response": "result"}
"""What can be changed in each phase."""


class Rollout(Model):
    """Which calls a policy is enforced for; for the others it is only recorded."""

    percent: float = Field(default=0.0, ge=0, le=100, description="The share for which it is enforced, 0 to 100.")
    by: Literal["run", "agent"] = Field(
        default="run",
        description="What is in or out as a whole, always the same way: a run (an agent where no run is named), or an"
        " agent.",
    )
    agents: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Ids of agents for which it is enforced in any case."
    )

    @model_validator(mode="after")
    def _covers_someone(self) -> Rollout:
        if "percent" not in self.model_fields_set and not self.agents:
            raise ValueError("the rollout names nobody; give percent or agents")
        return self


class PolicySpec(Model):
    """Rules over the calls that match."""

    mode: ModeName = Field(
        default="Enforce", description="Audit evaluates and records but never enforces; Warn also tells the agent."
    )
    failurePolicy: Literal["Fail", "Ignore"] = Field(  # noqa: N815 - the key as users write it
        default="Fail", description="Fail: an expression that cannot be evaluated refuses the call. Ignore: it warns."
    )
    rollout: Rollout | None = Field(
        default=None, description="Enforce for a share of the calls only, and Audit for the rest."
    )
    match: Match = Match()
    variables: Annotated[tuple[Variable, ...], BeforeValidator(listed)] = Field(default=(), max_length=64)
    rules: Annotated[tuple[Rule, ...], BeforeValidator(listed), Field(min_length=1, max_length=256)]


class GrantSpec(Model):
    """Who may call what. What no grant names is refused."""

    agents: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(default=(), description="Ids of agents.")
    roles: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Globs of roles; an agent that has one of them is granted, as is one that agents names."
    )
    tools: GlobList = Field(description="Names of tools in the configuration.")
    operations: GlobList = Field(
        default=("*",), description='Operations, such as "GET /repos/{owner}/{repo}", "GET *" or "*".'
    )

    @model_validator(mode="after")
    def _names_someone(self) -> GrantSpec:
        if not self.agents and not self.roles:
            raise ValueError('a grant names nobody; give agents or roles (agents: ["*"] means everybody)')
        return self


class LimitSpec(Model):
    """A token bucket for each key."""

    match: Match = Match()
    per: Annotated[tuple[Expression, ...], BeforeValidator(listed)] = Field(
        max_length=8,
        description="What has its own bucket: agent, run, tool, operation, or a CEL expression that gives a string,"
        " an int or a bool. [] is one bucket for all.",
    )
    rate: Rate = Field(description="Calls let through in the long run: 10/s, 100/m, 1000/h or 5000/d.")
    burst: int | None = Field(
        default=None, ge=1, description="Calls let through at once; by default one second's worth, at least 1."
    )
    mode: Literal["reject", "wait"] = Field(
        default="reject", description="reject answers 429; wait holds the call back."
    )
    max_wait: Duration | None = Field(
        default=None, description="With mode wait: the longest a call is held back before 429; by default 5s."
    )

    @model_validator(mode="after")
    def _wait_only(self) -> LimitSpec:
        if self.max_wait is not None and self.mode != "wait":
            raise ValueError("max_wait has no effect with mode: reject; remove it or write mode: wait")
        return self


class BreakerSpec(Model):
    """When a tool is left alone for a while because it fails."""

    match: Match = Match()
    per: Annotated[tuple[Literal["tool", "operation"], ...], BeforeValidator(listed)] = Field(
        default=("tool",), description="[tool] or [tool, operation]: what has a circuit of its own."
    )
    failures: int = Field(default=5, ge=0, description="Consecutive failures that open the circuit; 0 turns it off.")
    rate: Fraction = Field(default=0.5, description="Share of failures within window that opens it; 0 turns it off.")
    window: Duration = Field(default=30.0, gt=0, description="The time that rate and slow_rate look back.")
    minimum: int = Field(default=10, ge=1, description="Calls within window before rate and slow_rate count.")
    open: Duration = Field(default=15.0, gt=0, description="How long calls are refused before the first probe.")
    probes: int = Field(default=1, ge=1, description="Calls let through as probes; all must succeed to close it.")
    slow: Duration = Field(default=0.0, description="Time to the first byte from which a call is slow; 0 turns it off.")
    slow_rate: Fraction = Field(default=0.0, description="Share of slow calls within window that opens the circuit.")
    result_errors: bool = Field(
        default=False, description="An answer that says of itself that it failed (MCP isError) is a failure too."
    )

    @model_validator(mode="after")
    def _makes_sense(self) -> BreakerSpec:
        if self.per not in {("tool",), ("tool", "operation")}:
            raise ValueError("per must be [tool] or [tool, operation]")
        if (self.slow > 0) != (self.slow_rate > 0):
            raise ValueError("slow and slow_rate belong together; give both or neither")
        return self


class CapSpec(Model):
    """What requests to a model are held to: changed where they go beyond, or refused."""

    match: Match = Match()
    agents: GlobList = Field(default=("*",), description="Ids of agents that it is for.")
    models: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Models that may be asked; a request for another is refused."
    )
    max_tokens: int = Field(
        default=0, ge=0, description="The bound on a model's output is lowered to this, and set where there is none."
    )
    system: str = Field(
        default="", max_length=16_384, description="Put first in the system prompt where that does not begin with it."
    )
    forbid_tools: Annotated[tuple[Glob, ...], BeforeValidator(listed)] = Field(
        default=(), description="Tools that the model may not be offered; their definitions are taken out."
    )

    @model_validator(mode="after")
    def _caps_something(self) -> CapSpec:
        if not (self.models or self.max_tokens or self.system or self.forbid_tools):
            raise ValueError("the cap caps nothing; give models, max_tokens, system or forbid_tools")
        return self


class Policy(Model):
    """Rules over calls, in CEL."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Policy"]
    metadata: Metadata
    spec: PolicySpec


class Grant(Model):
    """Who may call what."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Grant"]
    metadata: Metadata
    spec: GrantSpec


class Limit(Model):
    """How often calls may be made."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Limit"]
    metadata: Metadata
    spec: LimitSpec


class Breaker(Model):
    """When a failing tool is left alone."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Breaker"]
    metadata: Metadata
    spec: BreakerSpec


class Cap(Model):
    """What requests to a model are held to."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Cap"]
    metadata: Metadata
    spec: CapSpec


AnyDocument = Policy | Grant | Limit | Breaker | Cap | Budget | Loop | Retry | Pool | Run | Approval | Task
Document = Annotated[AnyDocument, Field(discriminator="kind")]
KINDS: dict[str, type[AnyDocument]] = {
    "Policy": Policy,
    "Grant": Grant,
    "Limit": Limit,
    "Breaker": Breaker,
    "Cap": Cap,
    "Budget": Budget,
    "Loop": Loop,
    "Retry": Retry,
    "Pool": Pool,
    "Run": Run,
    "Approval": Approval,
    "Task": Task,
}
DOCUMENT: TypeAdapter[AnyDocument] = TypeAdapter(Document)


def schema_json() -> dict[str, Any]:
    """One JSON Schema (draft 2020-12) for a policy document of any kind."""
    schema = DOCUMENT.json_schema()
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Toolgate policy document",
        **schema,
    }
