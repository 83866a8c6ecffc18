"""Guardrails that policies read: that those are there, so that no rule waits for a word that nobody says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gateway.config.policies import Policies
from gateway.errors import Problem
from gateway.policy.guardrails import VARIABLE, mistakes_in, read_in
from gateway.policy.schema import AnyDocument, Limit, Policy
from gateway.policy.schema_approvals import Approval
from gateway.policy.schema_governors import Budget
from gateway.policy.tokens import place

Place = tuple[str | int, ...]


def unknown_guardrails(policies: Policies, known: Iterable[str]) -> Iterator[Problem]:
    """What is wrong with how policies read guardrails. ``known`` are those of the configuration."""
    names = tuple(known)
    for number, source in enumerate(policies.sourced):
        for path, expression in _expressions(source.model):
            for at, message, hint in mistakes_in(expression, names):
                yield policies.problem(number, path, place(expression, at), message, hint, "unknown-guardrail")
        for path, expression in _keys(source.model):
            if read_in([expression]):
                message = f"{VARIABLE} is known to rules of policies only"
                hint = "write a rule that asks or refuses by it"
                yield policies.problem(number, path, (1, 1), message, hint, "unknown-guardrail")


def _expressions(model: AnyDocument) -> Iterator[tuple[Place, str]]:
    if not isinstance(model, Policy):
        return
    for number, variable in enumerate(model.spec.variables):
        yield ("spec", "variables", number, "expression"), variable.expression
    for number, rule in enumerate(model.spec.rules):
        yield ("spec", "rules", number, "when"), rule.when
        if rule.messageExpression is not None:
            yield ("spec", "rules", number, "messageExpression"), rule.messageExpression


def _keys(model: AnyDocument) -> Iterator[tuple[Place, str]]:
    """Expressions that are evaluated where nobody has asked a guardrail."""
    if isinstance(model, Limit | Budget):
        yield from ((("spec", "per", number), part) for number, part in enumerate(model.spec.per))
    elif isinstance(model, Approval) and model.spec.impact is not None:
        yield ("spec", "impact"), str(model.spec.impact)
