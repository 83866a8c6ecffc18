"""What rules and guards say of a call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from gateway.model.approvals import Kept, Ruling
from gateway.model.claims import Hold
from gateway.model.reasons import Mode, Reason, Verdict
from gateway.model.tools import Fields


class Treated(Struct, frozen=True):
    """What is done to texts and lists at a path and below it, in what is passed on."""

    path: str
    """As in ``result.items.*.note``; ``llm.tool_results`` is what tools answered, in a request to a model."""
    action: str
    """strip, wrap, truncate, or redact (parts of texts)."""
    source: str = ""
    """With wrap: whose data it is."""
    most_characters: int = 0
    most_items: int = 0
    """With truncate; 0 is no bound."""
    only: tuple[str, ...] = ()
    """With redact: what detectors look for (secrets, pii)."""


Changed = str | Treated
"""A path whose values are masked, or what else is done at one."""


class Spoke(Struct, frozen=True):
    """One rule that had something to say of a call."""

    policy: str
    rule: str
    verdict: Verdict
    mode: Mode
    message: str = ""
    error: str = ""
    """Set where the expression could not be evaluated; the verdict then follows the policy's failurePolicy."""
    label: str = ""
    """With the verdict LABEL: what the run is marked with."""
    fields: tuple[str, ...] = ()
    """With the verdict REDACT: paths of what is masked (``args.password``)."""
    annotations: tuple[tuple[str, str], ...] = ()
    outside: bool = False
    """The mode is AUDIT since the call lies outside of the policy's rollout."""
    quarantine: str = ""
    """With the verdict DENY: run, agent or tool, which is quarantined too."""
    seconds: float = 0.0
    """How long it is quarantined; 0 is until it is lifted."""
    read: tuple[tuple[tuple[str, tuple[str, ...]], Any], ...] = ()
    """What it read, unmasked: variable and names after it, and the value."""
    treats: tuple[Treated, ...] = ()
    """What else is changed in what is passed on."""

    @property
    def imposes(self) -> bool:
        """Whether the quarantine is imposed. A rule that could not be evaluated refuses, and has found nothing."""
        return bool(self.quarantine) and self.verdict is Verdict.DENY and self.mode is Mode.ENFORCE and not self.error


class Refusal(Struct, frozen=True):
    """Why a call does not run, and what the agent should do. ``rule`` is ``policy/rule`` or a guard's name."""

    reason: Reason
    status: int
    detail: str
    rule: str = ""
    retry_after: float = 0.0
    retryable: bool = False
    advice: str = ""
    spoke: tuple[Spoke, ...] = ()
    holds: tuple[Hold, ...] = ()
    fields: Fields = ()
    """Extra response fields (RateLimit, WWW-Authenticate)."""
    quarantine: str = ""
    """run, agent or tool: what is kept from making any more calls, for ``seconds``, or until it is lifted (0)."""
    seconds: float = 0.0
    ruling: Ruling | None = None
    """What came of asking a person."""
    changes: tuple[Mapping[str, Any], ...] = ()
    """What others have changed of a memory since the run has read it: told to the agent, and not recorded."""
    kept: Kept | None = None
    """The result of the same call, made before, that the agent gets instead of its being made again."""


class Question(Struct, frozen=True):
    """What a human is asked before the call may run."""

    rule: str
    text: str
    read: tuple[tuple[tuple[str, tuple[str, ...]], Any], ...] = ()
    """What the rule read, as in Spoke."""


class Quarantine(Struct, frozen=True):
    """What may make no calls.

    ``scope`` is agent, run, tool or all; ``key`` the agent's id, agent and run at the root of a run's tree, the tool's
    name, or nothing. Times are seconds since the epoch; ``until`` 0 is until it is lifted.
    """

    scope: str
    key: tuple[str, ...]
    reason: str
    by: str
    """Who imposed it: a rule or guard (``policy/rule``), or a person."""
    since: float
    until: float = 0.0
    cut: bool = False
    """Calls under way were to be cut."""

    @property
    def by_rule(self) -> bool:
        """Whether a rule or guard imposed it."""
        return "/" in self.by
