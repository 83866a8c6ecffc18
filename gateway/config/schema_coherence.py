"""What the configuration says of a tool that is a memory: which calls read and write which keys, and what follows."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from gateway.config.fields import Listed, Model, operation
from gateway.policy.schema_parts import Duration, Expression, Glob, Name, listed

MemoryName = Annotated[Name, Field(max_length=64)]
Condition = Literal["if-match"]


def _touched(value: str) -> str:
    return operation(value) if "{" in value else value


def _versions(value: object) -> object:
    return tuple(value) if isinstance(value, list) else (value,)


TouchedOperations = Annotated[
    tuple[Annotated[Glob, AfterValidator(_touched)], ...], BeforeValidator(listed), Field(min_length=1)
]


class VersionExpression(Model):
    """A version that stands in the answer."""

    expression: Expression = Field(
        description="CEL over result, entry or response.headers that gives a text or a whole number: result.rev."
    )


Version = Literal["etag", "last-modified", "digest"] | VersionExpression
Versions = Annotated[tuple[Version, ...], BeforeValidator(_versions)]
"""One or a list in YAML."""


class MemoryReads(Model):
    """Operations that read keys."""

    operations: TouchedOperations = Field(
        description="Globs of operations, or METHOD /path/{name}, whatever operations the tool itself names. A HEAD is"
        " a partial read like its GET."
    )
    key: Expression = Field(
        description="CEL that gives the key, or a list of them: over args (with the {names} of the path in it), path,"
        " request and the like, result, and entry. A text or a whole number."
    )
    entries: Expression | None = Field(
        default=None, description="CEL that gives the list in a result that tells of many keys, one by one, as entry."
    )
    value: Expression | None = Field(
        default=None,
        description="CEL that gives what stands there: for differences, merges and digests; by default the result, or"
        " the entry.",
    )
    version: Versions | None = Field(
        default=None,
        description="By what one state is told from another: etag, last-modified (with the digest, since it only counts"
        " seconds), digest, {expression: result.rev}, or several; by default etag, where there is none the digest.",
    )
    partial: bool | Expression = Field(
        default=False,
        description="The answer does not show all that stands there, so that it is no ground for a write: true, or CEL"
        " over the call (has(args.head)).",
    )
    gone: Expression | None = Field(
        default=None,
        description="CEL that is true where the answer says that nothing stands there; by default, of HTTP tools, the"
        " statuses 404 and 410.",
    )


class MemoryWrites(Model):
    """Operations that write keys."""

    operations: TouchedOperations = Field(description="As those of reads.")
    key: Expression = Field(description="As that of reads; one over result is of a key that only the answer tells.")
    value: Expression | None = Field(
        default=None,
        description="CEL that gives what will stand there, such as args.text: for differences and merges.",
    )
    version: Versions | None = Field(
        default=None,
        description="By what the answer tells the state that was made, as that of reads; by default etag, and nothing"
        " where there is none.",
    )
    condition: Condition | None = Field(
        default=None,
        description="if-match: the store heeds If-Match and If-None-Match (RFC 9110), so the gateway adds them where"
        " the agent has sent none; what nobody has read is then only created.",
    )
    deletes: bool | None = Field(
        default=None, description="Whether nothing stands there afterwards; by default those with the method DELETE."
    )
    errors: Literal["unknown", "unwritten"] = Field(
        default="unknown",
        description="After an error that an MCP tool tells: unknown, everybody must read again; unwritten, nothing has"
        " happened, for certain.",
    )


class ToolMemory(Model):
    """A tool that is a memory which agents share."""

    name: MemoryName | None = Field(
        default=None, description="By default the tool's name; tools with the same name show the same memory."
    )
    reads: Listed[MemoryReads] = Field(default=(), description="The first whose operations match counts.")
    writes: Annotated[Listed[MemoryWrites], Field(min_length=1)] = Field(
        description="The first whose operations match counts, and wins over reads."
    )
    conflict: Literal["refuse", "ask", "merge", "warn"] = Field(
        default="refuse",
        description="A write of what has changed since its run read it: refuse it, ask people, merge it with the"
        " change (and refuse it where both touch the same), or let it pass with a warning.",
    )
    unread: Literal["refuse", "allow"] = Field(
        default="refuse", description="A write of what its run has not read: refuse it, or let it pass."
    )
    max_age: Duration = Field(
        default=0.0, description="What a run has read longer ago counts as old (memory.old); 0 is never."
    )
    stale_reads: Literal["mark", "refuse"] = Field(
        default="mark",
        description="An answer older than what its run has seen, of a replica that lags: mark it, or refuse it.",
    )
    revalidate: bool = Field(
        default=False,
        description="Before a rule reads run.drift, ask this memory again for what the run has read of it: a change"
        " past the gateway counts then too; run.unverified lists what could not be asked.",
    )
