"""Files of cases (``*_test.yaml``, kind Test) as pydantic models: calls, and what the policies are to make of them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, JsonValue, WithJsonSchema, model_validator

from gateway.config.described import GuardrailSaid, PartOfCall
from gateway.config.fields import Listed, Model, Url, Usd
from gateway.config.schema import CelFunctions, ToolConfig, ToolName
from gateway.model import Reason
from gateway.policy.hints import nearest
from gateway.policy.schema_parts import ApiVersion, Duration, Metadata

START = "2026-01-05T12:00:00Z"
"""When cases begin unless they say otherwise: a Monday at noon, UTC."""

_REASONS = [reason.value for reason in Reason]


def _reason(value: str) -> str:
    if value not in _REASONS:
        near = nearest(value, _REASONS)
        raise ValueError(f"not a reason: {value!r}; " + (f"did you mean {near}?" if near else "see docs/policies.md"))
    return value


ReasonName = Annotated[str, AfterValidator(_reason), Field(json_schema_extra={"enum": list[JsonValue](_REASONS)})]


def _moment(value: object) -> float:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise ValueError(f"not a moment: {value!r}; write date, time and zone, such as {START}")
    return moment.timestamp()


Moment = Annotated[
    float, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time", "examples": [START]})
]
"""Seconds since the epoch, from RFC 3339."""


class StandIn(ToolConfig):
    """A tool as the configuration describes it; nothing is sent to it, so that its url may be left out."""

    url: Url = Field(default="http://stand-in.invalid", description="Where the tool would be; may be left out.")


class Tokens(Model):
    """What a model read and wrote."""

    input_tokens: int = Field(default=0, ge=0, description="Tokens that it read.")
    output_tokens: int = Field(default=0, ge=0, description="Tokens that it wrote.")


class Proposed(Model):
    """A tool call that the model proposes."""

    name: str = Field(min_length=1, description="The tool that it proposes to call.")
    args: dict[str, JsonValue] = Field(default={}, description="The arguments that it proposes.")


class AnswerPart(Model):
    """What the tool answers. Without it a permitted call is answered 204, with nothing that a rule could read."""

    status: int = Field(default=200, ge=100, le=599, description="The HTTP status.")
    result: dict[str, JsonValue] | None = Field(
        default=None, description="The JSON object of the body; of an MCP server the result."
    )
    isError: bool = Field(  # noqa: N815 - the protocol's name
        default=False, description="Of an MCP server: it says that it failed."
    )
    model: str = Field(default="", description="Of an LLM API: the model that answers; by default the one asked.")
    usage: Tokens | None = Field(default=None, description="Of an LLM API: the tokens that it counts.")
    proposals: Listed[Proposed] = Field(default=(), description="Of an LLM API: the tool calls that it proposes.")
    body: str | None = Field(default=None, description="The body as it stands, instead of all that.")
    content_type: str = Field(default="application/json", description="The media type of the body.")
    after: Duration = Field(default=0.0, description="How long the answer takes.")
    guardrail: dict[str, GuardrailSaid] = Field(default={}, description="What guardrails say of it, by name.")
    fault: Literal["unreachable", "timeout", "broken"] | None = Field(
        default=None, description="Instead of an answer: nobody is there, it takes too long, or it breaks off."
    )

    @model_validator(mode="after")
    def _one_kind(self) -> AnswerPart:
        given = self.model_fields_set - {"after", "status", "content_type", "guardrail"}
        if "body" in given and given != {"body"}:
            raise ValueError("body stands for the whole answer; remove the rest, or body")
        if self.result is not None and (self.usage or self.proposals):
            raise ValueError("result is the whole answer of an LLM API; write usage and proposals, or result")
        return self


class Expect(Model):
    """What is to come of a call. What is not named may be anything."""

    decision: Literal["allow", "refuse", "approve"] | None = Field(
        default=None,
        description="allow; refuse, also where only the answer or a part of it is kept back; approve: a person is"
        " asked first.",
    )
    reason: ReasonName | None = Field(default=None, description="The reason of the refusal, such as policy_denied.")
    rule: str | None = Field(
        default=None, description="What decided: POLICY/RULE, limit/NAME, breaker/NAME, grants, concurrency or prices."
    )
    rules: Listed[str] | None = Field(
        default=None, description="All rules that spoke, as POLICY/RULE, in any order and any mode; [] is none."
    )
    grant: str | None = Field(default=None, description="The grant by which the call is let through.")
    message: str | None = Field(default=None, min_length=1, description="A part of what the agent is told.")
    status: int | None = Field(default=None, ge=100, le=599, description="The status that the agent gets.")
    withheld: Listed[str] | None = Field(
        default=None, description="The proposed tool calls that are kept from the agent, by name, in any order."
    )
    labels: Listed[str] | None = Field(
        default=None, description="The labels that it gives to its run, in any order; [] is none."
    )
    redacted: Listed[str] | None = Field(
        default=None, description="What is masked of its arguments or its result (args.password), in any order."
    )
    amended: Listed[str] | None = Field(
        default=None,
        description="Parts of what the gateway says that it changed in call or result; [] is nothing.",
    )
    waited: Duration | None = Field(default=None, description="How long a limit held the call back.")
    cost_usd: Usd | None = Field(default=None, description="What the call costs, in US dollars.")

    @model_validator(mode="before")
    @classmethod
    def _word(cls, value: object) -> object:
        return {"decision": value} if isinstance(value, str) else value


class Step(Model):
    """One call of a case with several."""

    at: Duration | None = Field(
        default=None, description="When, from the beginning of the case; by default as the step before."
    )
    call: PartOfCall = Field(default=PartOfCall(), description="What it says beyond the case's call and the defaults.")
    answer: AnswerPart | None = Field(default=None, description="What the tool answers; by default as the case says.")
    expect: Expect | None = Field(default=None, description="What is to come of it: a word, or a mapping.")
    repeat: int = Field(default=1, ge=1, le=10_000, description="So many times, each with what is expected.")
    every: Duration = Field(default=0.0, description="With repeat: the time between two of them.")


class Case(Model):
    """One call, or several in a row that share counters, circuits and what their run has cost."""

    name: str = Field(min_length=1, max_length=200, description="A sentence that says what holds.")
    start: Moment | None = Field(default=None, description="The time at its beginning; by default the file's.")
    call: PartOfCall = Field(default=PartOfCall(), description="What the calls say beyond the defaults.")
    answer: AnswerPart | None = Field(default=None, description="What the tool answers.")
    expect: Expect | None = Field(default=None, description="What is to come of it: a word, or a mapping.")
    steps: Listed[Step] | None = Field(
        default=None, min_length=1, max_length=1000, description="Several calls instead of one, in the order of time."
    )

    @model_validator(mode="after")
    def _expects(self) -> Case:
        if self.steps is not None and self.expect is not None:
            raise ValueError("expect stands beside steps; write it in the steps")
        if all(step.expect is None for step in self.all_steps()):
            raise ValueError("the case expects nothing; write expect: allow, or refuse, or a mapping")
        return self

    def all_steps(self) -> tuple[Step, ...]:
        """The steps; a case with one call is one step."""
        return self.steps or (Step(answer=self.answer, expect=self.expect),)


class CaseSpec(Model):
    """Cases, and the policies that they are about."""

    policies: Listed[str] | None = Field(
        default=None,
        min_length=1,
        description="Policy files or folders, from this file's folder; by default NAME.yaml beside NAME_test.yaml, else"
        " all of the configuration's.",
    )
    tools: dict[ToolName, StandIn] | None = Field(
        default=None, min_length=1, description="The tools, instead of those of the configuration."
    )
    offers: dict[ToolName, Listed[dict[str, JsonValue]]] = Field(
        default={},
        description="What MCP servers offer, as their tools/list gives it: name, annotations, inputSchema; of others"
        " nothing is known, as before an agent has listed them.",
    )
    cel_functions: CelFunctions = Field(
        default=CelFunctions(), description="With tools: the functions that are turned on in the configuration."
    )
    start: Moment = Field(default=_moment(START), description="The time at the beginning of each case.")
    defaults: PartOfCall = Field(default=PartOfCall(), description="What every call says unless it says otherwise.")
    cases: Listed[Case] = Field(min_length=1, description="The cases, each with counters and runs of its own.")


class CaseFile(Model):
    """Calls, and what the policies are to make of them."""

    apiVersion: ApiVersion  # noqa: N815 - the key as users write it
    kind: Literal["Test"]
    metadata: Metadata
    spec: CaseSpec
