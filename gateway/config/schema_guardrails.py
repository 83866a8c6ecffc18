"""What the configuration says of guardrails: classifiers of others that are asked over HTTP."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gateway.config.fields import Bytes, FreeHeaderName, HeaderValue, Listed, Model, Url
from gateway.policy.schema_parts import Duration, Fraction

GuardrailName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]


class GuardrailConfig(Model):
    """One classifier. It is asked only about calls that a rule which reads guardrail.NAME can match."""

    url: Url = Field(description="Where it is asked: POST with a JSON body. Redirects are not followed.")
    adapter: Literal["toolgate", "openai", "lakera", "presidio"] = Field(
        default="toolgate",
        description="What it speaks: Toolgate's own format, OpenAI's moderations, Lakera Guard (v2), or Presidio's"
        " analyzer.",
    )
    timeout: Duration = Field(default=2.0, gt=0, description="For one answer, the wait for a place included.")
    on_failure: Literal["refuse", "ignore"] = Field(
        default="refuse",
        description="Where it gives no usable answer: refuse what an enforced rule would have asked it about, or let"
        " rules go on with answered: false, flagged: false.",
    )
    headers: dict[FreeHeaderName, HeaderValue] = Field(default={}, description="Sent along; keys belong here.")
    sends: Listed[Literal["args", "messages", "result"]] = Field(
        default=("args", "messages", "result"), min_length=1, description="What of a call it is told."
    )
    mask: bool = Field(
        default=True, description="Arguments whose names trace.redact has are masked in what it is told."
    )
    max_size: Bytes = Field(
        default=256 * 1024, ge=1, description="Bytes of a question; a larger one is not asked, which is a failure."
    )
    concurrency: int = Field(default=16, ge=1, le=1000, description="Questions under way at once.")
    cache: Duration = Field(
        default=0.0, description="How long an answer holds for the same question; 0s is not at all."
    )
    model: str | None = Field(
        default=None, min_length=1, description="With adapter: openai, the model, such as omni-moderation-latest."
    )
    language: str = Field(
        default="en", pattern=r"^[a-z]{2}$", description="With adapter: presidio, the language of the texts."
    )
    threshold: Fraction = Field(
        default=0.5, description="With adapter: presidio, the score from which something that it finds counts."
    )
