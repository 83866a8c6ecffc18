"""What the models of all policy documents are made of."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from gateway.policy.globs import check_glob
from gateway.policy.units import duration, fraction, rate

Glob = Annotated[
    str,
    BeforeValidator(check_glob),
    Field(min_length=1, max_length=512, description="* matches any run of characters, also /, and ? one character."),
]
Globs = Annotated[tuple[Glob, ...], Field(min_length=1)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=128)]
Expression = Annotated[str, Field(min_length=1, description="A CEL expression, at most 4096 characters.")]
Duration = Annotated[
    float,
    BeforeValidator(duration),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?(ms|s|m|h|d)?$"},
                {"type": "number", "minimum": 0},
            ],
            "examples": ["250ms", "10s", "5m", "1h"],
        }
    ),
]
Fraction = Annotated[
    float,
    BeforeValidator(fraction),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)? ?%$"},
                {"type": "number", "minimum": 0, "maximum": 1},
            ],
            "examples": ["50%", 0.5],
        }
    ),
]


def _rate_text(value: object) -> str:
    return rate(value)[1]


Rate = Annotated[
    str,
    BeforeValidator(_rate_text),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?/(s|m|h|d)$", "examples": ["10/s", "100/m"]}),
]
ModeName = Literal["Enforce", "Audit", "Warn"]


class Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


def listed(value: object) -> object:
    """Tuples keep a frozen model frozen, but YAML gives lists, which strict mode would refuse for a tuple."""
    return tuple(value) if isinstance(value, list) else value


GlobList = Annotated[Globs, BeforeValidator(listed)]


class Metadata(Model):
    """What a document is called."""

    name: Name = Field(description="Unique among the documents of one kind; shown in traces and refusals.")
    labels: dict[str, str] = Field(default={}, description="Free labels for your own tooling.")
    annotations: dict[str, str] = Field(default={}, description="Free notes for your own tooling.")


class Match(Model):
    """Which calls a document is about."""

    tools: GlobList = Field(default=("*",), description="Names of tools in the configuration.")
    operations: GlobList = Field(
        default=("*",), description='Operations, such as "GET /repos/{owner}/{repo}", "GET *" or "*".'
    )


class InconsistentError(ValueError):
    """Settings that do not go together; ``at`` leads from the model to the one that is to be changed."""

    def __init__(self, message: str, *at: str | int) -> None:
        super().__init__(message)
        self.at = at


ApiVersion = Annotated[Literal["toolgate/v1"], Field(description="Always toolgate/v1.")]
