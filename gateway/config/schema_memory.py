"""What the configuration says of the embedded shared memory: its namespaces, for whom they are, how much they hold."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.config.fields import Bytes, Listed, Model
from gateway.model.shelf import ShelfLimits
from gateway.policy.schema_parts import Duration, Glob

NamespaceName = Annotated[str, Field(pattern=r"^[A-Za-z0-9*][A-Za-z0-9._*-]*$", max_length=64)]
Members = Annotated[Listed[Glob], Field(min_length=1)]

LARGEST_VALUE = 1 << 20
"""Bytes of a value that may be configured: one is read and answered whole."""


def _value(value: int) -> int:
    if value > LARGEST_VALUE:
        raise ValueError(f"{value} is too much, since a value is read as a whole; write at most 1MiB")
    return value


class History(Model):
    """What is kept of values that do not stand any more."""

    keep: int = Field(default=20, ge=0, le=1000, description="Former versions of each key.")
    age: Duration = Field(default=30 * 86_400.0, gt=0, description="What no longer stands is known for so long.")


class Quotas(Model):
    """How much one namespace holds."""

    items: int = Field(default=10_000, ge=1, le=1_000_000, description="Keys.")
    size: Bytes = Field(
        default=64 << 20,
        ge=1024,
        description="Bytes of all keys and values that stand; of former versions as much again.",
    )
    value: Annotated[Bytes, AfterValidator(_value)] = Field(
        default=256 << 10, ge=1, description="Bytes of one value; 1 MiB at most."
    )
    keys_per_agent: int = Field(
        default=5_000, ge=1, le=1_000_000, description="Keys that one agent has made, so that others have room."
    )


class Namespace(Model):
    """One namespace, or all that a glob stands for."""

    readers: Members = Field(
        default=("*",), description="Globs of agents that may read; role:GLOB is whoever has such a role."
    )
    writers: Members = Field(default=("*",), description="Globs of agents that may write, as those of readers.")
    blind_writes: Literal["refuse", "allow"] = Field(
        default="refuse",
        description="A write over a value without saying which version was seen: refuse it (428), or let it pass.",
    )
    ttl: Duration = Field(default=0.0, description="Values without a ttl of their own end after so long; 0 is never.")
    most: int = Field(
        default=100, ge=1, le=10_000, description="With a glob for a name: namespaces that agents may make by it."
    )
    history: History = History()
    quotas: Quotas = Quotas()

    @property
    def limits(self) -> ShelfLimits:
        """The same for the store."""
        quotas, history = self.quotas, self.history
        return ShelfLimits(quotas.items, quotas.size, quotas.value, quotas.keys_per_agent, history.keep, history.age)


class MemoryConfig(Model):
    """The shared memory that tools with builtin: memory show."""

    namespaces: dict[NamespaceName, Namespace] = Field(
        default={}, description="By name or glob; a plain name wins, then the first glob that fits. No other exists."
    )
